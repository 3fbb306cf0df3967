"""How large everything is, by the one number that is given."""

from __future__ import annotations

from dataclasses import dataclass

GOAL_WIDE = 500_000
GOAL_ROWS = 5_000_000
GOAL_JOB_SECONDS = 30.0
GOAL_JOB_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows and seconds of the cases.

    Args:
        wide: Rows of 30 columns.
        slow: The same, for textbook plugins and peers; their time is extended to ``wide``.
        narrow: Rows of 3 columns.
        slow_narrow: The same, for the textbook.
        large: Rows for the peak memory, ten times ``wide``.
        large_runs: How often that is run.
        piped: Rows for Meltano.
        job_rows: Rows of a stream whose job is slow.
        job_seconds: How slow.
        runs: How often all else is run.
    """

    wide: int
    slow: int
    narrow: int
    slow_narrow: int
    large: int
    large_runs: int
    piped: int
    job_rows: int
    job_seconds: float
    runs: int

    @classmethod
    def of(cls, rows: int, runs: int) -> Sizes:
        """Return the sizes: from 5,000,000 rows on all of the goals', below it a part of them."""
        is_full = rows >= GOAL_ROWS
        share = min(1.0, rows / 2_000_000)
        wide = min(rows, GOAL_WIDE)
        narrow = min(10 * rows, GOAL_ROWS)
        return cls(
            wide=wide,
            slow=wide if is_full else min(wide, 25_000),
            narrow=narrow,
            slow_narrow=narrow if is_full else min(narrow, 100_000),
            large=10 * wide,
            large_runs=runs if is_full else 1,
            piped=min(wide, 25_000),
            job_rows=max(1, int(GOAL_JOB_ROWS * share)),
            job_seconds=max(0.2, GOAL_JOB_SECONDS * share),
            runs=runs,
        )
