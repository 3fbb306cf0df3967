"""What row numbers in Demandbase's row errors mean, worked out for each job.

No document says whether the first data row is number 0 or 1, or 2 where the header counts too. The
wrong guess would keep a good row and lose the rejected one, so a base is taken only where the
errors leave no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demandbase_api.models import RowError

BASES = (0, 1, 2)


@dataclass(frozen=True)
class RowNumbers:
    """How to find the rows that one job's errors are about.

    Args:
        base: Number of the first data row; None where that stayed open.
        possible: The bases that the errors leave open; all of them where none fits.
        rows: How many data rows were sent.
    """

    base: int | None
    possible: tuple[int, ...] = BASES
    rows: int = 0

    def index(self, error: RowError) -> int | None:
        """Return the data row that an error is about, counted from 0.

        Returns:
            None where the base is open, the error has no number, or no such row was sent.
        """
        if self.base is None:
            return None
        return next(iter(self._rows_at(error, (self.base,))), None)

    def candidates(self, error: RowError) -> tuple[int, ...]:
        """Return all data rows that an error may be about, counted from 0, in rising order.

        Returns:
            Empty where the error has no number, or no base leads to a row that was sent.
        """
        return self._rows_at(error, self.possible if self.base is None else (self.base,))

    def _rows_at(self, error: RowError, bases: Sequence[int]) -> tuple[int, ...]:
        number = error.row_number
        if number is None:
            return ()
        return tuple(sorted(number - base for base in bases if 0 <= number - base < self.rows))


def row_of(
    errors: Sequence[RowError], rows: int, cell: Callable[[int, str], str | None]
) -> RowNumbers:
    """Work out what the row numbers of one job mean.

    Args:
        errors: All row errors of the job.
        rows: How many data rows were sent.
        cell: The staged text by data row (counted from 0) and Demandbase field; None where the
            file has no such column.
    """
    fitting = tuple(
        base for base in BASES if all(_fits(error, base, rows, cell) for error in errors)
    )
    base = fitting[0] if len(fitting) == 1 else None
    return RowNumbers(base, fitting or BASES, rows)


def _fits(error: RowError, base: int, rows: int, cell: Callable[[int, str], str | None]) -> bool:
    if error.row_number is None:
        return True
    row = error.row_number - base
    if not 0 <= row < rows:
        return False
    # A value that is left out is no empty value: taken as one, it would speak for a neighbour
    # whose cell happens to be empty.
    if error.field is None or error.value is None:
        return True
    staged = cell(row, error.field)
    return staged is None or staged.strip() == error.value.strip()
