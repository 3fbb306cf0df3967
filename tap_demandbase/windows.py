"""Cuts a range of days into windows, one export job each; pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


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


def cut(start: date | None, end: date, window_days: int | None) -> tuple[Window, ...]:
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
