"""Runs the export jobs of a run in order, some at a time, and creates none twice."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from demandbase_api.errors import (
    BusyError,
    DemandbaseError,
    JobGoneError,
    JobTimeoutError,
    NotFoundError,
    QuotaExceededError,
    TransientError,
    job_cancelled,
    job_failed,
    job_gone,
)
from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.jobs.export_reuse import ExportReuse
from demandbase_api.jobs.poller import PollPolicy
from demandbase_api.jobs.submitter import ExportSubmitter
from demandbase_api.models import JobStatus
from demandbase_api.threads import run_with_timeout

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.export_reuse import DeliveredJobs
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.jobs.submitter import Submitted
    from demandbase_api.models import ExportJob, ExportRequest
    from demandbase_api.ports import ExportApi


logger = logging.getLogger(__name__)

_LOST_JOB_SECONDS = 2.5
"""Time in which a job whose creation was interrupted may appear in the list."""

_LOOKUP_SECONDS = 0.5

_BUSY_SECONDS = 300.0
"""Seconds in which no job is created early after another client's job blocked one."""


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


@dataclass(slots=True)
class _Entry:
    task: ExportTask
    job_id: str | None = None
    created_at: datetime | None = None
    error: DemandbaseError | None = None
    is_resubmitted: bool = False
    is_own: bool = False
    """Whether it is proven that this run created the job."""


class ExportScheduler:
    """The planned exports of one run, first in, first out.

    Args:
        api: The export API.
        poller: Polls the jobs.
        policy: Limits and waits.
        clock: Clock of the jobs.
        journal: Remembers the jobs if the process ends.
    """

    def __init__(
        self,
        api: ExportApi,
        poller: JobPoller[ExportJob],
        policy: ExportPolicy,
        clock: Clock,
        journal: ExportJournal | None = None,
    ) -> None:
        self._api = api
        self._poller = poller
        self._policy = policy
        self._clock = clock
        self._entries: list[_Entry] = []
        self._used: set[str] = set()
        self._left: dict[str, ExportJob] = {}
        self._busy_until = 0.0
        self._journal = journal or ExportJournal()
        self._reuse = ExportReuse(api, policy.job_reuse_hours, clock, self._journal)
        self._submitter = ExportSubmitter(
            api,
            self._find_created,
            retry=policy.retry,
            poll=policy.poll,
            quota_wait_hours=policy.quota_wait_hours,
            clock=clock,
        )

    def plan(self, tasks: Iterable[ExportTask]) -> None:
        """Add tasks in the order in which the caller will wait for them."""
        self._entries += [_Entry(task) for task in tasks]

    def check_budget(self, more: int = 0) -> None:
        """Check the daily call budget for the planned tasks.

        Args:
            more: Number of jobs that are needed in addition.

        Raises:
            CallBudgetError: The budget is too small; no job has been created.
            ApiError: A call failed.
        """
        if not self._api.capabilities.daily_calls:
            return
        missing = [entry for entry in self._entries if entry.job_id is None]
        reusable: set[str] = set()
        for entry in missing:
            job = self._find_reusable(entry, self._used | reusable)
            if job is not None:
                reusable.add(job.id)
        needed = len(missing) - len(reusable) + more
        self._submitter.check_budget(needed)

    def wait(self, task: ExportTask) -> tuple[ExportJob, datetime]:
        """Wait for a task's job to complete; return the job and its creation time.

        The jobs of later tasks are created meanwhile.

        Raises:
            QuotaExceededError: The daily quota is used up.
            JobError: The job failed, and so did the one that replaced it.
            ApiError: A call failed.
        """
        entry = self._entry(task)
        while True:
            self._submit_ahead(entry)
            if entry.error is not None:
                raise entry.error
            job = self._wait(entry)
            if job is not None:
                created_at = entry.created_at
                assert created_at is not None  # noqa: S101 - set with the job
                self._submit_ahead()
                return job, created_at

    def forget(self, task: ExportTask) -> None:
        """Remove a task whose records have all been delivered."""
        entry = self._entry(task)
        self._entries.remove(entry)
        if entry.job_id is not None:
            self._poller.forget(entry.job_id)

    def give_up(self, task: ExportTask) -> None:
        """Remove a task that failed; cancel its job if this run created it and it still runs."""
        for entry in self._entries:
            if entry.task is task:
                self._entries.remove(entry)
                if entry.job_id is not None:
                    self._poller.cancel([entry.job_id])
                return

    def resubmit(self, task: ExportTask, error: DemandbaseError) -> None:
        """Replace a task's job by a new one, once.

        Args:
            task: The task.
            error: Reason for which the job cannot be used.

        Raises:
            DemandbaseError: The given error, if the job has been replaced before.
        """
        entry = self._entry(task)
        if entry.job_id is not None:
            self._journal.give_up(task.request, entry.job_id)
        if entry.is_resubmitted:
            raise error
        logger.warning("%s Another job is created in its place.", error)
        if entry.job_id is not None:
            job = self._poller.latest(entry.job_id)
            if isinstance(error, JobTimeoutError):
                self._left[job.id] = job
            self._poller.forget(job.id)
        entry.job_id = None
        entry.is_resubmitted = True

    def poll(self) -> None:
        """Poll the jobs if it is time to, and create the jobs that may run now; never waits."""
        if self._poller.poll_if_due():
            self._submit_ahead()

    def next_completed(self, task: ExportTask) -> tuple[ExportTask, ExportJob] | None:
        """Return the task after the given one and its job, if that has completed."""
        following = self._entries[self._entries.index(self._entry(task)) + 1 :][:1]
        for entry in following:
            if entry.job_id is not None:
                job = self._poller.latest(entry.job_id)
                if job.status is JobStatus.COMPLETED:
                    return entry.task, job
        return None

    def close(self) -> None:
        """Cancel the jobs that this run created and that still run, and name the others."""
        found: dict[ExportRequest, ExportJob] = {}
        run_with_timeout(
            _LOST_JOB_SECONDS + _LOOKUP_SECONDS, [partial(self._look_up_unconfirmed, found)]
        )
        for request in self._submitter.unconfirmed:
            job = found.get(request)
            if job is None:
                logger.warning(
                    "An export job for %s may have been created and may still run: the response to "
                    "its creation was lost, and it was not found in Demandbase's list of jobs",
                    request.entity,
                )
            else:
                self._poller.add(job, request.entity, own=self._api.is_own(job) is True)
            self._submitter.confirm(request)
        self._poller.close()
        for job_id, job in self._left.items():
            logger.warning("The export job %s for %s may still run", job_id, job.entity)

    def _look_up_unconfirmed(self, found: dict[ExportRequest, ExportJob]) -> None:
        """Find jobs whose creation was interrupted; they may appear in the list with a delay."""
        deadline = self._clock.now() + _LOST_JOB_SECONDS
        while missing := [each for each in self._submitter.unconfirmed if each not in found]:
            for request in missing:
                with suppress(DemandbaseError):
                    job = self._submitter.find_unconfirmed(request)
                    if job is not None:
                        found[request] = job
            if self._clock.now() >= deadline:
                return
            self._clock.sleep(_LOOKUP_SECONDS)

    def _find_created(self, request: ExportRequest, posted_at: datetime | None) -> ExportJob | None:
        tasks = [entry.task for entry in self._entries if entry.task.request == request]
        delivered = tasks[0].delivered if tasks else None
        return self._reuse.find_created(request, posted_at, delivered, self._used)

    def _entry(self, task: ExportTask) -> _Entry:
        for entry in self._entries:
            if entry.task is task:
                return entry
        entry = _Entry(task)
        self._entries.insert(0, entry)
        return entry

    def _submit_ahead(self, head: _Entry | None = None) -> None:
        """Create jobs while there is room; the job that the caller waits for comes first."""
        if head is not None and head.job_id is None and self._may_retry(head):
            head.error = None
            self._provide_job(head, is_head=True)
        for entry in self._entries:
            if entry.error is not None:
                return  # the run will end there: later jobs would be created in vain
            if entry.job_id is None:
                # Not too far ahead either: a file that is not read in time expires.
                ahead = sum(each.job_id is not None for each in self._entries)
                most = self._policy.max_concurrent_jobs
                if self._poller.open_jobs >= most or ahead > most:
                    return
                if self._clock.now() < self._busy_until:
                    return
                self._provide_job(entry, is_head=False)

    def _may_retry(self, entry: _Entry) -> bool:
        """Return whether to create a job, which may have failed when it was created early.

        A transient error is retried when it is the job's turn.
        """
        return entry.error is None or isinstance(entry.error, (TransientError, QuotaExceededError))

    def _provide_job(self, entry: _Entry, *, is_head: bool) -> None:
        try:
            job = None if entry.is_resubmitted else self._reuse_job(entry)
            entry.is_own = False
            submitted_at = self._api.server_time() or self._clock.utc()
            if job is None:
                submitted = self._create_job(entry, may_wait=is_head)
                job = submitted.job
                # Another client may have sent an equal request at the same time.
                entry.is_own = submitted.is_answered or self._api.is_own(job) is True
        except BusyError as error:
            entry.error = error if is_head else None
            self._busy_until = self._clock.now() + _BUSY_SECONDS
            return
        except DemandbaseError as error:
            entry.error = error
            return
        request = entry.task.request
        entry.job_id = job.id
        entry.created_at = job.created_at or submitted_at
        self._poller.add(job, request.entity, own=entry.is_own)
        self._used.add(job.id)
        self._journal.begin(request, job.id)
        self._submitter.confirm(request)

    def _reuse_job(self, entry: _Entry) -> ExportJob | None:
        job = self._find_reusable(entry, self._used)
        if job is not None:
            logger.info(
                "Reusing the export job %s for %s, created at %s and now %s, instead of a new one",
                job.id,
                entry.task.request.entity,
                job.created_at,
                job.status_text,
            )
        return job

    def _find_reusable(self, entry: _Entry, used: Collection[str]) -> ExportJob | None:
        return self._reuse.find_reusable(entry.task.request, entry.task.delivered, used)

    def _create_job(self, entry: _Entry, *, may_wait: bool) -> Submitted[ExportJob]:
        request = entry.task.request
        if may_wait:
            self._make_room()
        self._journal.post(request, self._api.server_time())
        if may_wait:
            submitted = self._submitter.submit_when_possible(request)
        else:
            submitted = self._submitter.submit(request)
        if submitted.is_answered:
            logger.info("Created the export job %s for %s", submitted.job.id, request.entity)
        return submitted

    def _make_room(self) -> None:
        """Wait for jobs that were created ahead of an unplanned task."""
        for entry in self._entries:
            if self._poller.open_jobs < self._policy.max_concurrent_jobs:
                return
            if entry.job_id is not None:
                with suppress(JobGoneError):  # handled when it is the job's turn
                    self._poller.wait(entry.job_id)

    def _wait(self, entry: _Entry) -> ExportJob | None:
        """Return the job once it has completed, or ``None`` if another job must be created."""
        assert entry.job_id is not None  # noqa: S101 - it has just been provided
        entity = entry.task.request.entity
        try:
            job = self._poller.wait(entry.job_id, self._submit_ahead)
            if job.status in {JobStatus.COMPLETED, JobStatus.FAILED}:
                job = self._with_details(job, entity)
        except JobTimeoutError as error:
            if entry.is_own:
                raise
            self.resubmit(entry.task, error)
            return None
        except JobGoneError as error:
            self.resubmit(entry.task, error)
            return None
        match job.status:
            case JobStatus.CANCELLED if not entry.is_own:
                # Most likely by the run that created it, when that run ended.
                self.resubmit(entry.task, job_cancelled("export", entity, job))
                return None
            case JobStatus.CANCELLED:
                raise job_cancelled("export", entity, job)
            case JobStatus.FAILED:
                failed = job_failed("export", entity, job, may_quote_rows=False)
                self.resubmit(entry.task, failed)
                return None
            case _:
                return job

    def _with_details(self, job: ExportJob, entity: str) -> ExportJob:
        try:
            job = self._api.with_details(job)
        except NotFoundError as error:
            raise job_gone("export", entity, job.id, error) from error
        self._poller.update(job)
        return job
