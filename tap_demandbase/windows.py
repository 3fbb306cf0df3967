"""Splits a range of dates into windows, one export job each; formats and parses timestamps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class Window:
    """A range of dates of the replication key.

    Args:
        start: First day; ``None`` for no lower bound.
        end: Last day.
        is_last: Whether it is the last window of the run.
    """

    start: date | None
    end: date
    is_last: bool


def cut_windows(
    start: date | None,
    end: date,
    window_days: int | None,
    *,
    max_days: int | None = None,
    resume_at: date | None = None,
) -> tuple[Window, ...]:
    """Return the windows of a range, in order.

    The last day of a window is the first day of the next one: no documentation says whether the API
    includes the ends of a range.

    Args:
        start: First day; a range without it is a single window.
        end: Last day.
        window_days: Days from the start of a window to its end; ``None`` for a single window.
        max_days: Maximum of these days in a job; ``None`` for no limit.
        resume_at: The day that an interrupted run has reached. The first window covers the days
            before it in addition: if it ended there, a run that is interrupted after each window
            would not advance.
    """
    days = min((days for days in (window_days, max_days) if days is not None), default=None)
    if start is None or days is None:
        return () if start is not None and start > end else (Window(start, end, is_last=True),)
    length = days
    if resume_at is not None and resume_at > start:
        length += (resume_at - start).days
        length = length if max_days is None else min(length, max_days)
    windows: list[Window] = []
    while start <= end:
        # Compared as days left, since a date has a greatest value.
        stop = end if (end - start).days <= length else start + timedelta(days=length)
        windows.append(Window(start, stop, is_last=stop == end))
        if stop == end:
            break
        start, length = stop, days
    return tuple(windows)


def format_timestamp(timestamp: datetime) -> str:
    """Return a timestamp as YYYY-MM-DDTHH:MM:SS.ffffffZ: texts of equal width sort by time."""
    utc = timestamp.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def parse_timestamp(text: str) -> datetime:
    """Return the timestamp of an ISO-8601 date or date-time; without an offset it is UTC.

    Raises:
        ValueError: The text is neither, or the time in UTC is before the year 1 or after 9999.
    """
    timestamp = datetime.fromisoformat(text)
    if timestamp.tzinfo is None:
        return timestamp.replace(tzinfo=UTC)
    try:
        return timestamp.astimezone(UTC)
    except OverflowError:
        raise ValueError from None


def midnight(day: date) -> datetime:
    """Return the start of a day in UTC."""
    return datetime.combine(day, time(), UTC)
