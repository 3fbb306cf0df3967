"""Brings files to import jobs: each once, whatever happened to the run before or to a reply."""

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
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.import_journal import ImportFile, ImportJournal
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.models import ImportJob, ImportRequest
    from demandbase_api.ports import ImportApi


logger = logging.getLogger(__name__)

_LOST_JOB_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A job that is being created."""

    request: ImportRequest
    file_name: str
    began: datetime
    entry: JournalEntry


class ImportUploader:
    """Creates import jobs and gives them their files.

    Args:
        api: Where to.
        watch: Knows the jobs' states.
        ledger: Remembers them beyond the death of the process.
        retry: How often to try.
        clock: Time.
    """

    def __init__(
        self,
        api: ImportApi,
        watch: JobPoller[ImportJob],
        ledger: ImportJournal,
        retry: RetryPolicy,
        clock: Clock,
    ) -> None:
        self._api = api
        self._watch = watch
        self._ledger = ledger
        self._retry = retry
        self._clock = clock
        self._earlier = ImportRecovery(api, watch, ledger, clock)
        self._used: set[str] = set()
        self._wanted: _Wanted | None = None
        self._submitter = JobSubmitter(self._submit, self._find_created, retry)
        self._was_lost = False
        self.uploading: str | None = None
        """The job that a file is on its way to at this moment."""
        self._is_stopped = False

    def send(self, request: ImportRequest, file: ImportFile) -> str:
        """Bring a file to a job, an earlier one of the same file where there is one.

        Returns:
            The job's id; its end is the watch's to wait for.

        Raises:
            FileTooLargeError: The server does not take so large a file; the job is cancelled.
            UnsettledInsertError: Rows may have been inserted already.
            ApiError: A call failed.
            JobTimeoutError: A job of an earlier run does not end in time.
            SpoolError: The ledger cannot be written.
        """
        found = self._earlier.resume(file, request, self._used)
        if found is None:
            if request.operation is ImportOperation.INSERT:
                self._earlier.check_inserts(request, is_replay=file.is_replay)
            self._go_on()
            found = self._create(request, file)
        entry, job = found
        self._used.add(job.id)
        self._watch.add(job, request.entity)
        if self._api.waits_for_file(job):
            self._go_on()
            self._earlier.wait_for_previous(request.entity)
            self._go_on()
            job = self._upload(entry.now(Phase.CREATED), job, file, request)
            self._watch.update(job)
        return job.id

    def stop(self) -> None:
        """Let a file that is being sent in another thread come no further."""
        self._is_stopped = True

    def _go_on(self) -> None:
        if self._is_stopped:
            raise StoppedError("The run ends.")

    def forget(self, file: ImportFile) -> None:
        """Forget a file: all that it brought about has been told."""
        self._ledger.forget(file.fingerprint)

    def account(self, file: ImportFile) -> None:
        """Note that each row of a file is known to be taken or is kept."""
        entry = self._ledger.find(file.fingerprint)
        if entry is not None:
            self._ledger.put(entry.now(Phase.ACCOUNTED))

    def remove_stale(self) -> None:
        """After a run that worked, forget what runs before it left behind."""
        self._earlier.remove_stale()

    def close(self) -> None:
        """Cancel a job whose creation was interrupted, or tell of it."""
        [is_told] = run_with_timeout(_LOST_JOB_SECONDS, [self._end_lost])
        if not is_told:
            logger.warning(
                "An import job may have been created whose id is not known; it has no file and "
                "changes nothing. Look for it in Demandbase's list of jobs."
            )
        self._ledger.close()

    def _end_lost(self) -> None:
        if not self._submitter.is_unconfirmed or self._wanted is None:
            return
        wanted, job = self._wanted, self._submitter.find_unconfirmed()
        self._submitter.confirm()
        if job is None:
            self._earlier.warn_of_strays(wanted.request, wanted.began)
        elif not self._earlier.cancel_waiting(job.id):
            self._ledger.put(wanted.entry.now(Phase.CREATED, job.id))

    def _create(self, request: ImportRequest, file: ImportFile) -> tuple[JournalEntry, ImportJob]:
        began = self._clock.utc()
        entry = self._ledger.put(
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
        self._wanted = _Wanted(request, name, began, entry)
        self._was_lost = False
        try:
            job = self._submitter.submit(self._wanted)
        except DemandbaseError as error:
            if not may_have_succeeded(error):
                self._ledger.forget(file.fingerprint)
            raise
        self._submitter.confirm()
        self._watch.add(job, request.entity)  # whatever comes now, it is cancelled
        if self._is_stopped:
            self._earlier.cancel_waiting(job.id)
        entry = self._ledger.put(entry.now(Phase.CREATED, job.id))
        if self._was_lost:
            self._earlier.warn_of_strays(request, began, but=job.id)
        return entry, job

    def _submit(self, wanted: _Wanted) -> ImportJob:
        try:
            return self._api.submit(wanted.request, wanted.file_name)
        except TransientError as error:
            self._was_lost = self._was_lost or may_have_succeeded(error)
            raise

    def _upload(
        self, entry: JournalEntry, job: ImportJob, file: ImportFile, request: ImportRequest
    ) -> ImportJob:
        self._ledger.put(entry.now(Phase.UPLOADING))
        self.uploading = job.id

        def attempt() -> ImportJob:
            self._go_on()
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
            with log_periodically(PROGRESS_SECONDS, self._watch.log_progress):
                uploaded = self._retry.call(attempt)
        except DemandbaseError as error:
            if not may_have_succeeded(error):
                self._watch.forget(job.id)
                self.uploading = None
                if self._earlier.cancel_waiting(job.id):
                    self.forget(file)
            raise
        self._ledger.put(entry.now(Phase.UPLOADED))
        self.uploading = None
        return uploaded

    def _find_created(self, wanted: _Wanted) -> ImportJob | None:
        """Return the job that a request created whose response was lost."""
        job = self._earlier.find_created(wanted.file_name, wanted.began)
        return None if job is None or job.id in self._used else job
