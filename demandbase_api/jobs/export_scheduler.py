"""Runs the export jobs of a run in order, some at a time.

Calls run in threads, one that polls and one that creates jobs, and only the caller's thread changes
the state of the scheduler. So the caller waits only for the job whose turn it is: neither trouble
with a later job, nor a server that does not respond, delays what is ready.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import (
    ApiOperation,
    AuthenticationError,
    BusyError,
    DemandbaseError,
    JobError,
    JobGoneError,
    JobTimeoutError,
    LinkRejectedError,
    NotFoundError,
    QuotaExceededError,
    RateLimitedError,
    StoppedError,
    TransientError,
    UnreachableError,
    job_cancelled,
    job_failed,
    job_gone,
)
from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.jobs.export_provider import ExportProvider, ExportTask, ProvidedJob
from demandbase_api.jobs.poll_times import JobSize
from demandbase_api.jobs.poller import PROGRESS_SECONDS
from demandbase_api.models import JobStatus
from demandbase_api.threads import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.jobs.export_provider import ExportPolicy
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.models import ExportJob
    from demandbase_api.ports import ExportApi


logger = logging.getLogger(__name__)

_BUSY_SECONDS = 300.0
"""Seconds in which no job is created ahead after the server rejected one for now."""
_STOP_SECONDS = 0.2
"""Time for the thread that creates jobs to end, if it waits for nothing."""
_CREATION_SECONDS = 2.5
"""Time for the response to a creation at the end of the run."""
_DETAILS_SECONDS = 10.0
"""Minimum time for reading the details of a job that has ended in time."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A task of the run.

    Args:
        task: The task.
        job_id: Its job.
        created_at: When that was created.
        error: Why it has none.
        is_resubmitted: Whether its job has been replaced.
        is_own: Whether it is proven that this run created the job.
        is_adopted: Whether the job existed before.
    """

    task: ExportTask
    job_id: str | None = None
    created_at: datetime | None = None
    error: DemandbaseError | None = None
    is_resubmitted: bool = False
    is_own: bool = False
    is_adopted: bool = False

    @property
    def is_waiting_for_creation(self) -> bool:
        return self.job_id is None and self.error is None


class _Creation(NamedTuple):
    """The end of a creation: a job or an error."""

    entry: _Entry
    result: ProvidedJob | DemandbaseError
    is_ahead: bool


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
        self._journal = journal or ExportJournal()
        self._provider = ExportProvider(api, policy, clock, self._journal)
        self._entries: list[_Entry] = []
        self._creating: Task[None] | None = None
        """The thread that creates jobs, if any are being created."""
        self._created: deque[_Creation] = deque()
        """What that thread has done."""
        self._left: dict[str, ExportJob] = {}
        """Jobs that have been given up and may still run."""
        self._busy_until = 0.0

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
        self._join_creation()
        missing = [entry.task for entry in self._entries if entry.job_id is None]
        count = Task(partial(self._provider.count_reusable, missing), "job list")
        reusable = count.result(
            every=PROGRESS_SECONDS,
            on_wait=lambda: logger.info("Waiting for the list of export jobs"),
        )
        self._provider.submitter.check_budget(len(missing) - reusable + more)

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
            if entry.job_id is None:
                self._create(entry)
            self._create_ahead()
            job = self._wait(entry)
            if job is not None:
                created_at = entry.created_at
                assert created_at is not None  # noqa: S101 - set with the job
                self._create_ahead()
                return job, created_at

    def is_adopted(self, task: ExportTask) -> bool:
        """Return whether a task's job existed before, and is used instead of a new one."""
        return self._entry(task).is_adopted

    def forget(self, task: ExportTask) -> None:
        """Remove a task whose records have all been delivered."""
        entry = self._entry(task)
        self._entries.remove(entry)
        if entry.job_id is not None:
            self._poller.forget(entry.job_id)

    def give_up(self, tasks: Sequence[ExportTask]) -> None:
        """Remove the tasks of a stream that failed.

        Those of their jobs that this run created and that still run are cancelled.
        """
        given_up = [entry for entry in self._entries if any(entry.task is task for task in tasks)]
        self._entries = [entry for entry in self._entries if entry not in given_up]
        self._cancel([entry.job_id for entry in given_up if entry.job_id is not None])

    def resubmit(self, task: ExportTask, error: DemandbaseError) -> None:
        """Replace a task's job by a new one, once.

        Args:
            task: The task.
            error: Reason for which the job cannot be used.

        Raises:
            DemandbaseError: The given error, if the job has been replaced before, or is this run's
                own and may be of use to the next run.
        """
        entry = self._entry(task)
        if entry.is_own and isinstance(error, (JobTimeoutError, LinkRejectedError)):
            raise error
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
        self._poller.poll_if_due()
        self._create_ahead()

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
        self._provider.submitter.stop()
        self._end_creation()
        lost = self._provider.find_lost()
        self._record_created()  # a response may have come during the look-up
        for request, job in lost.items():
            if request not in self._provider.submitter.unconfirmed:
                continue
            if job is None:
                logger.warning(
                    "An export job for %s may have been created and may still run: the response to "
                    "its creation was lost, and it was not found in Demandbase's list of jobs",
                    request.entity,
                )
            else:
                self._journal.begin(request, job.id)  # the next run may reuse it
                self._poller.add(job, request.entity, own=self._api.is_own(job) is True)
            self._provider.submitter.confirm(request)
        for request, job in self._provider.find_doubles().items():
            if job is None:
                logger.warning(
                    "An export job for %s may have been created in addition to the run's and may "
                    "still run: the response to its creation was lost, and it was not found in "
                    "Demandbase's list of jobs",
                    request.entity,
                )
                continue
            logger.warning(
                "The export job %s for %s was created in addition to the run's: the response to "
                "its creation was lost, and it appeared in the list too late",
                job.id,
                request.entity,
            )
            self._poller.add(job, request.entity, own=self._api.is_own(job) is True)
        self._poller.close()
        for job_id, job in self._left.items():
            logger.warning("The export job %s for %s may still run", job_id, job.entity)

    def _end_creation(self) -> None:
        """Record the jobs that are being created, if the responses come in time."""
        creating = self._creating
        if creating is not None:
            creating.wait(_STOP_SECONDS)
            if self._provider.submitter.is_sending:
                creating.wait(_CREATION_SECONDS)
        self._record_created()

    def _cancel(self, job_ids: Sequence[str]) -> None:
        jobs = [self._poller.latest(job_id) for job_id in job_ids]
        cancelled = self._poller.cancel(job_ids)
        for job in jobs:
            if not job.status.is_terminal and job.id not in cancelled:
                self._left[job.id] = job

    def _entry(self, task: ExportTask) -> _Entry:
        for entry in self._entries:
            if entry.task is task:
                return entry
        entry = _Entry(task)
        self._entries.insert(0, entry)
        return entry

    def _create(self, entry: _Entry) -> None:
        """Provide the job of the task whose turn it is; wait for all that this needs.

        Raises:
            DemandbaseError: There is no job.
        """
        seconds = self._policy.poll.timeout_seconds
        # It may be the job that is being created ahead.
        has_ended = self._join_creation(Deadline.after(self._clock, seconds), entry)
        if entry.is_waiting_for_creation and not has_ended:
            raise UnreachableError(
                ApiOperation.CREATE_EXPORT,
                f"sent nothing for {seconds:g} s",
                nothing_sent=False,
                advice="The job may have been created nevertheless: the next run looks for it.",
            )
        if entry.job_id is None and (entry.error is None or _may_pass(entry.error)):
            entry.error = None
            self._join_creation()  # it ends after such an error
            self._make_room()
            self._start_creation([entry], is_ahead=False)
            self._join_creation()
        if entry.error is not None:
            raise self._explained(entry.error)

    def _create_ahead(self) -> None:
        """Create the jobs of later tasks while there is room, in the background."""
        self._record_created()
        if self._creating is not None or self._clock.now() < self._busy_until:
            return
        # Not too far ahead either: a file that is not read in time expires.
        most = self._policy.max_concurrent_jobs
        ahead = sum(entry.job_id is not None for entry in self._entries)
        room = min(most - self._poller.open_jobs, most + 1 - ahead)
        chosen: list[_Entry] = []
        for entry in self._entries:
            if len(chosen) >= room or (entry.error is not None and _may_pass(entry.error)):
                break  # what failed for now is tried again in its turn, and nothing before it
            if entry.job_id is None and entry.error is None:
                chosen.append(entry)
        if chosen:
            self._start_creation(chosen, is_ahead=True)

    def _start_creation(self, entries: Sequence[_Entry], *, is_ahead: bool) -> None:
        create = partial(self._create_in_order, tuple(entries), is_ahead=is_ahead)
        self._creating = Task(create, "job creation")

    def _create_in_order(self, entries: Sequence[_Entry], *, is_ahead: bool) -> None:
        """Provide jobs, up to the first failure that others would share. Runs in a thread."""
        for entry in entries:
            may_reuse = not entry.is_resubmitted
            result: ProvidedJob | DemandbaseError
            try:
                if is_ahead:
                    result = self._provider.provide_now(entry.task, may_reuse=may_reuse)
                else:
                    result = self._provider.provide(
                        entry.task, may_reuse=may_reuse, may_wait_for_slot=not self._left
                    )
            except DemandbaseError as error:
                result = error
            self._created.append(_Creation(entry, result, is_ahead))
            if isinstance(result, DemandbaseError) and _may_pass(result):
                return

    def _join_creation(self, deadline: Deadline = NO_DEADLINE, entry: _Entry | None = None) -> bool:
        """Wait for the jobs that are being created, or for that of a task.

        Returns:
            Whether the thread has ended.
        """
        creating, began = self._creating, self._clock.now()
        self._record_created()
        while creating is not None and (entry is None or entry.is_waiting_for_creation):
            if creating.wait(min(PROGRESS_SECONDS, deadline.left())) or deadline.has_passed:
                break
            self._record_created()
            if not self._provider.submitter.is_waiting:
                logger.info("Creating an export job: waiting for %.0f s", self._clock.now() - began)
        self._record_created()
        return self._creating is None

    def _record_created(self) -> None:
        """Record what the thread that creates jobs has done."""
        creating = self._creating
        has_ended = creating is not None and creating.done
        while self._created:
            self._record(self._created[0])
            self._created.popleft()
        if creating is not None and has_ended:
            self._creating = None
            creating.result()  # raises what is a bug

    def _record(self, creation: _Creation) -> None:
        entry, result, is_ahead = creation
        entity = entry.task.request.entity
        match result:
            case BusyError() | RateLimitedError() if is_ahead:
                self._busy_until = self._clock.now() + max(_BUSY_SECONDS, result.retry_after or 0.0)
            case DemandbaseError():
                entry.error = result
                if is_ahead:
                    logger.info("The export job for %s is not created ahead: %s", entity, result)
            case ProvidedJob(job, created_at, deadline, is_own):
                entry.job_id, entry.created_at, entry.is_own = job.id, created_at, is_own
                entry.is_adopted = result.is_adopted
                self._poller.add(job, entity, own=is_own, deadline=deadline)
                if result.answered_at is not None:
                    size = JobSize.of_export(entry.task.request)
                    self._poller.begin(job.id, size, result.answered_at)
                self._poller.timeline.describe(job.id, entity, is_adopted=result.is_adopted)
                self._provider.submitter.confirm(entry.task.request)
                if entry not in self._entries:
                    self._cancel([job.id])  # its stream has failed in the meantime

    def _explained(self, error: DemandbaseError) -> DemandbaseError:
        """Return an error that says which job of this run takes the slot, if one does."""
        if not isinstance(error, BusyError) or not self._left:
            return error
        jobs = ", ".join(self._left)
        return error.as_a(
            BusyError,
            problem=f"runs the export job {jobs}, which did not end in time, and no other",
            advice="Run again when it has ended.",
        )

    def _make_room(self) -> None:
        """Wait for jobs that were created ahead of the one whose turn it is."""
        for entry in self._entries:
            if self._poller.open_jobs < self._policy.max_concurrent_jobs:
                return
            if entry.job_id is not None:
                with suppress(JobError):  # handled when it is the job's turn
                    self._poller.wait(entry.job_id)

    def _wait(self, entry: _Entry) -> ExportJob | None:
        """Return the job once it has completed, or ``None`` if another job must be created."""
        assert entry.job_id is not None  # noqa: S101 - it has just been provided
        entity = entry.task.request.entity
        try:
            job = self._poller.wait(entry.job_id, self._create_ahead)
            if job.status in {JobStatus.COMPLETED, JobStatus.FAILED}:
                job = self._with_details(job, entity)
        except (JobTimeoutError, JobGoneError) as error:
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
        """Return an ended job with the members that the list does not have."""
        deadline = self._poller.deadline(job.id)
        deadline = max(deadline, Deadline.after(self._clock, _DETAILS_SECONDS), key=Deadline.left)
        while True:
            details = Task(partial(self._api.with_details, job, deadline), "job details")
            try:
                job = details.result(every=PROGRESS_SECONDS, on_wait=self._poller.log_progress)
            except NotFoundError as error:
                if not self._poller.is_young(job.id):
                    raise job_gone("export", entity, job.id, error) from error
                self._clock.sleep(self._policy.poll.seconds_before(1))
            else:
                self._poller.update(job)
                return job


def _may_pass(error: DemandbaseError) -> bool:
    """Return whether a job that could not be created now may be created later."""
    return isinstance(
        error,
        (AuthenticationError, BusyError, QuotaExceededError, StoppedError, TransientError),
    )
