"""The sandbox's notion of now: the machine's, plus what it was told to skip."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SandboxClock:
    """A clock that can be advanced, so that nobody has to wait for a job or a link."""

    def __init__(self) -> None:
        self._skipped = timedelta()

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return datetime.now(UTC) + self._skipped

    def advance(self, seconds: float) -> None:
        """Skip some seconds."""
        self._skipped += timedelta(seconds=seconds)

    def reset(self) -> None:
        """Return to the machine's time."""
        self._skipped = timedelta()


def rfc3339(moment: datetime) -> str:
    """Return a moment as the API writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
