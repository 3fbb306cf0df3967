"""One run at a time for the imports into an entity: two would overtake each other."""

from __future__ import annotations

import hashlib
import logging
import math
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from demandbase_api.errors import OtherRunError, state_error
from demandbase_api.files import PRIVATE, call_in_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from filelock import BaseFileLock

    from demandbase_api.clock import Clock

logger = logging.getLogger(__name__)

_LOG_SECONDS = 10.0
_PAUSE_SECONDS = 0.5


class EntityLocks:
    """The locks of a run, one for each entity that it imports into, until its end.

    Args:
        folder: Folder of the lock files, the same for all runs that exclude each other.
        origin: The API.
        clock: Time.
        timeout_seconds: Maximum time to wait for another run.
    """

    def __init__(self, folder: Path, origin: str, clock: Clock, timeout_seconds: float) -> None:
        self._folder = folder
        self._origin = origin
        self._clock = clock
        self._timeout = timeout_seconds
        self._locks: dict[str, BaseFileLock] = {}

    def acquire(self, entity: str, check: Callable[[], None]) -> None:
        """Lock an entity; wait while another run has it.

        Args:
            entity: The entity.
            check: Called while it waits; raises to end the wait.

        Raises:
            OtherRunError: The other run did not end in time.
            SpoolError: The lock file cannot be created.
        """
        if entity in self._locks:
            return
        lock = FileLock(self._path(entity), blocking=False, mode=PRIVATE, thread_local=False)
        began, last_line = self._clock.now(), -math.inf
        while not self._try(lock):
            now = self._clock.now()
            if now - began >= self._timeout:
                raise OtherRunError(
                    f"Another run, which uses the same folder {self._folder}, still imports into "
                    f"{entity} after {now - began:.0f} s. Run again later, or raise the setting "
                    "job_timeout_seconds."
                )
            if now - last_line >= _LOG_SECONDS:
                last_line = now
                logger.info(
                    "Waiting for another run that imports into %s for %.0f s: its rows come first",
                    entity,
                    now - began,
                )
            self._clock.sleep(min(_PAUSE_SECONDS, began + self._timeout - now))
            check()
        self._locks[entity] = lock

    def close(self) -> None:
        """Release all locks, and remove their files."""
        while self._locks:
            entity, lock = self._locks.popitem()
            # A run that waits sees that the file it opened is no longer there, and opens a new one.
            self._path(entity).unlink(missing_ok=True)
            lock.release()

    def _try(self, lock: BaseFileLock) -> bool:
        try:
            call_in_folder(self._folder, lock.acquire)
        except Timeout:
            return False
        except OSError as error:
            raise state_error(error) from error
        return True

    def _path(self, entity: str) -> Path:
        return self._folder / f"{entity}-{api_digest(self._origin)}.lock"


def api_digest(origin: str) -> str:
    """Return what tells the files of an API from those of others, in their names."""
    return hashlib.sha256(origin.encode()).hexdigest()[:8]
