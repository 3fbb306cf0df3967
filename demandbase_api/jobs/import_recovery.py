"""What imports of runs before this one mean for it: taken up, waited for, or in the way."""

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
    UnsettledInsertError,
)
from demandbase_api.jobs.import_journal import Phase
from demandbase_api.jobs.poller import recent
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
"""An older job says nothing of today: what it wrote may have been changed since."""

CLOCK_SKEW = timedelta(minutes=1)
"""How far the clocks of here and there may be apart."""


class ImportRecovery:
    """The imports that runs before this one began.

    Args:
        api: Where they are.
        watch: Knows the jobs' states.
        ledger: Remembers them.
        clock: Time.
    """

    def __init__(
        self, api: ImportApi, watch: JobPoller[ImportJob], ledger: ImportJournal, clock: Clock
    ) -> None:
        self._api = api
        self._watch = watch
        self._ledger = ledger
        self._clock = clock
        self._passed: set[str] = set()

    def resume(
        self, file: ImportFile, request: ImportRequest, used: Collection[str]
    ) -> tuple[JournalEntry, ImportJob] | None:
        """Return the entry and the job of a file, where it still stands for the file.

        Args:
            file: The file.
            request: What is asked for with it.
            used: Jobs that this run has used already: the same file may come twice.
        """
        for entry in self._ledger.alike(file.fingerprint):
            if entry.job_id in used or self._clock.utc() - entry.began > MAX_AGE:
                continue
            if entry.phase is Phase.ACCOUNTED and file.is_replay:
                continue  # the rows that it did not take have come back
            job = self._job_of(entry, file, request)
            if job is None or job.id in used or not self._stands(job, request):
                continue
            logger.info(
                "Taking up the import job %s of stream %s, which is %s, instead of a new one",
                job.id,
                entry.stream,
                job.status.value,
            )
            return self._ledger.take_over(entry.now(entry.phase, job.id), file.fingerprint), job
        return None

    def _job_of(
        self, entry: JournalEntry, file: ImportFile, request: ImportRequest
    ) -> ImportJob | None:
        if entry.job_id is not None:
            return self._job(entry)
        if self._api.capabilities.named_jobs:
            return self.named(file.job_name(entry.fingerprint, entry.began), entry.began)
        self.warn_of_strays(request, entry.began)
        return None

    def _stands(self, job: ImportJob, request: ImportRequest) -> bool:
        if job.status is JobStatus.CANCELLED:
            return False
        is_insert = request.operation is ImportOperation.INSERT
        if job.status is JobStatus.FAILED and not (job.success_count and is_insert):
            return False  # what it took harms nobody a second time
        # Older rows of the same keys may have been sent since, and would have the last word.
        is_late = request.entity in self._passed and not self._api.waits_for_file(job)
        return is_insert or not is_late

    def named(self, file_name: str, since: datetime) -> ImportJob | None:
        """Return the newest job that bears a file's name, where there is one."""
        jobs = recent(self._api.jobs(), since - CLOCK_SKEW)
        return next((job for job in jobs if job.file_name == file_name), None)

    def warn_of_strays(self, request: ImportRequest, since: datetime, but: str = "") -> None:
        """Tell of jobs that a lost creation may have left; nothing tells them from others' jobs.

        Args:
            request: What was asked for.
            since: When.
            but: A job that is none of them.
        """
        try:
            strays = [
                job.id
                for job in recent(self._api.jobs(), since - CLOCK_SKEW)
                if self._api.waits_for_file(job) and job.entity == request.entity and job.id != but
            ]
        except DemandbaseError as error:
            strays = []
            logger.info("The import jobs that wait for a file are not known: %s", error)
        logger.warning(
            "The reply to the creation of an import job for %s was lost. If it was created, it "
            "waits for a file and changes nothing: %s. A job does not say what it was created "
            "for, so it is neither used nor cancelled.",
            request.entity,
            f"look at {', '.join(strays)} in Demandbase" if strays else "none is in the job list",
        )

    def wait_for_previous(self, entity: str) -> None:
        """Let the jobs of runs before end: older rows must not land after newer ones.

        Raises:
            JobTimeoutError: One does not end in time.
        """
        if entity in self._passed:
            return
        self._passed.add(entity)
        for entry in self._ledger.left_behind():
            if entry.entity != entity:
                continue
            job = self._job(entry)
            if job is None or self._api.waits_for_file(job):
                continue
            if not job.status.is_terminal:
                logger.info("Waiting for the import job %s of an earlier run", job.id)
                self._watch.add(job, entity, own=False)
                with suppress(JobGoneError):
                    self._watch.wait(job.id)
                self._watch.forget(job.id)
            if entry.operation != ImportOperation.INSERT.value:
                # What is sent now comes after it: no later run may count it as the last word.
                self._ledger.forget(entry.fingerprint)

    def settle_inserts(self, request: ImportRequest, *, is_replay: bool) -> None:
        """Make sure that no earlier insert into the entity is open: its rows must not come twice.

        Args:
            request: What is about to be inserted.
            is_replay: Whether its rows are none but those that earlier jobs did not take.

        Raises:
            UnsettledInsertError: One is.
        """
        for entry in self._ledger.left_behind():
            if (entry.entity, entry.operation) != (request.entity, request.operation.value):
                continue
            job = self._job(entry)
            if self._took_nothing(entry, job):
                self._is_released(job)
                self._ledger.forget(entry.fingerprint)
            elif not (is_replay and entry.phase is Phase.ACCOUNTED):
                raise UnsettledInsertError(
                    f"Rows of stream {entry.stream} may have been inserted into {entry.entity} "
                    f"already: the import job {entry.job_id} of an earlier run got {entry.rows} "
                    "rows that differ from those at hand. Look at it in Demandbase; once you know "
                    f"what to send, remove {self._ledger.path(entry)} and run again."
                )

    def _job(self, entry: JournalEntry) -> ImportJob | None:
        """Return the job of an entry, where it has one and Demandbase knows it."""
        if entry.job_id is None:
            return None
        try:
            return self._api.get(entry.job_id)
        except NotFoundError:
            return None

    def _took_nothing(self, entry: JournalEntry, job: ImportJob | None) -> bool:
        """Return whether a job surely has none of its rows."""
        if job is None:
            # A job that is gone may have inserted its rows before, once it had its file.
            return entry.phase in {Phase.CREATING, Phase.CREATED}
        if self._api.waits_for_file(job) or job.status is JobStatus.CANCELLED:
            return True  # only a job that has not begun with its rows can be cancelled
        return job.status is JobStatus.FAILED and job.success_count == 0

    def remove_stale(self) -> None:
        """After a run that worked, forget what runs before it left behind."""
        for entry in self._ledger.left_behind():
            if self._is_past(entry, self._job(entry)):
                self._ledger.forget(entry.fingerprint)

    def _is_past(self, entry: JournalEntry, job: ImportJob | None) -> bool:
        """Return whether an entry can be forgotten."""
        if entry.operation == ImportOperation.INSERT.value:
            # The source may still come with its rows, however late.
            return self._took_nothing(entry, job) and self._is_released(job)
        # A job that is not known here may be another tenant's, whose runs share the folder.
        is_old = self._clock.utc() - entry.began > MAX_AGE
        is_known = entry.job_id is None or job is not None
        return is_old or (is_known and self._is_released(job))

    def _is_released(self, job: ImportJob | None) -> bool:
        """Cancel a job that waits for its file; return whether no later run can do more."""
        if job is None or not self._api.waits_for_file(job):
            return True
        return self.cancel_waiting(job.id) or not self._api.capabilities.cancel

    def cancel_waiting(self, job_id: str) -> bool:
        """Cancel a job of ours; return whether nothing is left to be cancelled."""
        if not self._api.capabilities.cancel:
            logger.info(
                "The import job %s waits for a file and changes nothing; this API cannot cancel it",
                job_id,
            )
            return False
        try:
            self._api.cancel(job_id)
        except (ConflictError, NotFoundError):
            return True
        except DemandbaseError as error:
            logger.warning("The import job %s was not cancelled: %s", job_id, error)
            return False
        return True
