"""Locks of runs on several machines, as objects of a bucket.

A run shows that it is alive by an object that it writes again every ten seconds. A lock is an
object that names its run. A run whose object is a minute old, by the clock of the store, is taken
for dead: the first that does so replaces that object, on condition that it has not been written
meanwhile. From then on the run cannot write it again, and so learns that it must not go on. Wrong
clocks can end a run too early, but never let two go on.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from typing_extensions import override

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.errors import OtherRunError, StateError
from demandbase_api.state.earlier import LOCK_SUFFIX
from demandbase_api.state.ports import Locks
from demandbase_api.threads import Task

if TYPE_CHECKING:
    from demandbase_api.state.objects import Objects

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
"""Age at which the object of a run shows that the run is dead."""
BEAT_SECONDS = 10.0
"""Time between two writes of it."""
_STALE_SECONDS = 86_400.0
"""Age at which what a dead run has left is removed."""
_FRESH_SECONDS = 1.0
"""Time after a write of the run's own object in which no other run can take it for dead."""


class LeaseLocks(Locks):
    """The locks of one run.

    Args:
        objects: The objects, the same for all runs that exclude each other.
        run: Unique name of the run.
        clock: Time of this machine.
        beat_seconds: Time between two writes of the run's object. ``None``: it is written by
            ``beat`` only.
    """

    pause_seconds = 2.0

    def __init__(
        self,
        objects: Objects,
        run: str,
        clock: Clock | None = None,
        *,
        beat_seconds: float | None,
    ) -> None:
        self._objects = objects
        self._run = run
        self._name = f"{run}{LOCK_SUFFIX}"
        self._clock = clock or SystemClock()
        self._beat_seconds = beat_seconds
        self._mutex = threading.RLock()
        self._ended = threading.Event()
        self._version: str | None = None
        self._beats = 0
        self._written = (0.0, 0.0)
        self._is_lost = False
        self._problem: StateError | None = None
        """Why the last write of the run's object failed."""
        self._locks: set[str] = set()

    @override
    def show(self) -> None:
        with self._mutex:
            self._check_lost()
            if self._version is not None:
                return
            self._write()
            self._ended.clear()
            self._remove_stale()
            if self._beat_seconds is not None:
                Task(self._beat_until_ended, "state-lease")

    @override
    def is_live(self, run: str) -> bool:
        name = f"{run}{LOCK_SUFFIX}"
        while run != self._run and (stored := self._objects.get(name)) is not None:
            age = (self._objects.now() - stored.written_at).total_seconds()
            if stored.content and age <= LEASE_SECONDS:
                return True
            if not stored.content or self._objects.replace(name, b"", stored.version) is not None:
                self._objects.delete(name)
                return False
        return False

    @override
    def acquire(self, name: str) -> bool:
        with self._mutex:
            self.show()
            stored = self._objects.get(name)
            if stored is None:
                version = self._objects.create(name, self._run.encode())
            else:
                owner = stored.content.decode(errors="replace")
                if owner and owner != self._run and self.is_live(owner):
                    return False
                version = self._objects.replace(name, self._run.encode(), stored.version)
            if version is not None:
                self._locks.add(name)
            return version is not None

    @override
    def release(self, name: str) -> None:
        with self._mutex:
            if name in self._locks:
                self._locks.discard(name)
                stored = self._objects.get(name)
                if stored is not None and stored.content == self._run.encode():
                    # It stays, without a run: a removal could meet that of the next run.
                    self._objects.replace(name, b"", stored.version)

    @override
    def check(self) -> None:
        with self._mutex:
            self._check_lost()
            if self._version is not None:
                passed = (now - then for now, then in zip(self._now(), self._written, strict=True))
                if not 0 <= max(passed) < _FRESH_SECONDS:
                    self.beat()

    @override
    def close(self) -> None:
        with self._mutex:
            self._ended.set()
            self._locks.clear()  # they name a run that has ended, and so are free
            is_shown = self._version is not None and not self._is_lost
            self._version = None
            if not is_shown:
                return
            try:
                if self._problem is not None:
                    raise self._problem  # the end of a run does not wait for the store again
                self._objects.delete(self._name)
            except StateError as error:
                logger.warning(
                    "The end of this run cannot be shown, so others wait for it for %.0f s: %s",
                    LEASE_SECONDS,
                    error,
                )

    def beat(self) -> None:
        """Show that the run is alive.

        Raises:
            OtherRunError: Another run has taken it for dead.
            StateError: It cannot be shown.
        """
        with self._mutex:
            if self._version is None:
                return
            self._write()

    def _beat_until_ended(self) -> None:
        while not self._ended.wait(self._beat_seconds):
            try:
                self.beat()
            except OtherRunError:
                return  # the run learns it by its next check
            except StateError as error:
                logger.debug("This run cannot show that it is alive: %s", error)

    def _write(self) -> None:
        """Write the run's object.

        Raises:
            OtherRunError: Another run has taken it for dead.
            StateError: It cannot be written.
        """
        written = self._now()
        try:
            version = self._rewritten(self._content())
        except StateError as error:
            self._problem = error
            raise
        if version is None:
            self._lose()
        self._version, self._written, self._problem = version, written, None

    def _rewritten(self, content: bytes) -> str | None:
        """Write the run's object; return its version, ``None`` if it is another run's."""
        if self._version is None:
            version = self._objects.create(self._name, content)
        else:
            version = self._objects.replace(self._name, content, self._version)
        if version is None:
            # Of an earlier write that failed, only the response may have been lost.
            stored = self._objects.get(self._name)
            if stored is not None and stored.content.startswith(f"{self._run} ".encode()):
                version = self._objects.replace(self._name, content, stored.version)
        return version

    def _content(self) -> bytes:
        """Return a content that the object has not had before: versions depend on it."""
        self._beats += 1
        return f"{self._run} {self._beats}".encode()

    def _now(self) -> tuple[float, float]:
        """Return the time by two clocks: one stops while the machine sleeps, one may be set."""
        return self._clock.now(), self._clock.utc().timestamp()

    def _lose(self) -> None:
        self._is_lost = True
        self._check_lost()

    def _check_lost(self) -> None:
        if self._is_lost:
            raise OtherRunError(
                f"This run has not been able to show itself in {self._objects.location()} for "
                f"{LEASE_SECONDS:.0f} s, so another run has taken its place. It stops before it "
                "sends more; the next run goes on where it was. If the machine was not asleep or "
                "overloaded, check its connection to state_dir."
            )

    def _remove_stale(self) -> None:
        """Remove what runs have left that were killed."""
        now = self._objects.now()
        for item in self._objects.items():
            age = (now - item.written_at).total_seconds()
            if item.name.endswith(LOCK_SUFFIX) and age > _STALE_SECONDS:
                self.is_live(item.name.removesuffix(LOCK_SUFFIX))
