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
        time.sleep(seconds)
