"""The server's time, from the ``Date`` headers of its responses."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from demandbase_api.clock import Clock


class ServerClock:
    """The clock of the server, by which the creation times of jobs are to be compared.

    Args:
        clock: Local clock, which counts on from the last response.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset: timedelta | None = None

    def observe(self, date: str | None) -> None:
        """Set the clock by the ``Date`` header of a response that has just arrived, if any."""
        if date is None:
            return
        try:
            time = parsedate_to_datetime(date)
            # "-0000" says that the zone is unknown. HTTP allows no zone but UTC.
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            return
        self._offset = time - self._clock.utc()

    def utc(self) -> datetime | None:
        """Return the server's time; ``None`` if no response had a valid date.

        The header has whole seconds, so the time is at most a second early, plus the time that the
        response was on its way.
        """
        return None if self._offset is None else self._clock.utc() + self._offset
