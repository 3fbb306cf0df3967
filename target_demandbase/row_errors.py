"""Which rows of a job were rejected: row errors lead to rows of the file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from demandbase_api.models import RowError


BASES = (0, 1, 2)
"""Possible numbers of the first data row in row errors: the API documents none."""

UNCORRELATED = "uncorrelated"

_READS = 3


@dataclass(frozen=True, slots=True)
class RowReject:
    """Why a row is written to the dead letters.

    Args:
        type: Kind of error; ``uncorrelated`` if the error may be about another row.
        reason: Demandbase's words. They may quote the row and must not be logged.
        field: The Demandbase field.
    """

    type: str
    reason: str
    field: str | None = None


@dataclass(frozen=True)
class Outcome:
    """Outcome of the rows of a job.

    Args:
        sent: Number of rows in the file.
        succeeded: Number of rows that Demandbase imported.
        kept: Rows that were rejected, or may have been, by index from 0.
    """

    sent: int
    succeeded: int
    kept: Mapping[int, RowReject] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every row was imported."""
        return self.succeeded == self.sent

    @property
    def is_certain(self) -> bool:
        """Whether the kept rows are exactly those that were not imported."""
        return self.succeeded + len(self.kept) == self.sent and not any(
            each.type == UNCORRELATED for each in self.kept.values()
        )


def read_errors(
    read: Callable[[], Sequence[RowError]], expected: int | None
) -> tuple[RowError, ...]:
    """Return the row errors of a job; read them again if pages may have shifted meanwhile.

    An error that names its row counts once however often it is listed.

    Args:
        read: Reads all pages.
        expected: Number of rejected rows, if the job reports it.
    """
    found: Counter[RowError] = Counter()
    for _ in range(_READS):
        before = found.total()
        # Errors without a row number may be equal and yet be about several rows.
        found |= Counter(
            {
                error: count if error.row_number is None else 1
                for error, count in Counter(read()).items()
            }
        )
        if expected is None or count_rows(found.elements()) >= expected or found.total() == before:
            break
    return tuple(found.elements())


@dataclass(frozen=True)
class RowNumbers:
    """How the row numbers of one job's errors lead to rows.

    Args:
        base: Number of the first data row. ``None`` if it is unknown.
        possible: The bases that fit the errors, or all if none fits.
        rows: Number of data rows.
    """

    base: int | None
    possible: tuple[int, ...] = BASES
    rows: int = 0

    def index(self, error: RowError) -> int | None:
        """Return the data row that an error is about, counted from 0.

        Returns:
            ``None`` if the base is unknown, the error has no number, or no such row was sent.
        """
        if self.base is None:
            return None
        return next(iter(self._rows_at(error, (self.base,))), None)

    def candidates(self, error: RowError) -> tuple[int, ...]:
        """Return all data rows that an error may be about, counted from 0, in order.

        Returns:
            Nothing if the error has no number, or no base leads to a row that was sent.
        """
        return self._rows_at(error, self.possible if self.base is None else (self.base,))

    def _rows_at(self, error: RowError, bases: Sequence[int]) -> tuple[int, ...]:
        number = error.row_number
        if number is None:
            return ()
        return tuple(sorted(number - base for base in bases if 0 <= number - base < self.rows))


def row_numbers(
    errors: Sequence[RowError], rows: int, value: Callable[[int, str], str | None]
) -> RowNumbers:
    """Find the base of one job's row numbers by the values that its errors quote.

    Args:
        errors: All row errors of the job.
        rows: Number of data rows.
        value: Returns a value of the file by data row, counted from 0, and Demandbase field;
            ``None`` if no column fills the field.
    """
    fitting = tuple(
        base for base in BASES if all(_fits(error, base, rows, value) for error in errors)
    )
    base = fitting[0] if len(fitting) == 1 else None
    return RowNumbers(base, fitting or BASES, rows)


def _fits(error: RowError, base: int, rows: int, value: Callable[[int, str], str | None]) -> bool:
    if error.row_number is None:
        return True
    row = error.row_number - base
    if not 0 <= row < rows:
        return False
    # An error without a value proves nothing: taken as an empty value, it would speak for a
    # neighbour whose value happens to be empty.
    if error.field is None or error.value is None:
        return True
    staged = value(row, error.field)
    return staged is None or staged.strip() == error.value.strip()


def rejected_rows(
    errors: Sequence[RowError], rows: int, value: Callable[[int, str], str | None]
) -> dict[int, RowReject]:
    """Return the rows that errors are about, or may be about, by index.

    Args:
        errors: All row errors of the job.
        rows: Number of data rows.
        value: See ``row_numbers``.
    """
    numbers = row_numbers(errors, rows, value)
    kept: dict[int, RowReject] = {}
    for error in errors:
        index = numbers.index(error)
        if index is not None:
            kept[index] = RowReject(error.error_type or "unknown", _reason(error), error.field)
            continue
        for row in numbers.candidates(error) or range(numbers.rows):
            kept.setdefault(row, RowReject(UNCORRELATED, _reason(error), error.field))
    return kept


def _reason(error: RowError) -> str:
    return error.message or error.error_type or "Demandbase gave no reason"


def count_rows(errors: Iterable[RowError]) -> int:
    """Return the number of rows that errors are about; several errors about one row count once."""
    numbers = {error.row_number for error in errors if error.row_number is not None}
    return len(numbers) + sum(error.row_number is None for error in errors)
