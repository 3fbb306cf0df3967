"""Deadlines: a moment that bounds calls to an API, their retries and the waits between them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from demandbase_api.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment until which calls must end.

    No request is sent and no wait starts after it, and the time-out of a request is never later.

    Args:
        clock: Clock of the moment.
        at: The moment, in seconds of ``Clock.now()``. Default: no limit.
        retries: Whether a call that failed may be tried again in time.
    """

    clock: Clock
    at: float = math.inf
    retries: bool = True

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """Return the moment in some seconds from now."""
        return cls(clock, clock.now() + seconds)

    def left(self) -> float:
        """Return the seconds that are left; 0 if the moment has passed."""
        return math.inf if self.at == math.inf else max(0.0, self.at - self.clock.now())

    @property
    def has_passed(self) -> bool:
        """Whether no time is left."""
        return self.left() <= 0

    def within(self, seconds: float) -> Deadline:
        """Return this moment, or the one in some seconds from now if that is earlier."""
        return replace(self, at=min(self.at, self.clock.now() + seconds))

    def without_retries(self) -> Deadline:
        """Return this moment for calls that are tried once and never waited for."""
        return replace(self, retries=False)


NO_DEADLINE = Deadline(SystemClock())

ONE_TRY = NO_DEADLINE.without_retries()
"""For a call within another one that is retried as a whole."""
