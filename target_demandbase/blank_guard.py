"""Notices columns of a batch that would blank a field in nearly all rows that they meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIN_ROWS = 100
MAX_BLANK_PERCENT = 95


class BlankGuard:
    """Counts the empty cells of one batch, by column.

    Args:
        most_rows: How many rows the batch has at most, where that is known.
    """

    def __init__(self, most_rows: int | None = None) -> None:
        # A column that is not empty in so many rows stays below the limit whatever follows.
        self._enough = (
            None
            if most_rows is None
            else max(most_rows, MIN_ROWS) * (100 - MAX_BLANK_PERCENT) // 100 + 1
        )
        self._empty: dict[str, int] = {}
        self._passed: set[str] = set()
        self._rows = 0

    def watched(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that may still be mostly blank at the end."""
        return [column for column in columns if column not in self._passed]

    def count(self, rows: int, empty: Mapping[str, int]) -> None:
        """Count rows.

        Args:
            rows: How many they are.
            empty: How many cells of each watched column are empty; none where it is absent.
        """
        self._rows += rows
        for column, cells in empty.items():
            found = self._empty[column] = self._empty.get(column, 0) + cells
            if self._enough is not None and self._rows - found >= self._enough:
                self._passed.add(column)

    def mostly_blank(self) -> tuple[str, ...]:
        """Return the columns that are empty in more than 95 % of at least 100 rows."""
        if self._rows < MIN_ROWS:
            return ()
        return tuple(
            column
            for column, empty in self._empty.items()
            if empty * 100 > self._rows * MAX_BLANK_PERCENT
        )
