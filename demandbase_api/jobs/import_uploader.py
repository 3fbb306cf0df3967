"""Creates import jobs and uploads their files: each file once, whatever was lost or interrupted."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_api.errors import ConflictError, DemandbaseError, StoppedError, TransientError
from demandbase_api.jobs.import_journal import JournalEntry, Phase
from demandbase_api.jobs.import_recovery import ImportRecovery
from demandbase_api.jobs.poller import PROGRESS_SECONDS
from demandbase_api.jobs.submitter import JobSubmitter, may_have_succeeded
from demandbase_api.models import ImportOperation
from demandbase_api.threads import log_periodically, run_with_timeout

if TYPE_CHECKING:
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.deadline import Deadline
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.import_journal import ImportFile, ImportJournal
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.models import ImportJob, ImportRequest
    from demandbase_api.ports import ImportApi


logger = logging.getLogger(__name__)

_LOST_JOB_SECONDS = 2.0
"""Maximum time that the end of a run spends on a job whose creation was interrupted."""


@dataclass(frozen=True, slots=True)
class _Creation:
    """A job that is being created."""

    request: ImportRequest
    file_name: str
    began: datetime
    entry: JournalEntry


class ImportUploader:
    """Creates import jobs and uploads their files.

    Args:
        api: The import API.
        poller: Polls the jobs.
        journal: Remembers the jobs if the process ends.
        retry: How often to try.
        clock: Time.
    """

    def __init__(
        self,
        api: ImportApi,
        poller: JobPoller[ImportJob],
        journal: ImportJournal,
        retry: RetryPolicy,
        clock: Clock,
    ) -> None:
        self._api = api
        self._poller = poller
        self._journal = journal
        self._retry = retry
        self._clock = clock
        self._recovery = ImportRecovery(api, poller, journal, clock)
        self._used: set[str] = set()
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
            SpoolError: The journal cannot be written.
        """
        found = self._recovery.resume(file, request, self._used)
        if found is None:
            if request.operation is ImportOperation.INSERT:
                self._recovery.check_inserts(request, is_replay=file.is_replay)
            self._check_stopped()
            found = self._create(request, file)
        entry, job = found
        self._used.add(job.id)
        self._poller.add(job, request.entity)
        if self._api.waits_for_file(job):
            self._check_stopped()
            self._recovery.wait_for_previous(request.entity)
            self._check_stopped()
            uploaded = self._upload(entry.now(Phase.CREATED), job, file, request)
            if uploaded.id == job.id:  # otherwise the next poll shows the job
                self._poller.update(uploaded)
        return job.id

    def stop(self) -> None:
        """Make ``send`` in another thread end before its next step."""
        self._is_stopped = True

    def forget(self, file: ImportFile) -> None:
        """Remove a file from the journal."""
        self._journal.forget(file.fingerprint)

    def account(self, file: ImportFile) -> None:
        """Record that each row of a file is known to be imported, or is kept."""
        entry = self._journal.find(file.fingerprint)
        if entry is not None:
            self._journal.put(entry.now(Phase.ACCOUNTED))

    def remove_stale(self) -> None:
        """Remove the journal entries of earlier runs after a successful run."""
        self._recovery.remove_stale()

    def close(self) -> None:
        """Cancel a job whose creation was interrupted, or warn of it."""
        [has_ended] = run_with_timeout(_LOST_JOB_SECONDS, [self._cancel_lost])
        if not has_ended:
            logger.warning(
                "An import job may have been created whose id is not known; it has no file and "
                "changes nothing. Look for it in Demandbase's list of jobs."
            )
        self._journal.close()

    def _check_stopped(self) -> None:
        if self._is_stopped:
            raise StoppedError("The run ends.")

    def _create(self, request: ImportRequest, file: ImportFile) -> tuple[JournalEntry, ImportJob]:
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
        self._poller.add(job, request.entity)  # from here on, the end of the run cancels it
        if self._is_stopped:
            self._recovery.cancel_waiting(job.id)
        entry = self._journal.put(entry.now(Phase.CREATED, job.id))
        if self._was_lost:
            self._recovery.warn_of_strays(request, began, but=job.id)
        return entry, job

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
        self._journal.put(entry.now(Phase.UPLOADING))
        self.uploading = job.id

        def attempt() -> ImportJob:
            self._check_stopped()
            try:
                return self._api.upload(job.id, file.open(), file.name, request.list_action)
            except DemandbaseError as error:
                if not may_have_succeeded(error) and not isinstance(error, ConflictError):
                    raise
                now = self._api.get(job.id)
                if self._api.waits_for_file(now):
                    raise
                return now

        try:
            with log_periodically(PROGRESS_SECONDS, self._poller.log_progress):
                uploaded = self._retry.call(attempt)
        except DemandbaseError as error:
            if not may_have_succeeded(error):
                self._poller.forget(job.id)
                self.uploading = None
                if self._recovery.cancel_waiting(job.id):
                    self.forget(file)
            raise
        self._journal.put(entry.now(Phase.UPLOADED))
        self.uploading = None
        return uploaded

    def _cancel_lost(self) -> None:
        for creation in self._submitter.unconfirmed:
            job = self._find_unconfirmed(creation)
            self._submitter.confirm(creation)
            if job is None:
                self._recovery.warn_of_strays(creation.request, creation.began)
            elif not self._recovery.cancel_waiting(job.id):
                self._journal.put(creation.entry.now(Phase.CREATED, job.id))

    def _find_unconfirmed(self, creation: _Creation) -> ImportJob | None:
        try:
            return self._submitter.find_unconfirmed(creation)
        except DemandbaseError as error:
            logger.warning("A job may have been created and may still run: %s", error)
            return None
