"""Notices columns of a batch that would blank a field in nearly all rows that they meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_ROWS = 100
MAX_BLANK_PERCENT = 95


class BlankGuard:
    """Counts the empty cells of one batch.

    Args:
        columns: The batch's columns, in the order of its cells.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._empty = [0] * len(self._columns)
        self._rows = 0

    def row(self, cells: Sequence[str]) -> None:
        """Count a row.

        Args:
            cells: Its texts, one for each column.

        Raises:
            ValueError: There are more or fewer cells than columns.
        """
        if len(cells) != len(self._columns):
            raise ValueError("a row has one cell for each column")
        self._rows += 1
        for number, cell in enumerate(cells):
            if not cell:
                self._empty[number] += 1

    def mostly_blank(self) -> tuple[str, ...]:
        """Return the columns that are empty in more than 95 % of at least 100 rows."""
        if self._rows < MIN_ROWS:
            return ()
        return tuple(
            column
            for column, empty in zip(self._columns, self._empty, strict=True)
            if empty * 100 > self._rows * MAX_BLANK_PERCENT
        )
