"""Objects and locks of the runs of one machine, as files in a folder."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from filelock import FileLock, Timeout
from typing_extensions import override

from demandbase_api.errors import state_error
from demandbase_api.files import PRIVATE, call_in_folder, write_atomically
from demandbase_api.state.earlier import LOCK_SUFFIX
from demandbase_api.state.ports import Item, Locks, StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from filelock import BaseFileLock

_LOCK_SECONDS = 30.0
"""Maximum time to wait for another run that updates an object."""

# A lock file is created a moment before it is locked: a younger one may belong to a live run.
_LOCKED_BY_NOW_SECONDS = 60


@contextmanager
def _as_state_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise state_error(error) from error


class FolderStore(StateStore):
    """Objects that are files of a folder.

    Args:
        folder: The folder; created with the first object, and removed when it is empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    def get(self, name: str) -> bytes | None:
        with _as_state_error():
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    @override
    def put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        write = partial(write_atomically, self._folder / name, content, durable=durable)
        with _as_state_error():
            call_in_folder(self._folder, write)

    @override
    def put_own(self, name: str, content: bytes) -> bool:
        self.put(name, content, durable=True)  # the system keeps the lock of a run that is asleep
        return True

    @override
    def update(self, name: str, change: Callable[[bytes | None], bytes | None]) -> None:
        path = (self._folder / name).with_suffix(".lock")
        lock = FileLock(path, timeout=_LOCK_SECONDS, mode=PRIVATE)
        with _as_state_error():
            call_in_folder(self._folder, lock.acquire)
        try:
            content = change(self.get(name))
            if content is not None:
                self.put(name, content)
        finally:
            lock.release()

    @override
    def open(self, name: str) -> BinaryIO:
        with _as_state_error():
            return (self._folder / name).open("rb")

    @override
    def copy_in(self, file: Path, name: str) -> None:
        self.put(name, file.read_bytes(), durable=True)

    @override
    def rename(self, name: str, new: str) -> None:
        with _as_state_error():
            (self._folder / name).rename(self._folder / new)

    @override
    def delete(self, name: str) -> None:
        with _as_state_error(), suppress(FileNotFoundError):
            (self._folder / name).unlink()

    @override
    def items(self, prefix: str = "") -> list[Item]:
        if not self._folder.is_dir():
            return []
        with _as_state_error():
            names = sorted(path.name for path in self._folder.iterdir())
        found = []
        for name in names:
            if name.startswith(prefix) and not name.startswith("."):
                with suppress(OSError):  # another run has removed it meanwhile
                    status = (self._folder / name).stat()
                    written_at = datetime.fromtimestamp(status.st_mtime, UTC)
                    found.append(Item(name, written_at, status.st_size))
        return found

    @override
    def location(self, name: str = "") -> str:
        return str(self._folder / name)

    @override
    def close(self) -> None:
        with suppress(OSError):  # it has files, or does not exist
            self._folder.rmdir()


class FolderLocks(Locks):
    """Locks that are files of a folder; the system releases them when the process ends.

    Args:
        folder: The folder, the same for all runs that exclude each other.
        run: Unique name of the run.
    """

    pause_seconds = 0.5

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._run = run
        self._own: BaseFileLock | None = None
        self._locks: dict[str, BaseFileLock] = {}

    @override
    def show(self) -> None:
        if self._own is not None:
            return
        lock = self._lock(f"{self._run}{LOCK_SUFFIX}")
        with _as_state_error():
            call_in_folder(self._folder, lock.acquire)
        self._own = lock
        self._remove_stale()

    @override
    def is_live(self, run: str) -> bool:
        path = self._folder / f"{run}{LOCK_SUFFIX}"
        with _as_state_error():
            return run != self._run and path.is_file() and _is_locked(path)

    @override
    def acquire(self, name: str) -> bool:
        lock = self._lock(name)
        try:
            call_in_folder(self._folder, lock.acquire)
        except Timeout:
            return False
        except OSError as error:
            raise state_error(error) from error
        self._locks[name] = lock
        return True

    @override
    def release(self, name: str) -> None:
        lock = self._locks.pop(name, None)
        if lock is not None:
            # A run that waits sees that the file it opened is no longer there, and opens a new one.
            (self._folder / name).unlink(missing_ok=True)
            lock.release()

    @override
    def check(self) -> None:
        """Do nothing: the system keeps the locks."""

    @override
    def close(self) -> None:
        for name in list(self._locks):
            self.release(name)
        if self._own is not None:
            self._own.release()
            (self._folder / f"{self._run}{LOCK_SUFFIX}").unlink(missing_ok=True)
            self._own = None

    def _lock(self, name: str) -> BaseFileLock:
        return FileLock(self._folder / name, blocking=False, mode=PRIVATE, thread_local=False)

    def _remove_stale(self) -> None:
        """Remove the lock files of runs that were killed."""
        for path in self._folder.glob(f"*{LOCK_SUFFIX}"):
            with suppress(OSError):
                age = time.time() - path.stat().st_mtime
                is_own = path.name == f"{self._run}{LOCK_SUFFIX}"
                if not is_own and age > _LOCKED_BY_NOW_SECONDS:
                    _is_locked(path)


def _is_locked(path: Path) -> bool:
    """Return whether a file is locked; remove it if not."""
    lock = FileLock(path, blocking=False, mode=PRIVATE)
    try:
        lock.acquire()
    except Timeout:
        return True
    path.unlink(missing_ok=True)
    lock.release()
    return False
