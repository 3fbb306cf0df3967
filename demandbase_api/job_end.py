"""What the bad ends of a job mean for a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.errors import JobCancelledError, JobFailedError, JobGoneError
from demandbase_api.scrub import mask_values, scrub

if TYPE_CHECKING:
    from demandbase_api.errors import NotFoundError
    from demandbase_api.job_source import Job


def job_cancelled(kind: str, entity: str, job: Job) -> JobCancelledError:
    """Return the error for a job that somebody cancelled."""
    return JobCancelledError(
        f"The {kind} job {job.id} for {entity} was cancelled in Demandbase. "
        "Run again to create a new one.",
        kind=kind,
        job_id=job.id,
        entity=entity,
        status=job.status,
    )


def job_gone(kind: str, entity: str, job_id: str, error: NotFoundError) -> JobGoneError:
    """Return the error for a job that the server no longer knows, as it said by an error."""
    return JobGoneError(
        f"Demandbase no longer knows the {kind} job {job_id} for {entity}{error.marks}.",
        kind=kind,
        job_id=job_id,
        entity=entity,
    )


def job_failed(kind: str, entity: str, job: Job, *, may_quote_rows: bool) -> JobFailedError:
    """Return the error for a job that ended as failed, with the server's words, scrubbed."""
    words = scrub(job.error_message or "Demandbase gave no reason")
    if may_quote_rows:
        words = mask_values(words)
    return JobFailedError(
        f"The {kind} job {job.id} for {entity} failed: {words.rstrip('.')}.",
        kind=kind,
        job_id=job.id,
        entity=entity,
        status=job.status,
    )
