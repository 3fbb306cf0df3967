"""What imports of earlier runs mean for this one: resumed, waited for, cancelled, or forgotten."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from demandbase_api.errors import (
    ConflictError,
    DemandbaseError,
    JobGoneError,
    NotFoundError,
    PossibleDuplicatesError,
    TransientError,
)
from demandbase_api.jobs.import_journal import Phase
from demandbase_api.models import ImportOperation, JobStatus

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.jobs.import_journal import ImportFile, ImportJournal, JournalEntry
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.models import ImportJob, ImportRequest
    from demandbase_api.ports import ImportApi


logger = logging.getLogger(__name__)

MAX_AGE = timedelta(hours=24)
"""Older jobs are not resumed: what they wrote may have been changed since."""

CLOCK_SKEW = timedelta(minutes=1)
"""Maximum difference between the clocks of this machine and the server."""


class ImportRecovery:
    """The imports that earlier runs began.

    Args:
        api: The import API.
        poller: Polls their jobs.
        journal: Their entries.
        clock: Time.
    """

    def __init__(
        self, api: ImportApi, poller: JobPoller[ImportJob], journal: ImportJournal, clock: Clock
    ) -> None:
        self._api = api
        self._poller = poller
        self._journal = journal
        self._clock = clock
        self._passed: set[str] = set()

    def resume(
        self, file: ImportFile, request: ImportRequest, used: Collection[str]
    ) -> tuple[JournalEntry, ImportJob] | None:
        """Return the journal entry and the job of an earlier import of a file, if it is valid.

        Args:
            file: The file.
            request: The request for its import.
            used: Jobs that this run has used already: a run may send the same file twice.
        """
        for entry in self._journal.alike(file.fingerprint):
            if entry.job_id in used or self._clock.utc() - entry.began > MAX_AGE:
                continue
            if entry.phase is Phase.ACCOUNTED and file.is_replay:
                continue  # the rows that it rejected are sent again
            job = self._job_of(entry, file, request)
            if job is None or job.id in used or not self._is_valid(job, request):
                continue
            logger.info(
                "Resuming the import job %s of stream %s, which is %s, in place of a new one",
                job.id,
                entry.stream,
                job.status_text,
            )
            return self._journal.adopt(entry.now(entry.phase, job.id), file.fingerprint), job
        return None

    def wait_for_previous(self, entity: str) -> None:
        """Wait for the jobs of earlier runs: older rows must not be imported after newer ones.

        Raises:
            JobTimeoutError: One does not end in time.
        """
        if entity in self._passed:
            return
        self._passed.add(entity)
        for entry in self._journal.left_behind():
            if entry.entity != entity:
                continue
            job = self._job(entry)
            if job is None or self._api.waits_for_file(job):
                continue
            if not job.status.is_terminal:
                logger.info("Waiting for the import job %s of an earlier run", job.id)
                self._poller.add(job, entity, own=False)
                with suppress(JobGoneError):
                    self._poller.wait(job.id)
                self._poller.forget(job.id)
            if entry.operation != ImportOperation.INSERT.value:
                # Newer rows follow: no later run may resume the job as if it were the last.
                self._journal.forget(entry.fingerprint)

    def check_inserts(self, request: ImportRequest, *, is_replay: bool) -> None:
        """Make sure that no earlier insert into the entity is unaccounted for.

        Args:
            request: The insert that is about to be sent.
            is_replay: Whether its rows are only those that earlier jobs rejected.

        Raises:
            PossibleDuplicatesError: One is: its rows could be inserted twice.
        """
        for entry in self._journal.left_behind():
            if (entry.entity, entry.operation) != (request.entity, request.operation.value):
                continue
            job = self._job(entry)
            if self._imported_nothing(entry, job):
                self._release(job)
                self._journal.forget(entry.fingerprint)
            elif not (is_replay and entry.phase is Phase.ACCOUNTED):
                raise PossibleDuplicatesError(
                    f"Rows of stream {entry.stream} may have been inserted into {entry.entity} "
                    f"already: the import job {entry.job_id} of an earlier run received "
                    f"{entry.rows} rows, {_why_not_resumed(job)}. Check the job in "
                    "Demandbase; once you know what to send, remove "
                    f"{self._journal.path(entry)} and run again."
                )

    def remove_stale(self) -> None:
        """Remove the entries of earlier runs after a successful run, which no failure here ends."""
        for entry in self._journal.left_behind():
            try:
                if self._is_stale(entry, self._job(entry)):
                    self._journal.forget(entry.fingerprint)
            except DemandbaseError as error:
                logger.warning(
                    "The journal entry of the import job %s of an earlier run stays: %s",
                    entry.job_id,
                    error,
                )
                if error.ends_run or isinstance(error, TransientError):
                    return  # the next run removes the others

    def find_created(self, file_name: str, began: datetime) -> ImportJob | None:
        """Return the job whose creation began at a time, by the name of its file."""
        return self._api.find_created(file_name, began - CLOCK_SKEW)

    def warn_of_strays(self, request: ImportRequest, began: datetime, but: str = "") -> None:
        """Warn that a lost request may have created a job which the API does not identify.

        Args:
            request: The request.
            began: When it was sent.
            but: A job to leave out.
        """
        if self._api.capabilities.find_created:
            return
        try:
            jobs = self._api.possibly_created(request, began - CLOCK_SKEW)
            strays = [job.id for job in jobs if job.id != but]
        except DemandbaseError as error:
            strays = []
            logger.info("The import jobs that wait for a file cannot be listed: %s", error)
        logger.warning(
            "The response to the creation of an import job for %s was lost. If it was created, it "
            "waits for a file and changes nothing: %s. A job does not say what it was created for, "
            "so it is neither used nor cancelled.",
            request.entity,
            f"check {', '.join(strays)} in Demandbase" if strays else "none is in the job list",
        )

    def cancel_waiting(self, job_id: str) -> bool:
        """Cancel a job that waits for its file; return whether nothing is left to cancel."""
        return self._cancel(job_id) is True

    def _cancel(self, job_id: str) -> bool | None:
        """Cancel a job.

        Returns:
            Whether nothing is left to cancel: ``False`` if the API cannot cancel, ``None`` if the
            request failed.
        """
        try:
            is_cancelled = self._api.cancel(job_id)
        except (ConflictError, NotFoundError):
            return True
        except DemandbaseError as error:
            logger.warning("The import job %s was not cancelled: %s", job_id, error)
            return None
        if not is_cancelled:
            logger.info(
                "The import job %s waits for a file and changes nothing; this API cannot cancel it",
                job_id,
            )
        return is_cancelled

    def _job_of(
        self, entry: JournalEntry, file: ImportFile, request: ImportRequest
    ) -> ImportJob | None:
        if entry.job_id is not None:
            return self._job(entry)
        job = self.find_created(file.job_name(entry.fingerprint, entry.began), entry.began)
        if job is None:
            self.warn_of_strays(request, entry.began)
        return job

    def _job(self, entry: JournalEntry) -> ImportJob | None:
        """Return the job of an entry, or ``None`` if it is unknown."""
        if entry.job_id is None:
            return None
        try:
            return self._api.get(entry.job_id)
        except NotFoundError:
            return None

    def _is_valid(self, job: ImportJob, request: ImportRequest) -> bool:
        """Return whether a job of the same file makes a new one superfluous."""
        if job.status is JobStatus.CANCELLED:
            return False
        if job.status is JobStatus.FAILED:
            return False  # ``check_inserts`` keeps inserts from being repeated
        is_insert = request.operation is ImportOperation.INSERT
        # Older rows of the same keys may have been sent since, and would be the last.
        is_late = request.entity in self._passed and not self._api.waits_for_file(job)
        return is_insert or not is_late

    def _imported_nothing(self, entry: JournalEntry, job: ImportJob | None) -> bool:
        """Return whether it is certain that a job imported no row."""
        if job is None:
            # A job that no longer exists may have inserted its rows, once it had its file.
            return entry.phase in {Phase.CREATING, Phase.CREATED}
        if self._api.waits_for_file(job) or job.status is JobStatus.CANCELLED:
            return True  # a job can be cancelled only before it processes its rows
        return (
            job.status is JobStatus.FAILED
            and job.success_count == 0
            and job.error_count is not None
            and job.processed_rows == job.error_count
        )

    def _is_stale(self, entry: JournalEntry, job: ImportJob | None) -> bool:
        if entry.operation == ImportOperation.INSERT.value:
            # The source may still send its rows again, however late.
            return self._imported_nothing(entry, job) and self._release(job)
        # An unknown job may belong to another tenant whose runs share the folder.
        is_old = self._clock.utc() - entry.began > MAX_AGE
        is_known = entry.job_id is None or job is not None
        return is_old or (is_known and self._release(job))

    def _release(self, job: ImportJob | None) -> bool:
        """Cancel a job that waits for its file; return ``False`` if a later run must try again."""
        if job is None or not self._api.waits_for_file(job):
            return True
        return self._cancel(job.id) is not None


def _why_not_resumed(job: ImportJob | None) -> str:
    if job is not None and job.status is JobStatus.FAILED:
        return "and failed after it may have inserted some of them"
    return "that differ from those of this run"
