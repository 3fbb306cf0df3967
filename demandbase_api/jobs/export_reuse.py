"""Finds jobs in the list: those of an interrupted run, and those whose creation got no response."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING

from demandbase_api.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    QuotaExceededError,
)
from demandbase_api.jobs.job_reader import recent
from demandbase_api.models import JobStatus, has_expired, was_created_since

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from demandbase_api.clock import Clock
    from demandbase_api.deadline import Deadline
    from demandbase_api.jobs.export_journal import ExportJournal
    from demandbase_api.models import ExportJob, ExportRequest
    from demandbase_api.ports import ExportApi


logger = logging.getLogger(__name__)

EXPIRY_MARGIN = timedelta(minutes=1)
"""Minimum time until a reused job's file expires."""

_MIN_LOOKBACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DeliveredJob:
    """A job whose records have been delivered.

    Args:
        id: Id of the job.
        created_at: Its creation time.
    """

    id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveredJobs:
    """The jobs that the last run of a stream delivered. Their records would be outdated.

    Args:
        newest: The job that was created last.
        ids: Ids of all of them, at least of those that are young enough to be reused.
    """

    newest: DeliveredJob
    ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, jobs: Collection[DeliveredJob], max_age: timedelta) -> DeliveredJobs:
        """Return the jobs of a run without those that are too old to be reused.

        Args:
            jobs: The jobs, at least one.
            max_age: Maximum age of a reused job.
        """
        newest = max(jobs, key=lambda job: job.created_at)
        since = newest.created_at - max_age
        return cls(newest, frozenset(job.id for job in jobs if job.created_at >= since))

    def covers(self, job: ExportJob) -> bool:
        """Return whether a job is one of them, or no newer than all of them."""
        return (
            job.id in self.ids
            or job.id == self.newest.id
            or (job.created_at is not None and job.created_at <= self.newest.created_at)
        )


@dataclass(slots=True)
class ListedJobs:
    """The jobs that existed when the list was read.

    Args:
        ids: Ids of the jobs that were read.
        newest: Creation time of the newest of them.
        is_complete: Whether all of the list was read, and not only the newest jobs.
    """

    ids: set[str] = field(default_factory=set)
    newest: datetime | None = None
    is_complete: bool = False

    def recorded(self, jobs: Iterator[ExportJob]) -> Iterator[ExportJob]:
        """Yield the jobs of the list and record them."""
        for job in jobs:
            self.ids.add(job.id)
            if job.created_at is not None:
                self.newest = max(self.newest or job.created_at, job.created_at)
            yield job
        self.is_complete = True

    def is_newer(self, job: ExportJob) -> bool:
        """Return whether a job was certainly created after the list was read.

        Creation times are compared with each other, not with a clock.
        """
        if job.id in self.ids:
            return False
        if self.is_complete:
            return True
        return (
            job.created_at is not None and self.newest is not None and job.created_at >= self.newest
        )


class ExportReuse:
    """Chooses jobs that this run did not create, or does not know that it did.

    Args:
        api: The export API.
        reuse_hours: Maximum age of a reused job in hours; 0 disables reuse.
        clock: Clock of the ages if the server sends no time.
        journal: Jobs that runs on this machine have begun.
    """

    def __init__(
        self, api: ExportApi, reuse_hours: float, clock: Clock, journal: ExportJournal
    ) -> None:
        self._api = api
        self._max_age = timedelta(hours=reuse_hours)
        self._clock = clock
        self._journal = journal
        self._jobs: list[ExportJob] | None = None
        self._listed: ListedJobs | None = None

    def find_reusable(
        self,
        request: ExportRequest,
        delivered: DeliveredJobs | None,
        used: Collection[str],
        deadline: Deadline,
    ) -> ExportJob | None:
        """Return a job that serves a request; the first call reads the list of jobs.

        Jobs that a run on this machine has begun come first: another client's may never end.

        Args:
            request: The request.
            delivered: Jobs that the last run of the stream delivered.
            used: Ids of jobs that are in use.
            deadline: Moment until which the list must be read. Without it, no job is reused.
        """
        jobs = self._read_list(deadline)
        if not self._max_age:
            return None
        self._read_unlisted(request, used, deadline)
        now = self.now()
        found = [
            job
            for job in jobs
            if job.id not in used
            and self._api.is_for(job, request)
            and may_reuse(
                job,
                now=now,
                max_age=self._max_age,
                delivered=delivered,
                is_begun=self._journal.is_begun(request, job),
                is_unusable=self._journal.is_unusable(request, job.id),
            )
        ]
        return max(
            found,
            key=lambda job: (self._journal.is_begun(request, job), job.created_at or now),
            default=None,
        )

    def find_created(
        self,
        request: ExportRequest,
        posted_at: datetime | None,
        delivered: DeliveredJobs | None,
        used: Collection[str],
        deadline: Deadline,
    ) -> ExportJob | None:
        """Return a job that a request created whose response was lost.

        All of the list is read, since its order is not reliable.

        Args:
            request: The request.
            posted_at: The server's time when the request was first sent, if known.
            delivered: Jobs that the last run of the stream delivered.
            used: Ids of jobs that are in use.
            deadline: Moment until which the list must be read.

        Raises:
            ApiError: The list cannot be read.
        """
        now = self.now()
        for job in self._api.jobs(deadline):
            if (
                job.id not in used
                and self._api.is_for(job, request)
                and _is_usable(job, now)
                and not (delivered is not None and delivered.covers(job))
                and not self._journal.is_unusable(request, job.id)
                and may_be_created(
                    job,
                    is_own=self._api.is_own(job),
                    posted_at=posted_at,
                    listed=self._listed,
                )
            ):
                return job
        return None

    def existed(self, job: ExportJob) -> bool:
        """Return whether a job was in the list before this run created any."""
        return self._listed is not None and job.id in self._listed.ids

    def now(self) -> datetime:
        """Return the time of the server, or of the machine if the server sends none."""
        return self._api.server_time() or self._clock.utc()

    def _read_list(self, deadline: Deadline) -> list[ExportJob]:
        if self._jobs is None:
            listed = ListedJobs()
            jobs = listed.recorded(self._api.jobs(deadline))
            try:
                first = list(islice(jobs, 1))
                # From here on, the server's time is known.
                since = self.now() - max(self._max_age, _MIN_LOOKBACK)
                self._jobs = list(recent(chain(first, jobs), since))
                self._listed = listed
            except (AuthenticationError, QuotaExceededError):
                raise
            except ApiError as error:
                logger.warning("No job of an earlier run can be reused: %s", error)
                self._jobs = []
        return self._jobs

    def _read_unlisted(
        self, request: ExportRequest, used: Collection[str], deadline: Deadline
    ) -> None:
        """Read the jobs that a run has begun and that the list does not have, perhaps not yet."""
        if self._jobs is None or self._listed is None:
            return
        listed = self._listed.ids.union(used, (job.id for job in self._jobs))
        for job_id in self._journal.begun(request):
            if job_id in listed:
                continue
            try:
                self._jobs.append(self._api.get(job_id, deadline))
            except (AuthenticationError, QuotaExceededError):
                raise
            except NotFoundError:
                pass
            except ApiError as error:
                logger.warning("The export job %s cannot be reused: %s", job_id, error)


def may_reuse(  # noqa: PLR0913 - each is a condition of reuse
    job: ExportJob,
    *,
    now: datetime,
    max_age: timedelta,
    delivered: DeliveredJobs | None,
    is_begun: bool,
    is_unusable: bool,
) -> bool:
    """Return whether a job of an equal request may take the place of a new one.

    A completed job may have been delivered already, unless the state or the journal proves that it
    has not.

    Args:
        job: The job.
        now: The server's time.
        max_age: Maximum age of the job.
        delivered: Jobs that the last run of the stream delivered; ``None`` without a state.
        is_begun: Whether the journal says that a run began with the job and did not deliver it.
        is_unusable: Whether the journal says that the job has been given up or delivered.
    """
    if is_unusable or not _is_usable(job, now):
        return False
    if job.created_at is None or now - job.created_at > max_age:
        return False
    if job.status is JobStatus.UNKNOWN and not is_begun:
        return False  # it may have ended
    if delivered is not None:
        return not delivered.covers(job)
    return is_begun or not job.status.is_terminal


def may_be_created(
    job: ExportJob,
    *,
    is_own: bool | None,
    posted_at: datetime | None,
    listed: ListedJobs | None,
) -> bool:
    """Return whether a job is the one that a lost request created, and not an earlier one.

    Args:
        job: A job of an equal request.
        is_own: Whether its name says that this run created it; ``None`` if names do not say.
        posted_at: The server's time when the request was first sent, if known.
        listed: Jobs that existed before; ``None`` if the list could not be read.
    """
    if is_own is not None:
        return is_own
    if listed is not None and not listed.is_newer(job):
        return False
    is_new = None if posted_at is None else was_created_since(job, posted_at)
    return listed is not None if is_new is None else is_new


def _is_usable(job: ExportJob, now: datetime) -> bool:
    match job.status:
        case JobStatus.COMPLETED:
            return not has_expired(job, now + EXPIRY_MARGIN)
        case JobStatus.FAILED | JobStatus.CANCELLED:
            return False
        case _:
            return True
