"""Time as the life of jobs sees it, so that tests need not wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from typing_extensions import override


class Clock(Protocol):
    """What the wait for a job needs of time."""

    def now(self) -> float:
        """Return seconds that never go back."""

    def utc(self) -> datetime:
        """Return the moment in UTC."""

    def sleep(self, seconds: float) -> None:
        """Let the seconds pass."""


_SIGNAL_SECONDS = 0.5


class SystemClock(Clock):
    """The machine's own clock."""

    @override
    def now(self) -> float:
        return time.monotonic()

    @override
    def utc(self) -> datetime:
        return datetime.now(UTC)

    @override
    def sleep(self, seconds: float) -> None:
        # In pieces: a signal that another thread of the process gets breaks off no sleep.
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SIGNAL_SECONDS))
