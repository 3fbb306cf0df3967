"""Notices columns of a batch that would blank a field in nearly all rows that they meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIN_ROWS = 100
MAX_BLANK_PERCENT = 95


class BlankGuard:
    """Counts the empty cells of one batch.

    Args:
        columns: The batch's columns, in the order of its cells.
        most_rows: How many rows the batch has at most, where that is known.
    """

    def __init__(self, columns: Sequence[str], most_rows: int | None = None) -> None:
        self._columns = tuple(columns)
        # A column with so many filled cells stays below the limit whatever follows.
        self._enough = (
            None
            if most_rows is None
            else max(most_rows, MIN_ROWS) * (100 - MAX_BLANK_PERCENT) // 100 + 1
        )
        self._empty = dict.fromkeys(range(len(self._columns)), 0)
        self._rows = 0

    @property
    def watched(self) -> tuple[int, ...]:
        """The columns, by their place, that may still be mostly blank at the end."""
        return tuple(self._empty)

    def row(self, cells: Sequence[str]) -> None:
        """Count a row.

        Args:
            cells: Its texts, one for each column.

        Raises:
            ValueError: There are more or fewer cells than columns.
        """
        if len(cells) != len(self._columns):
            raise ValueError("a row has one cell for each column")
        self.count(1, {number: not cells[number] for number in self._empty})

    def count(self, rows: int, empty: Mapping[int, int]) -> None:
        """Count rows.

        Args:
            rows: How many they are.
            empty: How many cells of each watched column are empty, by its place.
        """
        self._rows += rows
        for number, cells in empty.items():
            self._empty[number] += cells
            if self._enough is not None and self._rows - self._empty[number] >= self._enough:
                del self._empty[number]

    def mostly_blank(self) -> tuple[str, ...]:
        """Return the columns that are empty in more than 95 % of at least 100 rows."""
        if self._rows < MIN_ROWS:
            return ()
        return tuple(
            self._columns[number]
            for number, empty in self._empty.items()
            if empty * 100 > self._rows * MAX_BLANK_PERCENT
        )
