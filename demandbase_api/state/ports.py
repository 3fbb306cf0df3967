"""Ports of what outlives a run: small named objects, and locks that show which runs are alive.

``State`` opens both, as the settings say.

A folder implements both (``folder_store``), and a bucket (``objects``, ``leases``), which many
machines may share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from demandbase_api.state.earlier import Kept


class Item(NamedTuple):
    """A stored object.

    Args:
        name: Its name.
        written_at: When it was written, by the clock of the store.
        size: Its size in bytes.
    """

    name: str
    written_at: datetime
    size: int


class StateStore(Protocol):
    """Small objects by name, written whole or not at all.

    Raises:
        StateError: From every method: the store cannot be used.
    """

    def get(self, name: str) -> bytes | None:
        """Return the content of an object; ``None`` if there is none."""

    def put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        """Write an object.

        Args:
            name: Its name.
            content: Its content.
            durable: Whether it must survive a failure of the system at once.
        """

    def put_own(self, name: str, content: bytes) -> bool:
        """Write an object that no other run writes, so that it survives a failure of the system.

        Returns:
            ``False`` if this run has written it before and another one has removed it: it is then
            not written, however late the request comes.
        """

    def update(self, name: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replace an object by what a function makes of it, while no other run writes it.

        Args:
            name: Its name.
            change: Gets the content, or ``None``; returns the new one, or ``None`` to change
                nothing. It may be called several times.
        """

    def open(self, name: str) -> BinaryIO:
        """Open an object for reading; it may be large."""

    def copy_in(self, file: Path, name: str) -> None:
        """Write an object that has the content of a file, which may be large."""

    def rename(self, name: str, new: str) -> None:
        """Give an object another name."""

    def delete(self, name: str) -> None:
        """Remove an object if it is there."""

    def items(self, prefix: str = "") -> list[Item]:
        """Return the objects whose names begin with a prefix, by name."""

    def location(self, name: str = "") -> str:
        """Return where an object is, or the store, for a person."""

    def close(self) -> None:
        """Remove what is empty. The store may still be used."""


class Locks(Protocol):
    """The locks of one run, which end with it.

    Raises:
        StateError: From every method: the store cannot be used.
    """

    pause_seconds: float
    """Seconds between two tries to acquire a lock."""

    def show(self) -> None:
        """Show other runs that this run is alive, until ``close`` or the end of the process."""

    def is_live(self, run: str) -> bool:
        """Return whether another run has shown itself and not ended."""

    def acquire(self, name: str) -> bool:
        """Acquire a lock; return ``False`` if another live run has it."""

    def release(self, name: str) -> None:
        """Release a lock."""

    def check(self) -> None:
        """Check that the run still has its locks.

        Raises:
            OtherRunError: Another run has taken this one for dead.
        """

    def close(self) -> None:
        """End the run: no entry of it is in use any more."""


class State(Protocol):
    """The place of what outlives a run.

    Raises:
        SpoolError: From every method: it cannot be used.
    """

    is_shared: bool
    """Whether other machines have it, too. The run must then not go on without it."""

    def open(self) -> Path:
        """Check the place; return a folder of this machine for what is written there."""

    def store(self, kept: Kept | None = None) -> StateStore:
        """Return the objects of a kind; by default those that both plugins use."""

    def locks(self, kept: Kept, run: str) -> Locks:
        """Return the locks of a run among all that use a kind of objects."""

    def copies(self, folder: str) -> StateStore | None:
        """Return where files of this machine are copied to; ``None`` if they stay where they are.

        Args:
            folder: Name of the folder of such files.
        """

    def singer_states(self) -> StateStore:
        """Return the states of Singer runs by their ids, which the user chose, for all tenants."""
