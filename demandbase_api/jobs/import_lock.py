"""One run at a time for the imports into an entity: two would overtake each other."""

from __future__ import annotations

import hashlib
import logging
import math
from typing import TYPE_CHECKING

from demandbase_api.errors import OtherRunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.clock import Clock
    from demandbase_api.state.ports import Locks

logger = logging.getLogger(__name__)

_LOG_SECONDS = 10.0


class EntityLocks:
    """The entities that a run has locked, one after the other, until its end.

    Args:
        locks: The locks of the run.
        place: Where the locks are, for a person.
        origin: The API.
        clock: Time.
        timeout_seconds: Maximum time to wait for another run.
    """

    def __init__(
        self, locks: Locks, place: str, origin: str, clock: Clock, timeout_seconds: float
    ) -> None:
        self._locks = locks
        self._place = place
        self._origin = origin
        self._clock = clock
        self._timeout = timeout_seconds
        self._acquired: set[str] = set()

    def acquire(self, entity: str, check: Callable[[], None]) -> None:
        """Lock an entity; wait while another run has it.

        Args:
            entity: The entity.
            check: Called while it waits; raises to end the wait.

        Raises:
            OtherRunError: The other run did not end in time.
            StateError: It cannot be locked.
        """
        name = self._name(entity)
        if name in self._acquired:
            return
        began, last_line = self._clock.now(), -math.inf
        while not self._locks.acquire(name):
            now = self._clock.now()
            if now - began >= self._timeout:
                raise OtherRunError(
                    f"Another run, which also uses {self._place}, still imports into "
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
            self._clock.sleep(min(self._locks.pause_seconds, began + self._timeout - now))
            check()
        self._acquired.add(name)

    def check(self) -> None:
        """Check that no other run has taken over the locks.

        Raises:
            OtherRunError: It has.
            StateError: It is not known.
        """
        self._locks.check()

    def close(self) -> None:
        """Release all locks."""
        while self._acquired:
            self._locks.release(self._acquired.pop())

    def _name(self, entity: str) -> str:
        return f"{entity}-{api_digest(self._origin)}.lock"


def api_digest(origin: str) -> str:
    """Return what tells the objects of an API from those of others, in their names."""
    return hashlib.sha256(origin.encode()).hexdigest()[:8]
