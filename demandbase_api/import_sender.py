"""Brings files to import jobs: each once, whatever happened to the run before or to a reply."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.deadline import within
from demandbase_api.errors import (
    ConflictError,
    DemandbaseError,
    JobGoneError,
    NotFoundError,
    UnsettledInsertError,
)
from demandbase_api.import_ledger import LedgerEntry, Phase
from demandbase_api.job_creation import JobCreation, may_have_happened
from demandbase_api.job_list import recent
from demandbase_api.models import ImportOperation
from demandbase_api.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.clock import Clock
    from demandbase_api.import_ledger import ImportLedger
    from demandbase_api.job_watch import JobWatch
    from demandbase_api.models import ImportJob, ImportRequest
    from demandbase_api.ports import ImportApi
    from demandbase_api.retry import RetryPolicy

logger = logging.getLogger(__name__)

MAX_AGE = timedelta(hours=24)
"""An older job says nothing of today: what it wrote may have been changed since."""
_CLOCK_SKEW = timedelta(minutes=1)
_LOST_JOB_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file to be sent.

    Args:
        name: Its name; it carries the fingerprint.
        fingerprint: Digest of its content and of what is asked for with it.
        stream: The stream that its rows came from.
        rows: How many they are.
        open: Returns the file, standing at its start.
    """

    name: str
    fingerprint: str
    stream: str
    rows: int
    open: Callable[[], BinaryIO]


class ImportSender:
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
        watch: JobWatch[ImportJob],
        ledger: ImportLedger,
        retry: RetryPolicy,
        clock: Clock,
    ) -> None:
        self._api = api
        self._watch = watch
        self._ledger = ledger
        self._retry = retry
        self._clock = clock
        self._used: set[str] = set()
        self._mine: set[str] = set()
        self._sent: set[str] = set()
        self._creating: LedgerEntry | None = None
        self._creation = JobCreation(api.submit, self._created, retry)

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
        entry = self._ledger.find(file.fingerprint)
        job = None if entry is None else self._take_up(entry, request)
        if entry is None or job is None:
            if request.operation is ImportOperation.INSERT:
                self._settle_inserts(request)
            entry, job = self._create(request, file)
        self._mine.add(file.fingerprint)
        self._watch.add(job, request.entity)
        if self._api.waits_for_file(job):
            self._wait_for_earlier(request.entity)
            job = self._upload(entry.now(Phase.CREATED, job.id), job, file)
            self._watch.update(job)
        return job.id

    def settle(self, file: ImportFile) -> None:
        """Forget a file: all that it brought about has been told."""
        self._ledger.settle(file.fingerprint)
        self._mine.discard(file.fingerprint)

    def sweep(self) -> None:
        """After a run that worked, forget what runs before it left behind."""
        for entry in self._ledger.left_behind():
            if entry.fingerprint not in self._mine and self._is_past(entry):
                self._ledger.settle(entry.fingerprint)

    def _is_past(self, entry: LedgerEntry) -> bool:
        """Return whether an entry can be forgotten; a job that waits for its file is cancelled."""
        if entry.job_id is None or self._clock.utc() - entry.began > MAX_AGE:
            return True
        try:
            job = self._api.get(entry.job_id)
        except NotFoundError:
            return False  # perhaps another tenant's, whose runs share the folder
        return not self._api.waits_for_file(job) or self._cancel_waiting(entry.job_id)

    def close(self) -> None:
        """Cancel a job whose creation was interrupted, where there is one."""
        within(_LOST_JOB_SECONDS, [self._cancel_lost])
        self._ledger.close()

    def _cancel_lost(self) -> None:
        job = self._creation.unanswered()
        self._creation.settled()
        if job is not None and not self._cancel_waiting(job.id) and self._creating is not None:
            self._ledger.put(self._creating.now(Phase.CREATED, job.id))

    def _take_up(self, entry: LedgerEntry, request: ImportRequest) -> ImportJob | None:
        """Return the job of an entry, where it still stands for its file."""
        if self._clock.utc() - entry.began > MAX_AGE:
            return None
        if entry.job_id is None:
            job = self._created(request, entry)
        else:
            try:
                job = self._api.get(entry.job_id)
            except NotFoundError:
                job = None
        if job is None or job.status is JobStatus.CANCELLED:
            return None
        if job.status is JobStatus.FAILED and not (
            job.success_count and request.operation is ImportOperation.INSERT
        ):
            return None  # what it took harms nobody a second time
        is_insert = request.operation is ImportOperation.INSERT
        if request.entity in self._sent and not is_insert and not self._api.waits_for_file(job):
            # Older rows of the same keys may have been sent since, and would have the last word.
            return None
        logger.info(
            "Taking up the import job %s of stream %s, which is %s, instead of a new one",
            job.id,
            entry.stream,
            job.status.value,
        )
        self._used.add(job.id)
        return job

    def _create(self, request: ImportRequest, file: ImportFile) -> tuple[LedgerEntry, ImportJob]:
        entry = LedgerEntry(
            fingerprint=file.fingerprint,
            stream=file.stream,
            entity=request.entity,
            operation=request.operation.value,
            rows=file.rows,
            began_at=self._clock.utc().isoformat(),
        )
        self._ledger.put(entry)
        self._creating = entry
        try:
            job = self._creation.create(request)
        except DemandbaseError as error:
            if not may_have_happened(error):
                self._ledger.settle(file.fingerprint)
            raise
        self._used.add(job.id)
        entry = entry.now(Phase.CREATED, job.id)
        self._ledger.put(entry)
        self._creation.settled()
        return entry, job

    def _upload(self, entry: LedgerEntry, job: ImportJob, file: ImportFile) -> ImportJob:
        self._ledger.put(entry.now(Phase.UPLOADING))

        def attempt() -> ImportJob:
            try:
                return self._api.upload(job.id, file.open(), file.name)
            except DemandbaseError as error:
                if not may_have_happened(error) and not isinstance(error, ConflictError):
                    raise
                now = self._api.get(job.id)
                if self._api.waits_for_file(now):
                    raise
                return now

        try:
            uploaded = self._retry.retrying(attempt)()
        except DemandbaseError as error:
            if not may_have_happened(error):
                self._watch.forget(job.id)
                if self._cancel_waiting(job.id):
                    self.settle(file)
            raise
        self._ledger.put(entry.now(Phase.UPLOADED))
        return uploaded

    def _created(
        self, request: ImportRequest, entry: LedgerEntry | None = None
    ) -> ImportJob | None:
        """Return a job that was created for a request and whose reply was lost."""
        since = (self._clock.utc() if entry is None else entry.began) - _CLOCK_SKEW
        for job in recent(self._api.jobs(), since):
            if job.id not in self._used and self._api.is_for(job, request):
                return job
        return None

    def _wait_for_earlier(self, entity: str) -> None:
        """Let the jobs of runs before end: older rows must not land after newer ones.

        Raises:
            JobTimeoutError: One does not end in time.
        """
        if entity in self._sent:
            return
        self._sent.add(entity)
        for entry in self._ledger.left_behind():
            if entry.entity != entity or entry.fingerprint in self._mine or entry.job_id is None:
                continue
            try:
                job = self._api.get(entry.job_id)
            except NotFoundError:
                continue
            if self._api.waits_for_file(job):
                continue
            if not job.status.is_terminal:
                logger.info("Waiting for the import job %s of an earlier run", job.id)
                self._watch.add(job, entity, own=False)
                with suppress(JobGoneError):
                    self._watch.wait(job.id)
                self._watch.forget(job.id)
            if entry.operation != ImportOperation.INSERT.value:
                # What is sent now comes after it: no later run may count it as the last word.
                self._ledger.settle(entry.fingerprint)

    def _settle_inserts(self, request: ImportRequest) -> None:
        """Make sure that no earlier insert into the entity is open: its rows must not come twice.

        Raises:
            UnsettledInsertError: One is.
        """
        for entry in self._ledger.left_behind():
            is_like = (entry.entity, entry.operation) == (request.entity, request.operation.value)
            if entry.fingerprint in self._mine or not is_like:
                continue
            if entry.job_id is None or self._took_nothing(entry, entry.job_id):
                self._ledger.settle(entry.fingerprint)
                continue
            raise UnsettledInsertError(
                f"Rows of stream {entry.stream} may have been inserted into {entry.entity} "
                f"already: the import job {entry.job_id} of an interrupted run got "
                f"{entry.rows} rows that differ from those at hand. Look at it in Demandbase; "
                f"once you know what to send, remove {self._ledger.path(entry.fingerprint)} and "
                "run again."
            )

    def _took_nothing(self, entry: LedgerEntry, job_id: str) -> bool:
        try:
            job = self._api.get(job_id)
        except NotFoundError:
            # A job that is gone may have inserted its rows before, once it had its file.
            return entry.phase in {Phase.CREATING, Phase.CREATED}
        if self._api.waits_for_file(job):
            self._cancel_waiting(job_id)
            return True
        is_over = job.status in {JobStatus.CANCELLED, JobStatus.FAILED}
        return is_over and job.success_count == 0

    def _cancel_waiting(self, job_id: str) -> bool:
        """Cancel a job; return whether nothing is left to be cancelled."""
        try:
            self._api.cancel(job_id)
        except (ConflictError, NotFoundError):
            return True
        except DemandbaseError as error:
            logger.warning("The import job %s was not cancelled: %s", job_id, error)
            return False
        return True
