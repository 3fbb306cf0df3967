"""Whether an import succeeded: one rule for the status, the figures and the list of row errors.

| Status | Figures | Verdict | State | Next run (add-only: insert, activities) |
| --- | --- | --- | --- | --- |
| completed | all that are there agree | succeeded | emitted | sends what follows |
| completed | some disagree | contradictory | kept back | all again; add-only: reads the job again |
| failed | any | failed | kept back | all again; add-only: stops, unless no row was processed |
| cancelled | any | cancelled | kept back | sends all rows again |
| any other | any | contradictory: the job has not ended | kept back | as above |

The figures agree if id, entity and operation are those that were sent, ``total_rows`` and
``processed_rows`` are the number of rows that were sent, ``success_count`` and ``error_count`` are
not negative and add up to it, and the list of row errors is about ``error_count`` rows. A figure
that is missing contradicts nothing, but an API that counts rows must give one of the two counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from demandbase_api.errors import job_failed
from demandbase_api.jobs.import_decision import View, view_of
from demandbase_api.models import JobStatus
from target_demandbase.errors import ReconciliationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demandbase_api.errors import JobFailedError
    from demandbase_api.models import ImportJob, ImportOperation


_SENT_AGAIN = "The next run sends all rows of the job again."


class Verdict(StrEnum):
    """Result of an import."""

    SUCCEEDED = "succeeded"
    """Each row was imported, or is in the list of row errors."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    CONTRADICTORY = "contradictory"
    """The status says that the job succeeded, and a figure disagrees."""


@dataclass(frozen=True, slots=True)
class SentFile:
    """What was sent.

    Args:
        job_id: Id of the job that got the file.
        stream: Name of the stream, for messages.
        entity: The entity.
        operation: The operation.
        rows: Number of rows in the file.
        is_add_only: Whether rows that are sent again are added a second time.
    """

    job_id: str
    stream: str
    entity: str
    operation: ImportOperation
    rows: int
    is_add_only: bool = False


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A figure that disagrees with what was sent, or with the other figures.

    Args:
        figure: Its name.
        problem: What is wrong with it; shows numbers only.
    """

    figure: str
    problem: str


def verdict(job: ImportJob, sent: SentFile, listed: int | None) -> Verdict:
    """Return the result of an import; see the table at the top.

    Args:
        job: The job at its end.
        sent: What was sent.
        listed: Number of rows that the list of row errors is about. ``None`` if the API counts no
            rows and has no such list.
    """
    match job.status:
        case JobStatus.CANCELLED:
            return Verdict.CANCELLED
        case JobStatus.FAILED:
            return Verdict.FAILED
        case JobStatus.COMPLETED if contradiction(job, sent, listed) is None:
            return Verdict.SUCCEEDED
        case _:
            return Verdict.CONTRADICTORY


def contradiction(job: ImportJob, sent: SentFile, listed: int | None) -> Contradiction | None:
    """Return the first figure of a completed job that disagrees, if there is one."""
    if not job.status.is_terminal:
        return Contradiction("status", "is that of a job that has not ended")
    names = (
        ("id", job.id, sent.job_id),
        ("entity", job.entity, sent.entity),
        ("operation", job.operation, sent.operation.value),
    )
    for figure, reported, expected in names:
        if reported is not None and reported.casefold() != expected.casefold():
            return Contradiction(figure, "is another than was sent")
    return next(_wrong_counts(job, sent.rows, listed), None)


def _wrong_counts(job: ImportJob, rows: int, listed: int | None) -> Iterator[Contradiction]:
    succeeded, rejected = job.success_count, job.error_count
    for figure, count in (("total_rows", job.total_rows), ("processed_rows", job.processed_rows)):
        if count is not None and count != rows:
            yield _differs(figure, count, rows)
    for figure, count in (("success_count", succeeded), ("error_count", rejected)):
        if count is not None and not 0 <= count <= rows:
            yield Contradiction(figure, f"is {count}, but {rows} rows were sent")
    if succeeded is not None and rejected is not None and succeeded + rejected != rows:
        yield _differs("success_count + error_count", succeeded + rejected, rows)
    if listed is None:
        return
    if rejected is None:
        if succeeded is None:
            yield Contradiction("success_count", "is missing, and so is error_count")
            return
        rejected = rows - succeeded
    if listed != rejected:
        yield _differs("the number of rows in the list of row errors", listed, rejected)


def _differs(figure: str, reported: int, expected: int) -> Contradiction:
    return Contradiction(
        figure,
        f"is {reported}, but should be {expected} (it differs by {reported - expected:+d})",
    )


def imported_rows(job: ImportJob, sent: SentFile, listed: int | None) -> int | None:
    """Return the number of rows that a job imported; ``None`` if its figures leave that open."""
    rejected = listed if job.error_count is None else job.error_count
    if rejected is None:
        return None
    done = rejected + (job.success_count or 0)
    counts_agree = (
        job.success_count is not None
        and job.success_count >= 0
        and rejected >= 0
        and done <= sent.rows
        and listed in {None, rejected}
        and job.processed_rows in {None, done}
        and job.total_rows in {None, sent.rows}
    )
    return job.success_count if counts_agree else None


def contradictory(sent: SentFile, found: Contradiction) -> ReconciliationError:
    """Return the error for a job whose figures disagree."""
    next_run = _SENT_AGAIN
    if sent.is_add_only:
        next_run = "The next run reads the job again and does not add its rows a second time."
    return ReconciliationError(
        f"The import job {sent.job_id} of stream {sent.stream} ended as completed, but its figures "
        f"disagree: {found.figure} {found.problem}. Check the job in Demandbase before you run "
        f"again. {next_run}",
        stream=sent.stream,
    )


def failed(
    job: ImportJob, sent: SentFile, listed: int | None, kept: tuple[str, ...] = ()
) -> JobFailedError:
    """Return the error for a failed job: what it did, Demandbase's reason, and what to do.

    Args:
        job: The job.
        sent: What was sent.
        listed: See ``verdict``.
        kept: Files that hold the rows that it rejected.
    """
    if listed is None and not job.error_message:
        words = "this API does not say why, or which rows it accepted: see the import audit"
        job = replace(job, error_message=f"{words} in Demandbase")
        return job_failed(
            "import", sent.stream, job, may_quote_rows=False, more=_next_run(job, sent)
        )
    more = " ".join(
        text
        for text in (
            _what_it_did(job, sent, listed),
            f"The rejected rows are also kept in {', '.join(kept)}." if kept else "",
            _next_run(job, sent),
        )
        if text
    )
    return job_failed("import", sent.stream, job, may_quote_rows=True, more=more)


def _what_it_did(job: ImportJob, sent: SentFile, listed: int | None) -> str:
    if listed is None:
        return ""
    imported = imported_rows(job, sent, listed)
    if imported is None:
        return f"It does not say consistently how many of the {sent.rows} rows it imported."
    rejected = listed if job.error_count is None else job.error_count
    return (
        f"Of {sent.rows} rows it imported {imported} and rejected {rejected}; it did not process "
        f"the other {sent.rows - imported - rejected}."
    )


def _next_run(job: ImportJob, sent: SentFile) -> str:
    is_empty = view_of(job, waits_for_file=False) is View.FAILED_EMPTY
    if sent.is_add_only and not is_empty:
        return (
            "The next run does not add the rows a second time by itself: it stops and says what "
            "to check."
        )
    return _SENT_AGAIN
