"""Finds jobs in the list: those of an interrupted run, and those whose creation got no response."""

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
"""Minimum time until a reused job's file expires."""

_MIN_LOOKBACK = timedelta(hours=1)

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class DeliveredJob:
    """The last job whose records have been delivered. An older job would repeat them.

    Args:
        id: Id of the job.
        created_at: Its creation time.
    """

    id: str
    created_at: datetime


class ExportReuse:
    """The jobs that existed before this run created any.

    Args:
        api: The export API.
        reuse_hours: Maximum age of a reused job in hours; 0 disables reuse.
        clock: Clock of the ages.
    """

    def __init__(self, api: ExportApi, reuse_hours: float, clock: Clock) -> None:
        self._api = api
        self._max_age = timedelta(hours=reuse_hours)
        self._clock = clock
        self._listed: list[ExportJob] | None = None
        self._known: set[str] = set()

    def find_reusable(
        self, request: ExportRequest, delivered: DeliveredJob | None, used: Collection[str]
    ) -> ExportJob | None:
        """Return a job that serves a request. The first call reads the list of jobs.

        Args:
            request: The request.
            delivered: Last job of this request that has been delivered.
            used: Ids of jobs that are in use.
        """
        listed = self._read_list()
        if not self._max_age:
            return None
        return newest_reusable(
            listed,
            matches=lambda job: self._api.is_for(job, request),
            now=self._clock.utc(),
            max_age=self._max_age,
            delivered=delivered,
            used=used,
        )

    def find_created(self, request: ExportRequest, used: Collection[str]) -> ExportJob | None:
        """Return a job for a request that was not in the first list and is not in use.

        All of the list is read, since neither its order nor the two clocks are reliable.
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

    def _read_list(self) -> list[ExportJob]:
        if self._listed is None:
            age = max(self._max_age, _MIN_LOOKBACK)
            self._listed = list(recent(self._api.jobs(), self._clock.utc() - age))
            self._known.update(job.id for job in self._listed)
        return self._listed


def newest_reusable(  # noqa: PLR0913 - each is a condition of reuse
    jobs: Iterable[ExportJob],
    *,
    matches: Callable[[ExportJob], bool],
    now: datetime,
    max_age: timedelta,
    delivered: DeliveredJob | None,
    used: Collection[str],
) -> ExportJob | None:
    """Return the newest job that can be reused.

    Args:
        jobs: The listed jobs.
        matches: Whether a job was created by an equal request.
        now: Current time in UTC.
        max_age: Maximum age of the job.
        delivered: Last job that has been delivered.
        used: Ids of jobs that are in use.
    """
    found = [
        job
        for job in jobs
        if job.id not in used
        and _is_usable(job, now)
        and job.created_at is not None
        and now - job.created_at <= max_age
        and not (delivered and (job.id == delivered.id or job.created_at < delivered.created_at))
        and matches(job)
    ]
    return max(found, key=lambda job: job.created_at or _EPOCH, default=None)


def _is_usable(job: ExportJob, now: datetime) -> bool:
    match job.status:
        case JobStatus.COMPLETED:
            return job.expires_at is None or job.expires_at > now + EXPIRY_MARGIN
        case JobStatus.FAILED | JobStatus.CANCELLED | JobStatus.UNKNOWN:
            return False
        case _:
            return True
