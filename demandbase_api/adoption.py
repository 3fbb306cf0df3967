"""Which job that is there already can stand in for a new one; pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from demandbase_api.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from demandbase_api.models import ExportJob

EXPIRY_MARGIN = timedelta(minutes=1)
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class TakenJob:
    """The last job whose records have been delivered: an older one would repeat them.

    Args:
        id: The job.
        created_at: When it was created.
    """

    id: str
    created_at: datetime


def adoptable(  # noqa: PLR0913 - all of them bear on it
    jobs: Iterable[ExportJob],
    *,
    fits: Callable[[ExportJob], bool],
    now: datetime,
    max_age: timedelta,
    taken: TakenJob | None,
    used: Collection[str],
) -> ExportJob | None:
    """Return the newest job that can be adopted.

    Args:
        jobs: The jobs that there are.
        fits: Whether a job was asked for exactly what is wanted.
        now: The moment in UTC.
        max_age: How old a job may be.
        taken: The last job that has been delivered.
        used: Ids of jobs that have a use already.
    """
    found = [
        job
        for job in jobs
        if job.id not in used
        and _is_usable(job, now)
        and job.created_at is not None
        and now - job.created_at <= max_age
        and not (taken and (job.id == taken.id or job.created_at < taken.created_at))
        and fits(job)
    ]
    return max(found, key=lambda job: job.created_at or _EPOCH, default=None)


def _is_usable(job: ExportJob, now: datetime) -> bool:
    match job.status:
        case JobStatus.COMPLETED:
            return job.expires_at is None or job.expires_at > now + EXPIRY_MARGIN
        case JobStatus.FAILED | JobStatus.CANCELLED:
            return False
        case _:
            return True
