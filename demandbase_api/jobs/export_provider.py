"""Provides the job of an export: one that exists already, or a new one, and none twice."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from demandbase_api.clock import iso_time
from demandbase_api.deadline import Deadline
from demandbase_api.errors import DemandbaseError
from demandbase_api.jobs.export_reuse import ExportReuse
from demandbase_api.jobs.poll_times import PollPolicy
from demandbase_api.jobs.submitter import ExportSubmitter
from demandbase_api.threads import run_with_timeout

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.export_journal import ExportJournal
    from demandbase_api.jobs.export_reuse import DeliveredJobs
    from demandbase_api.jobs.submitter import Submitted
    from demandbase_api.models import ExportJob, ExportRequest
    from demandbase_api.ports import ExportApi


logger = logging.getLogger(__name__)

_LIST_SHARE = 0.5
"""Share of a job's time that reading the list of earlier jobs may take."""
_AHEAD_SHARE = 0.5
"""Share of a job's time that its creation ahead of its turn may take: later ones wait for it."""
_LOST_JOB_SECONDS = 2.5
"""Time in which a job whose creation was interrupted may appear in the list."""
_LOOKUP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ExportTask:
    """One export of the run.

    Args:
        request: Request of the export job.
        delivered: Jobs that the last run of the stream delivered; they are not reused.
    """

    request: ExportRequest
    delivered: DeliveredJobs | None = None


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """Limits and waits of the export jobs.

    Args:
        max_concurrent_jobs: Maximum number of jobs that run at a time.
        job_reuse_hours: Maximum age of a reused job in hours; 0 disables reuse.
        retry: Retries of a request that created no job.
        quota_wait_hours: Maximum time to wait for a new quota; 0 to fail at once.
        poll: Intervals in which to poll, for the jobs of other clients, too.
    """

    max_concurrent_jobs: int
    job_reuse_hours: float
    retry: RetryPolicy
    quota_wait_hours: float
    poll: PollPolicy = field(default_factory=PollPolicy)


@dataclass(frozen=True, slots=True)
class ProvidedJob:
    """The job of a task.

    Args:
        job: The job.
        created_at: When it was created, or requested.
        deadline: Moment until which it must end.
        is_own: Whether it is proven that this run created it.
        is_adopted: Whether it existed before, and is used instead of a new one.
        answered_at: When the response to its creation came, on the run's clock, if one came.
    """

    job: ExportJob
    created_at: datetime
    deadline: Deadline
    is_own: bool
    is_adopted: bool = False
    answered_at: float | None = None


class ExportProvider:
    """Finds or creates the jobs of one run. Its methods wait, so they are called in a thread.

    Args:
        api: The export API.
        policy: Limits and waits.
        clock: Clock of the jobs.
        journal: Remembers the jobs if the process ends.
    """

    def __init__(
        self, api: ExportApi, policy: ExportPolicy, clock: Clock, journal: ExportJournal
    ) -> None:
        self._api = api
        self._clock = clock
        self._journal = journal
        self._timeout = policy.poll.timeout_seconds
        self._tasks: dict[ExportRequest, ExportTask] = {}
        self._used: set[str] = set()
        self._reuse = ExportReuse(api, policy.job_reuse_hours, clock, journal)
        self.submitter = ExportSubmitter(
            api,
            self._find_created,
            retry=policy.retry,
            poll=policy.poll,
            quota_wait_hours=policy.quota_wait_hours,
            clock=clock,
        )

    def provide(self, task: ExportTask, *, may_reuse: bool, may_wait_for_slot: bool) -> ProvidedJob:
        """Return a job for a task; wait for all that its creation needs.

        Args:
            task: The task.
            may_reuse: Whether a job may be used that exists already.
            may_wait_for_slot: Whether to wait while other jobs take all slots.

        Raises:
            QuotaExceededError: There was no new quota in time.
            BusyError: No slot became free in time.
            ApiError: No job was created in time.
        """
        deadline = self._job_deadline()
        job = self._find_reusable(task, self._used, deadline) if may_reuse else None
        if job is not None:
            return self._reused(task, job)
        requested_at = self._begin_creation(task)
        submitted = self.submitter.submit_when_possible(
            task.request, deadline, may_wait_for_slot=may_wait_for_slot
        )
        return self._created(task, submitted, requested_at, submitted.deadline)

    def provide_now(self, task: ExportTask, *, may_reuse: bool) -> ProvidedJob:
        """Return a job for a task, with one try for each call.

        Raises:
            ApiError: A call failed.
        """
        at_once = Deadline.after(self._clock, _AHEAD_SHARE * self._timeout).without_retries()
        job = self._find_reusable(task, self._used, at_once) if may_reuse else None
        if job is not None:
            return self._reused(task, job)
        requested_at = self._begin_creation(task)
        submitted = self.submitter.submit(task.request, at_once)
        return self._created(task, submitted, requested_at, self._job_deadline())

    def count_reusable(self, tasks: Collection[ExportTask]) -> int:
        """Return the number of tasks that need no new job."""
        deadline = self._job_deadline()
        used = set(self._used)
        for task in tasks:
            job = self._find_reusable(task, used, deadline)
            if job is not None:
                used.add(job.id)
        return len(used) - len(self._used)

    def find_lost(self) -> dict[ExportRequest, ExportJob | None]:
        """Look up the jobs of requests whose responses were lost, for up to 3 seconds.

        Returns:
            The job of each such request, or ``None`` if it is not in the list.
        """
        found: dict[ExportRequest, ExportJob | None] = {}
        run_with_timeout(_LOST_JOB_SECONDS + _LOOKUP_SECONDS, [partial(self._look_up, found)])
        return {request: found.get(request) for request in self.submitter.unconfirmed}

    def find_doubles(self) -> dict[ExportRequest, ExportJob | None]:
        """Look up the jobs that requests created in addition to the run's, for up to 3 seconds.

        Returns:
            The job of each such request, or ``None`` if the list cannot say yet whether there is
            one.
        """
        found: dict[ExportRequest, ExportJob | None] = {}
        requests = self.submitter.repeated
        if requests:
            run_with_timeout(
                _LOST_JOB_SECONDS + _LOOKUP_SECONDS, [partial(self._look_up_doubles, found)]
            )
        return {
            request: found.get(request)
            for request in requests
            if found.get(request) is not None
            or request not in found
            or self.submitter.may_be_unlisted(request)
        }

    def _look_up_doubles(self, found: dict[ExportRequest, ExportJob | None]) -> None:
        deadline = Deadline.after(self._clock, _LOST_JOB_SECONDS).without_retries()
        for request in self.submitter.repeated:
            with suppress(DemandbaseError):
                found[request] = self.submitter.find_unconfirmed(request, deadline)

    def _look_up(self, found: dict[ExportRequest, ExportJob | None]) -> None:
        """Find jobs whose creation was interrupted; they may appear in the list with a delay."""
        deadline = Deadline.after(self._clock, _LOST_JOB_SECONDS)
        while missing := [each for each in self.submitter.unconfirmed if not found.get(each)]:
            for request in missing:
                with suppress(DemandbaseError):
                    found[request] = self.submitter.find_unconfirmed(request, deadline)
            if deadline.has_passed:
                return
            self._clock.sleep(_LOOKUP_SECONDS)

    def _job_deadline(self) -> Deadline:
        return Deadline.after(self._clock, self._timeout)

    def _find_reusable(
        self, task: ExportTask, used: Collection[str], deadline: Deadline
    ) -> ExportJob | None:
        deadline = deadline.within(_LIST_SHARE * deadline.left())
        return self._reuse.find_reusable(task.request, task.delivered, used, deadline)

    def _reused(self, task: ExportTask, job: ExportJob) -> ProvidedJob:
        logger.info(
            "Adopted the export job %s for %s, created at %s and now %s, instead of a new one",
            job.id,
            task.request.entity,
            iso_time(job.created_at) or "an unknown time",
            job.status_text,
        )
        self._begin(task, job)
        created_at = job.created_at or self._reuse.now()
        return ProvidedJob(job, created_at, self._job_deadline(), is_own=False, is_adopted=True)

    def _begin_creation(self, task: ExportTask) -> datetime:
        """Record that a job is about to be requested; return the time."""
        self._tasks[task.request] = task
        self._journal.post(task.request, self._api.server_time())
        return self._reuse.now()

    def _created(
        self,
        task: ExportTask,
        submitted: Submitted[ExportJob],
        requested_at: datetime,
        deadline: Deadline,
    ) -> ProvidedJob:
        job = submitted.job
        answered_at = self._clock.now() if submitted.is_answered else None
        if submitted.is_answered:
            logger.info("Created the export job %s for %s", job.id, task.request.entity)
        self._begin(task, job)
        # Another client may have sent an equal request at the same time.
        is_answered = submitted.is_answered and not self._reuse.existed(job)
        is_own = is_answered or self._api.is_own(job) is True
        created_at = job.created_at or requested_at
        return ProvidedJob(job, created_at, deadline, is_own=is_own, answered_at=answered_at)

    def _begin(self, task: ExportTask, job: ExportJob) -> None:
        self._used.add(job.id)
        self._journal.begin(task.request, job.id)

    def _find_created(
        self, request: ExportRequest, posted_at: datetime | None, deadline: Deadline
    ) -> ExportJob | None:
        task = self._tasks[request]
        return self._reuse.find_created(request, posted_at, task.delivered, self._used, deadline)
