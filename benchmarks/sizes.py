"""Sizes of data as the table shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.setting import GOAL_JOB_ROWS, GOAL_JOB_SECONDS

if TYPE_CHECKING:
    from benchmarks.setting import Sizes


def rows_text(rows: int, goal_rows: int | None = None) -> str:
    """Return the number of rows, and the goal's if it differs."""
    own = "" if goal_rows in {None, rows} else f" (goal: {_short(goal_rows or 0)})"
    return f"{_short(rows)} rows{own}"


def extended_text(who: str, rows: int, to_rows: int) -> str:
    """Return a note that a time is extrapolated from fewer rows, or nothing."""
    return "" if rows >= to_rows else f"; {who}: {_short(rows)}, extended"


def jobs_text(sizes: Sizes) -> str:
    """Return the duration and the size of the jobs, and the goal's if they differ."""
    text = f"jobs of {sizes.job_seconds:g} s, {_short(sizes.job_rows)} rows each"
    if sizes.job_seconds == GOAL_JOB_SECONDS:
        return text
    return f"{text} (goal: {GOAL_JOB_SECONDS:g} s, {_short(GOAL_JOB_ROWS)})"


def _short(number: int) -> str:
    """Return a number, round ones with k or M."""
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if number >= size and number % (size // 10) == 0:
            return f"{number / size:g}{letter}"
    return f"{number:,}"
