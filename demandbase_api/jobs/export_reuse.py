"""Finds jobs in the list: what an interrupted run left behind, and what a lost reply was about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from demandbase_api.jobs.poller import recent
from demandbase_api.models import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from demandbase_api.clock import Clock
    from demandbase_api.models import ExportJob, ExportRequest
    from demandbase_api.ports import ExportApi


EXPIRY_MARGIN = timedelta(minutes=1)

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class DeliveredJob:
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
    taken: DeliveredJob | None,
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


_MIN_LOOKBACK = timedelta(hours=1)


class ExportReuse:
    """The jobs that were there before this run created any.

    Args:
        api: Where the jobs are.
        reuse_hours: How old a job may be that is adopted; 0 for none.
        clock: Time.
    """

    def __init__(self, api: ExportApi, reuse_hours: float, clock: Clock) -> None:
        self._api = api
        self._max_age = timedelta(hours=reuse_hours)
        self._clock = clock
        self._listed: list[ExportJob] | None = None
        self._known: set[str] = set()

    def adoptable(
        self, request: ExportRequest, taken: DeliveredJob | None, used: Collection[str]
    ) -> ExportJob | None:
        """Return a job that can stand in for a new one; the list is read the first time.

        Args:
            request: What is wanted.
            taken: The last job of this kind that has been delivered.
            used: Ids of jobs that have a use already.
        """
        listed = self._snapshot()
        if not self._max_age:
            return None
        return adoptable(
            listed,
            fits=lambda job: self._api.is_for(job, request),
            now=self._clock.utc(),
            max_age=self._max_age,
            taken=taken,
            used=used,
        )

    def created(self, request: ExportRequest, used: Collection[str]) -> ExportJob | None:
        """Return a job for a request that was not there before and has no use yet.

        All of the list is read: neither its order nor the two clocks are to be relied on.
        """
        for job in self._api.jobs():
            if (
                job.id not in self._known
                and job.id not in used
                and job.status not in {JobStatus.CANCELLED, JobStatus.FAILED}
                and self._api.is_for(job, request)
            ):
                return job
        return None

    def _snapshot(self) -> list[ExportJob]:
        if self._listed is None:
            age = max(self._max_age, _MIN_LOOKBACK)
            self._listed = list(recent(self._api.jobs(), self._clock.utc() - age))
            self._known.update(job.id for job in self._listed)
        return self._listed
