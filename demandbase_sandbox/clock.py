"""The sandbox's clock, and how the APIs write its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SandboxClock:
    """The machine's clock plus an offset, so that no test waits for a job or a link.

    Args:
        skew_seconds: How far the server's clock is ahead of the true time.
    """

    def __init__(self, skew_seconds: float = 0) -> None:
        self._offset = timedelta()
        self._initial_skew = self._skew = timedelta(seconds=skew_seconds)

    def now(self) -> datetime:
        """Return the server's time in UTC."""
        return self.true_time() + self._skew

    def true_time(self) -> datetime:
        """Return the time in UTC of clients, whose clocks are right."""
        return datetime.now(UTC) + self._offset

    def skew(self, seconds: float) -> None:
        """Set the server's clock ahead of the true time; below 0: behind it."""
        self._skew = timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._offset += timedelta(seconds=seconds)

    def reset(self) -> None:
        """Return to the machine's time and the first skew."""
        self._offset = timedelta()
        self._skew = self._initial_skew


def rfc3339(time: datetime) -> str:
    """Return a time in UTC with milliseconds, as the APIs write it."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
