"""Runs the export jobs that a run needs: in order, some at a time, none bought twice."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demandbase_api.errors import (
    BusyError,
    DemandbaseError,
    JobGoneError,
    NotFoundError,
    QuotaExceededError,
    TransientError,
    job_cancelled,
    job_failed,
    job_gone,
)
from demandbase_api.jobs.export_reuse import ExportReuse
from demandbase_api.jobs.poller import PollPolicy
from demandbase_api.jobs.submitter import ExportSubmitter
from demandbase_api.models import JobStatus, has_expired
from demandbase_api.threads import run_with_timeout

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.export_reuse import DeliveredJob
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.models import ExportJob, ExportRequest
    from demandbase_api.ports import ExportApi


logger = logging.getLogger(__name__)

_LOST_JOB_SECONDS = 2.5

_LOOK_SECONDS = 0.5

_BUSY_SECONDS = 300.0
"""How long nothing is created ahead of its turn where somebody else's job was in the way."""


@dataclass(slots=True)
class _Entry:
    task: ExportTask
    job_id: str | None = None
    created_at: datetime | None = None
    error: DemandbaseError | None = None
    is_replaced: bool = False
    is_adopted: bool = False


class ExportScheduler:
    """The exports of one run, first come, first served.

    Args:
        api: Where the jobs are.
        watch: Knows their state.
        policy: How to run them.
        clock: Time.
    """

    def __init__(
        self, api: ExportApi, watch: JobPoller[ExportJob], policy: ExportPolicy, clock: Clock
    ) -> None:
        self._api = api
        self._watch = watch
        self._policy = policy
        self._clock = clock
        self._entries: list[_Entry] = []
        self._used: set[str] = set()
        self._busy_until = 0.0
        self._earlier = ExportReuse(api, policy.job_reuse_hours, clock)
        self._submitter = ExportSubmitter(
            api,
            lambda request: self._earlier.created(request, self._used),
            retry=policy.retry,
            poll=policy.poll,
            quota_wait_hours=policy.quota_wait_hours,
            clock=clock,
        )

    def plan(self, tasks: Iterable[ExportTask]) -> None:
        """Add what will be needed, in the order in which it will be taken."""
        self._entries += [_Entry(task) for task in tasks]

    def check_budget(self, more: int = 0) -> None:
        """Make sure that the day's calls are enough for what is planned.

        Args:
            more: Jobs that will be needed beside those that are planned.

        Raises:
            CallBudgetError: They are not; nothing has been created.
            ApiError: A call failed.
        """
        if not self._api.capabilities.daily_calls:
            return
        missing = [entry for entry in self._entries if entry.job_id is None]
        found: set[str] = set()
        for entry in missing:
            job = self._adoptable(entry, self._used | found)
            if job is not None:
                found.add(job.id)
        needed = len(missing) - len(found) + more
        self._submitter.check_budget(needed)

    def wait(self, task: ExportTask) -> tuple[ExportJob, datetime]:
        """Return the completed job for a task, and when it was created.

        The jobs of the orders behind it are created meanwhile.

        Raises:
            QuotaExceededError: The day's quota is used up.
            JobError: The job did not come to a good end, nor did the one in its place.
            ApiError: A call failed.
        """
        entry = self._entry(task)
        while True:
            self._fill(entry)
            if entry.error is not None:
                raise entry.error
            job = self._wait(entry)
            if job is not None:
                created = entry.created_at
                assert created is not None  # noqa: S101 - set with the job
                self._fill()
                return job, created

    def forget(self, task: ExportTask) -> None:
        """Note that a task's records have all gone out."""
        entry = self._entry(task)
        self._entries.remove(entry)
        if entry.job_id is not None:
            self._watch.forget(entry.job_id)

    def resubmit(self, task: ExportTask, error: DemandbaseError) -> None:
        """Let another job be created in the place of one that is gone; once.

        Raises:
            DemandbaseError: The given one, where that has been done already.
        """
        entry = self._entry(task)
        if entry.is_replaced:
            raise error
        logger.warning("%s Another job is created in its place.", error)
        if entry.job_id is not None:
            self._watch.forget(entry.job_id)
        entry.job_id = None
        entry.is_replaced = True

    def poll(self) -> None:
        """Look at the jobs if it is time to, and create those for which there is room now."""
        if self._watch.poll_if_due():
            self._fill()

    def next_completed(self, task: ExportTask) -> tuple[ExportTask, ExportJob] | None:
        """Return the task behind the given one and its job, where that has completed."""
        behind = self._entries[self._entries.index(self._entry(task)) + 1 :][:1]
        for entry in behind:
            if entry.job_id is not None:
                job = self._watch.latest(entry.job_id)
                if job.status is JobStatus.COMPLETED:
                    return entry.task, job
        return None

    def close(self) -> None:
        """Cancel what this run created and did not finish; nothing is left for a second call."""
        run_with_timeout(_LOST_JOB_SECONDS + _LOOK_SECONDS, [self._find_lost])
        self._watch.close()

    def _find_lost(self) -> None:
        """Find a job whose creation was interrupted; it may appear only after a moment."""
        deadline = self._clock.now() + _LOST_JOB_SECONDS
        while self._submitter.is_unconfirmed:
            job = self._submitter.find_unconfirmed()
            if job is not None:
                self._submitter.confirm()
                self._watch.add(job, job.entity or "")
            elif self._clock.now() >= deadline:
                self._submitter.confirm()
                logger.warning("An export job may have been created and still run in Demandbase")
            else:
                self._clock.sleep(_LOOK_SECONDS)

    def _entry(self, task: ExportTask) -> _Entry:
        for entry in self._entries:
            if entry.task is task:
                return entry
        entry = _Entry(task)
        self._entries.insert(0, entry)
        return entry

    def _fill(self, head: _Entry | None = None) -> None:
        """Create jobs while there is room; the one that is waited for goes first."""
        if head is not None and head.job_id is None and self._may_try(head):
            head.error = None
            self._provide(head, is_head=True)
        for entry in self._entries:
            if entry.error is not None:
                return  # the run will end there: whatever follows would be paid for in vain
            if entry.job_id is None:
                # Not too far ahead either: what is bought and not read in time is lost.
                ahead = sum(each.job_id is not None for each in self._entries)
                most = self._policy.max_concurrent_jobs
                if self._watch.open_jobs >= most or ahead > most:
                    return
                if self._clock.now() < self._busy_until:
                    return
                self._provide(entry, is_head=False)

    def _may_try(self, entry: _Entry) -> bool:
        """Return whether to create a job where that failed ahead of time, if it did.

        What may pass is tried again when its turn has come.
        """
        return entry.error is None or isinstance(entry.error, (TransientError, QuotaExceededError))

    def _provide(self, entry: _Entry, *, is_head: bool) -> None:
        try:
            job = None if entry.is_replaced else self._adopt(entry)
            is_own = job is None
            submitted = self._clock.utc()
            if job is None:
                job = self._create(entry, patient=is_head)
        except BusyError as error:
            entry.error = error if is_head else None
            self._busy_until = self._clock.now() + _BUSY_SECONDS
            return
        except DemandbaseError as error:
            entry.error = error
            return
        entry.job_id = job.id
        entry.is_adopted = not is_own
        entry.created_at = job.created_at or submitted
        self._watch.add(job, entry.task.request.entity, own=is_own)
        self._used.add(job.id)
        self._submitter.confirm()

    def _adopt(self, entry: _Entry) -> ExportJob | None:
        job = self._adoptable(entry, self._used)
        if job is not None:
            logger.info(
                "Adopting the export job %s for %s, created at %s and now %s, instead of a new one",
                job.id,
                entry.task.request.entity,
                job.created_at,
                job.status.value,
            )
        return job

    def _adoptable(self, entry: _Entry, used: Collection[str]) -> ExportJob | None:
        return self._earlier.adoptable(entry.task.request, entry.task.taken, used)

    def _create(self, entry: _Entry, *, patient: bool) -> ExportJob:
        request = entry.task.request
        if patient:
            self._make_room()
            job = self._submitter.submit_when_possible(request)
        else:
            job = self._submitter.submit(request)
        logger.info("Created the export job %s for %s", job.id, request.entity)
        return job

    def _make_room(self) -> None:
        """Let jobs end that were created ahead of one that nobody knew of."""
        for entry in self._entries:
            if self._watch.open_jobs < self._policy.max_concurrent_jobs:
                return
            if entry.job_id is not None:
                with suppress(JobGoneError):  # its turn will come
                    self._watch.wait(entry.job_id)

    def _wait(self, entry: _Entry) -> ExportJob | None:
        """Return the job once it has completed, or ``None`` where another must be created."""
        assert entry.job_id is not None  # noqa: S101 - it has just been provided
        entity = entry.task.request.entity
        try:
            job = self._watch.wait(entry.job_id, self._fill)
            if job.status in {JobStatus.COMPLETED, JobStatus.FAILED}:
                job = self._ended(job, entity)
        except JobGoneError as error:
            self.resubmit(entry.task, error)
            return None
        match job.status:
            case JobStatus.CANCELLED if entry.is_adopted:
                # By the run that created it, most likely, at its own end.
                self.resubmit(entry.task, job_cancelled("export", entity, job))
                return None
            case JobStatus.CANCELLED:
                raise job_cancelled("export", entity, job)
            case JobStatus.FAILED:
                failed = job_failed("export", entity, job, may_quote_rows=False)
                self.resubmit(entry.task, failed)
                return None
            case _ if has_expired(job, self._clock.utc()):
                gone = JobGoneError(
                    f"The export job {job.id} for {entity} has expired.",
                    kind="export",
                    job_id=job.id,
                    entity=entity,
                    status=job.status,
                )
                self.resubmit(entry.task, gone)
                return None
            case _:
                return job

    def _ended(self, job: ExportJob, entity: str) -> ExportJob:
        try:
            job = self._api.ended(job)
        except NotFoundError as error:
            raise job_gone("export", entity, job.id, error) from error
        self._watch.update(job)
        return job


@dataclass(frozen=True, slots=True)
class ExportTask:
    """One export that the run needs.

    Args:
        request: What to ask for.
        taken: The last job of this kind that has been delivered; it is not adopted again.
    """

    request: ExportRequest
    taken: DeliveredJob | None = None


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """How export jobs are run.

    Args:
        max_concurrent_jobs: How many may run at a time.
        job_reuse_hours: How old a job may be that is adopted; 0 for none.
        retry: How a creation is repeated that cannot have happened.
        quota_wait_hours: Maximum time to wait for a new quota; 0 to fail at once.
        poll: How to wait for somebody else's job to end.
    """

    max_concurrent_jobs: int
    job_reuse_hours: float
    retry: RetryPolicy
    quota_wait_hours: float
    poll: PollPolicy = field(default_factory=PollPolicy)
