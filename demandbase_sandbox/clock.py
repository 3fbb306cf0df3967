"""The sandbox's clock, and how the APIs write its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SandboxClock:
    """The machine's clock plus an offset, so that no test waits for a job or a link."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._offset += timedelta(seconds=seconds)

    def reset(self) -> None:
        """Return to the machine's time."""
        self._offset = timedelta()


def rfc3339(time: datetime) -> str:
    """Return a time in UTC with milliseconds, as the APIs write it."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
