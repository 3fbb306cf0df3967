"""Cuts a range of days into windows, one export job each; pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class Window:
    """A range of days of the replication key.

    Args:
        start: First day; ``None`` for the very first.
        end: Last day.
        is_last: Whether nothing comes after it in this run.
    """

    start: date | None
    end: date
    is_last: bool


def cut_windows(start: date | None, end: date, window_days: int | None) -> tuple[Window, ...]:
    """Return the windows of a range, in order.

    The last day of a window is the first of the next: whether the API counts the ends in is
    documented nowhere.

    Args:
        start: First day; a range without one is a single window.
        end: Last day.
        window_days: How far the end of a window is from its start; ``None`` for one window.
    """
    if start is None or window_days is None:
        return () if start is not None and start > end else (Window(start, end, is_last=True),)
    windows: list[Window] = []
    while start <= end:
        # Compared as days left: a date has a greatest value.
        stop = end if (end - start).days <= window_days else start + timedelta(days=window_days)
        windows.append(Window(start, stop, is_last=stop == end))
        if stop == end:
            break
        start = stop
    return tuple(windows)


def format_timestamp(moment: datetime) -> str:
    """Return a moment as YYYY-MM-DDTHH:MM:SS.ffffffZ: texts of one width sort like moments."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def parse_timestamp(text: str) -> datetime:
    """Return the moment of an ISO-8601 date or date-time; no offset means UTC.

    Raises:
        ValueError: It is none.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins, in UTC."""
    return datetime.combine(day, time(), UTC)
