"""Creates import jobs and uploads their files: each file once, whatever was lost or interrupted."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from demandbase_api.deadline import ONE_TRY
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    ConflictError,
    DemandbaseError,
    NotFoundError,
    NotReadyError,
    OtherRunError,
    QuotaExceededError,
    StateError,
    StoppedError,
    TransientError,
    UnexpectedResponseError,
)
from demandbase_api.jobs.import_decision import Step, View
from demandbase_api.jobs.import_journal import JournalEntry, Phase
from demandbase_api.jobs.import_recovery import ImportRecovery, may_lack_file
from demandbase_api.jobs.job_timeline import JobPhase
from demandbase_api.jobs.poll_times import JobSize
from demandbase_api.jobs.poller import PROGRESS_SECONDS
from demandbase_api.jobs.submitter import JobSubmitter, may_have_succeeded
from demandbase_api.threads import log_periodically, run_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.deadline import Deadline
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.import_deliveries import ImportDeliveries
    from demandbase_api.jobs.import_journal import ImportFile, ImportJournal
    from demandbase_api.jobs.import_lock import EntityLocks
    from demandbase_api.jobs.import_recovery import Resumed
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.models import ImportJob, ImportRequest
    from demandbase_api.ports import ImportApi


logger = logging.getLogger(__name__)

_LOST_JOB_SECONDS = 2.0
"""Maximum time that the end of a run spends on a job whose creation was interrupted."""
_CLOCK_DIFFERENCE = timedelta(hours=1)
"""Difference between a job's creation time and the time of responses that is no accident."""
_JOBS_OF_A_FILE = 3
"""Maximum number of jobs that are created for a file, if the earlier ones surely did not get it."""


class _DoubtError(Exception):
    """The server may have the file, in spite of an error.

    Args:
        error: The error.
    """

    def __init__(self, error: DemandbaseError) -> None:
        self.error = error
        super().__init__(error)


class _WithdrawnError(Exception):
    """The job surely imports nothing, so that another may be created for its file.

    Args:
        error: Why it did not get the file.
    """

    def __init__(self, error: DemandbaseError) -> None:
        self.error = error
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class _Creation:
    """A job that is being created."""

    request: ImportRequest
    file_name: str
    began: datetime
    entry: JournalEntry


@dataclass(frozen=True, slots=True)
class _Created:
    """What a job of this run should show.

    Args:
        file_name: Name of its file.
        at: When it was created, by the time that responses have.
    """

    file_name: str
    at: datetime

    def problem(self, job: ImportJob) -> str | None:
        """Return what the job shows in another way, as the end of a clause, if anything."""
        if job.file_name != self.file_name:
            return f"does not return the name of the file of the import job {job.id} as it was sent"
        if job.created_at is None:
            return f"does not say when the import job {job.id} was created"
        if abs(job.created_at - self.at) > _CLOCK_DIFFERENCE:
            return (
                f"says that the import job {job.id} was created at {job.created_at:%Y-%m-%d %H:%M},"
                f" but its responses said {self.at:%Y-%m-%d %H:%M} at that time"
            )
        return None


class ImportUploader:
    """Creates import jobs and uploads their files.

    Args:
        api: The import API.
        poller: Polls the jobs.
        journal: Remembers the jobs if the process ends.
        deliveries: Remembers the jobs of added rows that a state covers.
        locks: Exclude other runs.
        retry: How often to try.
        clock: Time.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        api: ImportApi,
        poller: JobPoller[ImportJob],
        journal: ImportJournal,
        deliveries: ImportDeliveries,
        locks: EntityLocks,
        retry: RetryPolicy,
        clock: Clock,
    ) -> None:
        self._api = api
        self._poller = poller
        self._journal = journal
        self._deliveries = deliveries
        self._locks = locks
        self._retry = retry
        self._clock = clock
        self._recovery = ImportRecovery(api, poller, journal, deliveries, clock)
        self._used: set[str] = set()
        self._added: dict[str, tuple[str, str]] = {}
        """Entity and job of each file with added rows, by fingerprint."""
        self._created: dict[str, _Created] = {}
        """What is known of each new job, by its id."""
        self._has_warned_of_list = False
        find = self._find_created if api.capabilities.find_created else None
        self._submitter = JobSubmitter(self._submit, find, retry)
        self._was_lost = False
        self.uploading: str | None = None
        """Id of the job whose file is being uploaded."""
        self._is_stopped = False

    def send(self, request: ImportRequest, file: ImportFile) -> str:
        """Upload a file to a new job, or resume an earlier import of the same file.

        Returns:
            The job's id; the poller polls it.

        Raises:
            FileTooLargeError: The server rejected the file as too large; the job is cancelled.
            PossibleDuplicatesError: Rows may have been inserted already.
            ApiError: A request failed.
            JobTimeoutError: A job of an earlier run does not end in time.
            OtherRunError: Another run that imports into the entity does not end in time, or has
                taken the place of this one.
            JournalError: An entry of the journal cannot be read.
            SpoolError: The journal cannot be written.
        """
        self._locks.acquire(request.entity, self._check_stopped)
        job_id = self._send(request, file)
        if request.adds:
            self._added[file.fingerprint] = request.entity, job_id
        return job_id

    def stop(self) -> None:
        """Make ``send`` in another thread end before its next step."""
        self._is_stopped = True

    def give_up_advice(self, file: ImportFile) -> str:
        """Return how a person gives up the import of a file, as a sentence."""
        entry = self._journal.find(file.fingerprint)
        return "" if entry is None else self._recovery.give_up_advice(entry)

    def forget(self, file: ImportFile) -> None:
        """Remove a file from the journal: a state covers it, or it is to be sent again."""
        if file.fingerprint in self._added:
            self._deliveries.add(*self._added.pop(file.fingerprint))
        self._journal.forget(file.fingerprint)

    def check_listed(self, job: ImportJob) -> None:
        """Warn once if the server does not show what another machine recognizes a job by."""
        created = self._created.pop(job.id, None)
        problem = None if created is None else created.problem(job)
        if problem is None or self._has_warned_of_list:
            return
        self._has_warned_of_list = True
        logger.warning(
            "Demandbase %s. So a run without this state_dir does not recognize what this run has "
            "sent: keep state_dir between runs.",
            problem,
        )

    def account(self, file: ImportFile) -> None:
        """Record that each row of a file is known to be imported, or is kept."""
        entry = self._journal.find(file.fingerprint)
        if entry is not None:
            self._journal.put(entry.now(Phase.ACCOUNTED))

    def finish(self) -> None:
        """End a successful run: remove the entries of earlier runs, and let other runs go on."""
        self._recovery.remove_stale()
        self._locks.close()

    def close(self) -> frozenset[str]:
        """End the run: cancel its jobs that can be cancelled, then let other runs go on.

        Another run could otherwise resume a job that is about to be cancelled.

        Returns:
            Ids of the cancelled jobs that were polled.
        """
        cancelled: frozenset[str] = frozenset()
        if self._has_locks():
            [has_ended] = run_with_timeout(_LOST_JOB_SECONDS, [self._cancel_lost])
            if not has_ended:
                logger.warning(
                    "An import job may have been created whose id is not known; it has no file and "
                    "changes nothing. Look for it in Demandbase's list of jobs."
                )
            cancelled = self._poller.close()
        self._journal.close()  # with it, the locks of the run end
        return cancelled

    def _has_locks(self) -> bool:
        """Return whether no other run may have resumed the jobs of this one."""
        try:
            self._locks.check()
        except (OtherRunError, StateError):
            return False
        return True

    def _send(self, request: ImportRequest, file: ImportFile) -> str:
        found = self._recovery.resume(file, request, self._used)
        if found is not None:
            self._use(found, request, file)
            if not found.needs_file:
                return found.job.id
        self._check_stopped()
        self._recovery.clear_way(request, self._used, is_replay=file.is_replay)
        if found is None:
            found = self._recovery.resume_listed(file, request, self._used)
            if found is not None:
                self._use(found, request, file)
                if not found.needs_file:
                    return found.job.id
        entry, job = (found.entry, found.job) if found else self._create(request, file)
        for jobs_left in reversed(range(_JOBS_OF_A_FILE)):
            try:
                uploaded = self._upload(entry, job, file, request)
                break
            except _WithdrawnError as withdrawn:
                if not jobs_left:
                    raise withdrawn.error from None
                logger.warning(
                    "The import job %s surely did not get its file, so another is created: %s",
                    job.id,
                    withdrawn.error,
                )
                entry, job = self._create(request, file)
        if uploaded.id == job.id:  # otherwise the next poll shows the job
            self._poller.update(uploaded)
        return job.id

    def _use(self, found: Resumed, request: ImportRequest, file: ImportFile) -> None:
        """Poll an earlier job, which the end of the run cancels only if it is surely this one's."""
        self._used.add(found.job.id)
        self._poller.add(found.job, request.entity, own=found.is_proven)
        self._describe(found.job, file, is_adopted=True)

    def _check_stopped(self) -> None:
        if self._is_stopped:
            raise StoppedError("The run ends.")
        self._locks.check()

    def _create(self, request: ImportRequest, file: ImportFile) -> tuple[JournalEntry, ImportJob]:
        self._check_stopped()
        began = self._clock.utc()
        entry = self._journal.put(
            JournalEntry(
                fingerprint=file.fingerprint,
                stream=file.stream,
                entity=request.entity,
                operation=request.operation.value,
                rows=file.rows,
                began_at=began.isoformat(),
            )
        )
        name = file.job_name(file.fingerprint, began)
        creation = _Creation(request, name, began, entry)
        self._was_lost = False
        try:
            job = self._submitter.submit(creation).job
        except DemandbaseError as error:
            if not may_have_succeeded(error):
                self._journal.forget(file.fingerprint)
            raise
        self._submitter.confirm(creation)
        self._used.add(job.id)
        self._poller.add(job, request.entity)  # from here on, the end of the run cancels it
        self._describe(job, file, is_adopted=False)
        shown = None if self._api.waits_for_file(job) else job.status_text
        entry = replace(entry.now(Phase.CREATED, job.id), status_without_file=shown)
        if self._is_stopped:
            self._recovery.cancel(entry)
        entry = self._journal.put(entry)
        shown_name = name if self._api.capabilities.find_created else file.name
        self._created[job.id] = _Created(shown_name, self._api.server_time() or self._clock.utc())
        if self._was_lost:
            self._recovery.warn_of_strays(request, began, but=job.id)
        if job.status.is_terminal:
            raise UnexpectedResponseError(
                ApiOperation.CREATE_IMPORT, f"gave a job that is {job.status_text} already"
            )
        return entry, job

    def _describe(self, job: ImportJob, file: ImportFile, *, is_adopted: bool) -> None:
        self._poller.timeline.describe(job.id, file.stream, is_adopted=is_adopted, rows=file.rows)

    def _submit(self, creation: _Creation, _deadline: Deadline) -> ImportJob:
        try:
            return self._api.submit(creation.request, creation.file_name)
        except TransientError as error:
            self._was_lost = self._was_lost or may_have_succeeded(error)
            raise

    def _find_created(
        self, creation: _Creation, _since: datetime | None, _deadline: Deadline
    ) -> ImportJob | None:
        """Return the job that a request created whose response was lost."""
        job = self._recovery.find_created(creation.file_name, creation.began)
        return None if job is None or job.id in self._used else job

    def _upload(
        self, entry: JournalEntry, job: ImportJob, file: ImportFile, request: ImportRequest
    ) -> ImportJob:
        """Upload a file once; what is in doubt is decided by what the job shows.

        Returns:
            The job, which has the file.

        Raises:
            _WithdrawnError: The job surely imports nothing.
            PossibleDuplicatesError: It adds rows, and it is unknown whether it got the file.
            DemandbaseError: The upload failed.
        """
        self._check_stopped()
        self._poller.timeline.enter(job.id, JobPhase.UPLOADING)
        entry = self._journal.put(entry.now(Phase.UPLOADING, job.id))
        self.uploading = job.id
        attempt = _Upload(self._api, self._poller, entry, file, request, self._check_stopped)
        try:
            with log_periodically(PROGRESS_SECONDS, self._poller.log_progress):
                uploaded = self._retry.call(attempt.send)
            if not attempt.is_in_doubt:
                self._poller.begin(job.id, JobSize.of_import(request.entity, file.rows))
        except _DoubtError as doubt:
            uploaded = self._after_doubt(entry, file, doubt.error)
        except (OtherRunError, StateError):
            raise  # another run may go on with this job
        except DemandbaseError as error:
            if attempt.is_in_doubt:
                raise
            uploaded = self._after_refusal(entry, file, error)
        finally:
            self._poller.timeline.leave(job.id)
        self._journal.put(entry.now(Phase.UPLOADED))
        self.uploading = None
        return uploaded

    def _after_doubt(
        self, entry: JournalEntry, file: ImportFile, error: DemandbaseError
    ) -> ImportJob:
        step, job = self._recovery.after_doubt(entry)
        # A job whose status says nothing of a file, and that takes none, has one.
        takes_none = isinstance(error, ConflictError) and entry.status_without_file is not None
        if (step is Step.POLL or takes_none) and job is not None:
            return job
        if step is Step.CREATE:
            self._forget_job(entry, file)
            raise _WithdrawnError(error)
        raise error

    def _after_refusal(
        self, entry: JournalEntry, file: ImportFile, error: DemandbaseError
    ) -> ImportJob:
        if _was_not_sent(error):
            entry = self._journal.put(entry.now(Phase.CREATED))
            view, job = self._recovery.cancel(entry)
        else:
            view, job = self._recovery.after_refusal(entry)
        if view is View.CANCELLED:
            self._forget_job(entry, file)
            raise error
        if entry.phase is Phase.CREATED or view in {View.WAITS, View.UNKNOWN} or job is None:
            if view is View.WAITS:
                self._journal.put(entry.now(Phase.REFUSED))
            self._poller.forget(entry.job_id or "")
            self.uploading = None
            raise error
        logger.warning("The import job %s got its file in spite of an error: %s", job.id, error)
        return job

    def _forget_job(self, entry: JournalEntry, file: ImportFile) -> None:
        self._poller.forget(entry.job_id or "")
        self.uploading = None
        self._journal.forget(file.fingerprint)

    def _cancel_lost(self) -> None:
        for creation in self._submitter.unconfirmed:
            job = self._find_unconfirmed(creation)
            self._submitter.confirm(creation)
            if job is None:
                self._recovery.warn_of_strays(creation.request, creation.began)
                continue
            entry = creation.entry.now(Phase.CREATED, job.id)
            view, _ = self._recovery.cancel(entry)
            if view is not View.CANCELLED:
                self._journal.put(entry)

    def _find_unconfirmed(self, creation: _Creation) -> ImportJob | None:
        try:
            return self._submitter.find_unconfirmed(creation)
        except DemandbaseError as error:
            logger.warning("A job may have been created and may still run: %s", error)
            return None


class _Upload:
    """The tries to upload a file to a job.

    Args:
        api: The import API.
        poller: Knows how old the job is.
        entry: Entry of the job.
        file: The file.
        request: What the job does with it.
        check: Raises if the run ends.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        api: ImportApi,
        poller: JobPoller[ImportJob],
        entry: JournalEntry,
        file: ImportFile,
        request: ImportRequest,
        check: Callable[[], None],
    ) -> None:
        self._api = api
        self._poller = poller
        self._entry = entry
        self._job_id = entry.job_id or ""
        self._file = file
        self._list_action = request.list_action
        self._adds = request.adds
        self._check = check
        self.is_in_doubt = False
        """Whether the server may have the file."""

    def send(self) -> ImportJob:
        """Make one try; return the job, which has the file.

        Raises:
            _DoubtError: The server may have the file, and must not get it again by mistake.
            TransientError: The same may be tried again.
            DemandbaseError: The upload was refused.
        """
        self._check()
        try:
            if self.is_in_doubt:
                job = self._api.get(self._job_id, ONE_TRY)
                if not may_lack_file(self._api, self._entry, job):
                    return job
            return self._put()
        except NotFoundError as error:
            if self._poller.is_young(self._job_id):  # it is not there yet
                raise error.as_a(NotReadyError) from error
            raise

    def _put(self) -> ImportJob:
        name, action = self._file.name, self._list_action
        try:
            return self._api.upload(self._job_id, self._file.open(), name, action)
        except ApiError as error:
            if may_have_succeeded(error) or isinstance(error, ConflictError):
                self.is_in_doubt = True
                # Rows that are written by key may be sent again, to the same job.
                if self._adds or not isinstance(error, TransientError):
                    raise _DoubtError(error) from error
            raise


def _was_not_sent(error: DemandbaseError) -> bool:
    """Return whether a failed upload surely did not reach the job, and changed nothing."""
    # NotFoundError: there was no job to take the file. TransientError: none that leaves a doubt.
    refused = StoppedError, AuthenticationError, QuotaExceededError, NotFoundError, TransientError
    return isinstance(error, refused)
