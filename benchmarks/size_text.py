"""Says how much was worked on, and where that is not the goal's own size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.sizes import GOAL_JOB_ROWS, GOAL_JOB_SECONDS

if TYPE_CHECKING:
    from benchmarks.sizes import Sizes


def rows_text(rows: int, goal_rows: int | None = None) -> str:
    """Return how many rows, and how many the goal is for where that differs."""
    own = "" if goal_rows in {None, rows} else f" (goal: {short(goal_rows or 0)})"
    return f"{short(rows)} rows{own}"


def extended_text(who: str, rows: int, to_rows: int) -> str:
    """Return whose time was extended from fewer rows; nothing where it was not."""
    return "" if rows >= to_rows else f"; {who}: {short(rows)}, extended"


def jobs_text(sizes: Sizes) -> str:
    """Return how slow the jobs were, and how slow they are in the goal."""
    text = f"jobs of {sizes.job_seconds:g} s, {short(sizes.job_rows)} rows each"
    if sizes.job_seconds == GOAL_JOB_SECONDS:
        return text
    return f"{text} (goal: {GOAL_JOB_SECONDS:g} s, {short(GOAL_JOB_ROWS)})"


def short(number: int) -> str:
    """Return a number with k or M where it is round."""
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if number >= size and number % (size // 10) == 0:
            return f"{number / size:g}{letter}"
    return f"{number:,}"
