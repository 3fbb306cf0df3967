"""What became of the rows of a job: which were taken, which were not, which nobody can tell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from demandbase_api.errors import job_cancelled, job_failed
from demandbase_api.models import JobStatus
from target_demandbase.errors import ReconciliationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from demandbase_api.models import ImportJob, RowError


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


UNCORRELATED = "uncorrelated"

JOB_FAILED = "job_failed"

_READS = 3


@dataclass(frozen=True, slots=True)
class RowReject:
    """Why a row is kept.

    Args:
        type: Kind of error; ``uncorrelated`` where the row may be another one.
        reason: Demandbase's words; they may quote the row, so they belong beside it only.
        field: The field concerned.
    """

    type: str
    reason: str
    field: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job's rows.

    Args:
        sent: Rows of the file.
        succeeded: Rows that Demandbase took.
        kept: Why each row is kept that was not taken, or may not have been; by number from 0.
        problem: Why the run has to end all the same.
    """

    sent: int
    succeeded: int
    kept: Mapping[int, RowReject] = field(default_factory=dict)
    problem: ReconciliationError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every row was imported."""
        return self.succeeded == self.sent

    @property
    def is_certain(self) -> bool:
        """Whether the rows that are kept are those that were not taken, and no others."""
        guesses = {UNCORRELATED, JOB_FAILED}
        return self.succeeded + len(self.kept) == self.sent and not any(
            each.type in guesses for each in self.kept.values()
        )


def read_errors(
    read: Callable[[], Sequence[RowError]], expected: int | None
) -> tuple[RowError, ...]:
    """Return the row errors of a job; pages that shift while they are read lose nothing.

    An error that names its row counts once however often it is listed.

    Args:
        read: Reads all pages.
        expected: How many rows they are about, where the job says it.
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
        if expected is None or _rows(found.elements()) >= expected or found.total() == before:
            break
    return tuple(found.elements())


def judge(
    job: ImportJob,
    errors: Sequence[RowError],
    rows: int,
    cell: Callable[[int, str], str | None],
    stream: str,
) -> Outcome:
    """Return what became of the rows that a job was given.

    Args:
        job: The job, at its end.
        errors: All of its row errors.
        rows: How many rows it was given.
        cell: Returns a cell by row, counted from 0, and Demandbase field.
        stream: The stream, for messages.

    Raises:
        JobFailedError: It failed and says nothing of its rows.
        JobCancelledError: Somebody cancelled it.
    """
    if job.status is JobStatus.CANCELLED:
        raise job_cancelled("import", stream, job)
    has_failed = job.status is JobStatus.FAILED
    if has_failed and not job.success_count and not errors:
        raise job_failed("import", stream, job, may_quote_rows=True)
    taken = job.success_count or 0
    # One that is not said follows from the others, and must be what the list of errors holds.
    rejected = rows - taken if has_failed or job.error_count is None else job.error_count
    problem = None if has_failed else _problem(job, stream, errors, rows, rejected)
    numbers = row_of(errors, rows, cell)
    kept: dict[int, RowReject] = {}
    for error in errors:
        index = numbers.index(error)
        if index is not None:
            kept[index] = RowReject(error.error_type or "unknown", _words(error), error.field)
            continue
        for row in numbers.candidates(error) or range(rows):
            kept.setdefault(row, RowReject(UNCORRELATED, _words(error), error.field))
    is_certain = all(each.type != UNCORRELATED for each in kept.values())
    if has_failed and not (is_certain and taken + len(kept) == rows):
        # Which of the other rows it came to is not said: all of them are kept.
        for row in range(rows):
            kept.setdefault(row, RowReject(JOB_FAILED, job.error_message or "the job failed"))
    return Outcome(rows, taken, kept, problem)


def check_accepted(job: ImportJob, stream: str) -> None:
    """Make sure that a job, which says nothing of its rows, came to a good end.

    Args:
        job: The job, at its end.
        stream: The stream, for messages.

    Raises:
        JobFailedError: It failed; it may have taken some of its rows.
        JobCancelledError: Somebody cancelled it.
    """
    if job.status is JobStatus.CANCELLED:
        raise job_cancelled("import", stream, job)
    if job.status is JobStatus.FAILED:
        words = "this API does not say why, nor which rows it took: see the import audit"
        told = replace(job, error_message=job.error_message or f"{words} in Demandbase")
        raise job_failed("import", stream, told, may_quote_rows=job.error_message is not None)


def _problem(
    job: ImportJob, stream: str, errors: Sequence[RowError], rows: int, rejected: int
) -> ReconciliationError | None:
    """Return what does not add up, where anything does not."""
    counted = job.success_count
    figures = [
        ("total_rows", job.total_rows, rows),
        ("success_count", counted, rows - rejected)
        if counted is None or job.error_count is None
        else ("success_count + error_count", counted + rejected, rows),
        ("the number of rows in the list of row errors", _rows(errors), rejected),
    ]
    for figure, says, expected in figures:
        if says is None:
            told = f"does not say {figure}, which should be {expected}"
        elif says != expected:
            told = (
                f"says {figure} is {says}, but should be {expected} "
                f"(it differs by {says - expected:+d})"
            )
        else:
            continue
        return ReconciliationError(
            f"The import job {job.id} of stream {stream} {told}. Look at the job in Demandbase "
            "before you run again.",
            stream=stream,
        )
    return None


def _words(error: RowError) -> str:
    return error.message or error.error_type or "Demandbase gave no reason"


def _rows(errors: Iterable[RowError]) -> int:
    """Return how many rows the errors are about; several errors on one row are one."""
    numbers = {error.row_number for error in errors if error.row_number is not None}
    return len(numbers) + sum(error.row_number is None for error in errors)
