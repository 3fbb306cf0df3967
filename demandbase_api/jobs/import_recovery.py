"""Imports that earlier runs began: resumed, waited for, cancelled, or forgotten.

``import_decision`` says what is done with each; this module reads the jobs and does it.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, assert_never

from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import (
    ConflictError,
    DemandbaseError,
    JobGoneError,
    JobTimeoutError,
    JournalError,
    NotFoundError,
    PossibleDuplicatesError,
    TransientError,
)
from demandbase_api.jobs.import_decision import (
    WITHOUT_FILE,
    Follows,
    Step,
    View,
    decide,
    view_of,
)
from demandbase_api.jobs.import_journal import Phase
from demandbase_api.jobs.job_reader import recent
from demandbase_api.jobs.poller import YOUNG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
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

_PAUSES = 1.0, 2.0, 4.0, 8.0
"""Seconds before each further reading of a job that may show its file late."""
_DOUBT_SECONDS = 180.0
"""Time for a job to show a file whose upload was begun by a run that has ended."""
_FILELESS = timedelta(minutes=10)
"""Age up to which a job of another machine may still get its file."""
_LIST_SECONDS = 60.0
_FILE_NAME = re.compile(r".+-[0-9a-f]{32}(-\d+)?(-\d{8}T\d{12})?\.csv")
"""What this product calls the files that it sends; see ``ImportFile``."""
_MAY_HAVE_FILE = frozenset({Phase.UPLOADING, Phase.UPLOADED})
_FILELESS_PHASES = frozenset({Phase.CREATING, Phase.CREATED})
_MAY_CHANGE = frozenset({View.WAITS, View.UNKNOWN, View.FAILED_EMPTY})
"""What a job may show for some seconds though it has its file, or has imported rows."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """An earlier import of a file that is to be sent.

    Args:
        entry: Its entry.
        job: Its job.
        needs_file: Whether the file must be uploaded.
    """

    entry: JournalEntry
    job: ImportJob
    needs_file: bool


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
    ) -> Resumed | None:
        """Return an earlier import of a file, if there is one that makes a new one superfluous.

        Args:
            file: The file.
            request: The request for its import.
            used: Jobs that this run has used already: a run may send the same file twice.

        Raises:
            PossibleDuplicatesError: An earlier import may have added rows of the file.
            JournalError: An entry cannot be read.
        """
        for entry in self._journal.alike(file.fingerprint):
            is_replayed = file.is_replay and entry.phase is Phase.ACCOUNTED
            if is_replayed or self._is_old(entry):
                continue
            found = self._find_id(entry, file, request)
            if found.job_id in used:
                continue
            view, job = self._look(found)
            step, view, job = self._decide(found, view, job, Follows.SAME)
            if step is Step.STOP:
                raise self._possible_duplicates([(entry, view)], Follows.SAME)
            if step is Step.CREATE or job is None:
                continue
            logger.info(
                "Resuming the import job %s of stream %s, which is %s, in place of a new one",
                job.id,
                entry.stream,
                job.status_text,
            )
            adopted = self._journal.adopt(found, file.fingerprint)
            return Resumed(adopted, job, needs_file=step is Step.UPLOAD)
        return None

    def clear_way(
        self, request: ImportRequest, used: Collection[str], *, is_replay: bool = False
    ) -> None:
        """Make sure that rows may be sent: nothing that was sent before can land after them.

        Jobs of earlier runs that may still land are waited for, as are those in the list that other
        machines created with this product. Jobs that got no file are cancelled.

        Args:
            request: The import that follows.
            used: Jobs of this run.
            is_replay: Whether its rows are only those that earlier jobs rejected.

        Raises:
            PossibleDuplicatesError: Rows could be added twice.
            JobTimeoutError: A job does not end in time.
            JournalError: An entry cannot be read.
        """
        adds = request.adds
        if request.entity in self._passed and not adds:
            return
        follows = Follows.ADDED if adds else Follows.WRITTEN
        known = set(used) | self._journal.given_up()
        names: list[str] = []
        in_the_way: list[tuple[JournalEntry, View]] = []
        for entry in self._journal.left_behind():
            is_replayed = is_replay and entry.phase is Phase.ACCOUNTED
            if entry.entity == request.entity and not is_replayed:
                step, view = self._clear(entry, follows)
                if step is Step.STOP:
                    in_the_way.append((entry, view))
                if view is View.UNKNOWN and entry.phase in _MAY_HAVE_FILE:
                    continue  # the list may show what the job itself does not
            known.add(entry.job_id or "")
            names.append(_name_end(entry))
        if in_the_way:
            raise self._possible_duplicates(in_the_way, follows)
        if request.entity not in self._passed:
            self._wait_for_listed(request.entity, known, tuple(names))
            self._passed.add(request.entity)

    def after_doubt(self, entry: JournalEntry) -> tuple[Step, ImportJob | None]:
        """Return what to do about an upload of this run, which the server may have got.

        Args:
            entry: Its entry.

        Returns:
            ``POLL``, ``UPLOAD`` (again) or ``CREATE`` (a new job), and the job.

        Raises:
            PossibleDuplicatesError: It adds rows, and it is unknown whether it got them.
            DemandbaseError: The job cannot be read.
        """
        view, job = self._view(entry, is_patient=True, deadline=NO_DEADLINE)
        step, view, job = self._decide(entry, view, job, Follows.SAME)
        if step is Step.STOP:
            raise self._possible_duplicates([(entry, view)], Follows.SAME)
        return step, job

    def after_refusal(self, entry: JournalEntry) -> tuple[View, ImportJob | None]:
        """Take back a job of this run whose upload was refused: cancel it, or see what it shows.

        Args:
            entry: Its entry.

        Returns:
            ``CANCELLED`` proves that it does not have the file, ``WAITS`` and ``UNKNOWN`` prove
            nothing; with any other it has the file.
        """
        view, job = self.cancel(entry)
        if view is View.UNCANCELLABLE:
            try:
                view, job = self._view(entry, is_patient=True, deadline=NO_DEADLINE)
            except DemandbaseError:  # that of the upload is the one to report
                view = View.UNKNOWN
        return view, job

    def remove_stale(self) -> None:
        """Remove the entries of earlier runs after a successful run, which no failure here ends."""
        try:
            entries = self._journal.left_behind()
        except JournalError as error:
            logger.warning("%s", error)
            return
        for entry in entries:
            try:
                view, job = self._view(entry, is_patient=False, deadline=NO_DEADLINE)
                step, _, _ = self._decide(entry, view, job, Follows.WRITTEN)
            except DemandbaseError as error:
                logger.warning(
                    "The journal entry of the import job %s of an earlier run stays: %s",
                    entry.job_id,
                    error,
                )
                return  # the next run removes the others
            # The source may send the rows of an insert again, however late.
            is_refused = entry.phase is Phase.REFUSED and view in WITHOUT_FILE
            may_expire = not entry.adds or is_refused or entry.phase in _FILELESS_PHASES
            if step is Step.FORGET or (may_expire and self._is_old(entry)):
                self._journal.drop(entry)

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
            where = f"the job list cannot be read: {error}"
        else:
            ids = ", ".join(strays)
            where = f"check {ids} in Demandbase." if ids else "none is in the job list."
        logger.warning(
            "The response to the creation of an import job for %s was lost. If it was created, it "
            "waits for a file and changes nothing: %s A job does not say what it was created for, "
            "so it is neither used nor cancelled.",
            request.entity,
            where,
        )

    def cancel(self, entry: JournalEntry) -> tuple[View, ImportJob | None]:
        """Cancel the job of an entry, whose file it surely or probably does not have.

        Returns:
            What the job shows after that. ``CANCELLED`` proves that it imported no row.
        """
        assert entry.job_id is not None  # noqa: S101 - a job that waits has an id
        try:
            is_cancelled = self._api.cancel(entry.job_id)
        except ConflictError:
            return self._after_conflict(entry)
        except NotFoundError:
            return View.UNKNOWN, None
        except DemandbaseError as error:
            logger.warning("The import job %s was not cancelled: %s", entry.job_id, error)
            return View.UNCANCELLABLE, None
        if is_cancelled:
            return View.CANCELLED, None
        logger.info(
            "The import job %s waits for a file and changes nothing; this API cannot cancel it",
            entry.job_id,
        )
        return View.UNCANCELLABLE, None

    def give_up_advice(self, entry: JournalEntry) -> str:
        """Return how a person gives up the import of an entry, as a sentence."""
        return (
            "Each further run waits for it again. To give it up, use “demandbase journal forget "
            f"{entry.job_id or entry.fingerprint}”: the next run then sends the rows that it gets "
            "in a new job."
        )

    def _after_conflict(self, entry: JournalEntry) -> tuple[View, ImportJob | None]:
        """Return what a job shows that cannot be cancelled any more: it may have its file."""
        view, job = self._look(entry)
        if view in {View.WAITS, View.UNDER_WAY}:
            has_file = entry.phase not in _FILELESS_PHASES
            view = View.UNDER_WAY if has_file else View.UNCANCELLABLE
        return view, job

    def _find_id(
        self, entry: JournalEntry, file: ImportFile, request: ImportRequest
    ) -> JournalEntry:
        """Return an entry with the id of its job, if the job can be found."""
        if entry.job_id is not None:
            return entry
        name = file.job_name(entry.fingerprint, entry.began)
        try:
            job = self.find_created(name, entry.began)
        except DemandbaseError as error:
            if error.ends_run:
                raise
            # The job has no file, so that another one for the file does no harm.
            logger.warning(
                "The import job %s of an earlier run, which has no file, cannot be looked up: %s",
                name,
                error,
            )
            return entry
        if job is None:
            self.warn_of_strays(request, entry.began)
            return entry
        return entry.now(entry.phase, job.id)

    def _look(self, entry: JournalEntry) -> tuple[View, ImportJob | None]:
        """Return what the server shows of a job; a job that cannot be read is unknown."""
        try:
            return self._view(entry, is_patient=_may_show_late(entry), deadline=NO_DEADLINE)
        except DemandbaseError as error:
            if error.ends_run:
                raise
            logger.warning(
                "The import job %s of an earlier run cannot be read: %s", entry.job_id, error
            )
            return View.UNKNOWN, None

    def _view(
        self, entry: JournalEntry, *, is_patient: bool, deadline: Deadline
    ) -> tuple[View, ImportJob | None]:
        """Return what the server shows of a job.

        Args:
            entry: Its entry.
            is_patient: Whether to read it again for some seconds if it does not show its file, or
                shows that it imported nothing: figures may lag behind the status.
            deadline: Deadline of each reading.
        """
        view, job = self._read(entry, deadline)
        is_young = (self._clock.utc() - entry.began).total_seconds() < YOUNG_SECONDS
        for pause in _PAUSES:
            may_lag = (is_patient and view in _MAY_CHANGE) or (is_young and view is View.UNKNOWN)
            if not may_lag:
                break
            self._clock.sleep(pause)
            view, job = self._read(entry, deadline)
        return view, job

    def _read(self, entry: JournalEntry, deadline: Deadline) -> tuple[View, ImportJob | None]:
        if entry.job_id is None:
            return View.NO_ID, None
        try:
            job = self._api.get(entry.job_id, deadline)
        except NotFoundError:
            return View.UNKNOWN, None
        return view_of(job, waits_for_file=may_lack_file(self._api, entry, job)), job

    def _decide(
        self, entry: JournalEntry, view: View, job: ImportJob | None, follows: Follows
    ) -> tuple[Step, View, ImportJob | None]:
        """Return the step for an entry. If it is to cancel the job, that is done first."""
        step = decide(entry.phase, view, adds=entry.adds, follows=follows)
        if step is Step.CANCEL:
            view, shown = self.cancel(entry)
            job = shown or job
            step = decide(entry.phase, view, adds=entry.adds, follows=follows)
        return step, view, job

    def _clear(self, entry: JournalEntry, follows: Follows) -> tuple[Step, View]:
        """Do what an entry of an earlier run asks for before other rows are sent.

        Returns:
            What was done, ``STOP`` if it is in the way, and what its job shows.
        """
        view, job = self._look(entry)
        step, view, job = self._decide(entry, view, job, follows)
        if step is Step.WAIT and job is not None:
            view = self._wait_for_entry(entry, job, may_lack_file=view is View.UNCANCELLABLE)
            step = decide(entry.phase, view, adds=entry.adds, follows=follows)
            if step in {Step.WAIT, Step.CANCEL} and not entry.adds:
                step = Step.FORGET  # no later run may resume it as if it were the last
        match step:
            case Step.FORGET:
                self._journal.drop(entry)
            case Step.STOP | Step.LEAVE | Step.WAIT | Step.CANCEL:
                pass
            case Step.CREATE | Step.UPLOAD | Step.POLL:
                raise AssertionError("these are for the same file")
            case _:
                assert_never(step)
        return step, view

    def _wait_for_entry(self, entry: JournalEntry, job: ImportJob, *, may_lack_file: bool) -> View:
        """Wait for the end of a job of an earlier run; return what it shows then.

        Raises:
            JobTimeoutError: It does not end in time.
        """
        try:
            job = self._wait(job, entry.entity, _DOUBT_SECONDS if may_lack_file else None)
        except JobGoneError:
            return View.UNKNOWN
        except JobTimeoutError as error:
            raise _with_advice(error, self.give_up_advice(entry)) from error
        return view_of(job, waits_for_file=self._api.waits_for_file(job))

    def _wait(self, job: ImportJob, entity: str, fileless: float | None) -> ImportJob:
        """Wait for the end of a job that this run did not create.

        Args:
            job: The job.
            entity: Its entity.
            fileless: Maximum time to wait while it shows no file, in seconds. ``None`` if it surely
                has its file.

        Returns:
            The job, which has ended or still waits for its file.

        Raises:
            JobTimeoutError: It does not end in time.
            JobGoneError: The server no longer knows it.
        """
        logger.info("Waiting for the import job %s, whose rows come first", job.id)
        try:
            if fileless is not None and self._api.waits_for_file(job):
                self._poller.add(
                    job, entity, own=False, deadline=Deadline.after(self._clock, fileless)
                )
                try:
                    return self._poller.wait(job.id)
                except JobTimeoutError:
                    job = self._poller.latest(job.id)
                if self._api.waits_for_file(job):
                    logger.warning(
                        "The import job %s still waits for its file and is not waited for any "
                        "longer. If it gets the file after all, its rows replace newer ones.",
                        job.id,
                    )
                    return job
            self._poller.add(job, entity, own=False)
            return self._poller.wait(job.id)
        finally:
            self._poller.forget(job.id)

    def _wait_for_listed(self, entity: str, known: Collection[str], names: tuple[str, ...]) -> None:
        """Wait for jobs in the list that other machines created with this product.

        Args:
            entity: The entity.
            known: Jobs that are not waited for.
            names: Ends of the file names of such jobs.
        """
        try:
            listed = self._recent_jobs()
        except DemandbaseError as error:
            # If it may pass, the next call finds out whether it is one for the whole run.
            if error.ends_run and not isinstance(error, TransientError):
                raise
            logger.warning(
                "The list of import jobs cannot be read, so imports of other machines into %s are "
                "not waited for: %s",
                entity,
                error,
            )
            return
        now = self._now()
        for job in listed:
            name = job.file_name or ""
            is_ours = _FILE_NAME.fullmatch(name) is not None and job.entity in {None, entity}
            if not is_ours or job.status.is_terminal or job.id in known or name.endswith(names):
                continue
            left = 0.0
            if job.created_at is not None:
                left = (job.created_at + _FILELESS - now).total_seconds()
            if self._api.waits_for_file(job) and left <= 0:
                continue
            self._wait_for_other(job, entity, min(left, _FILELESS.total_seconds()))

    def _wait_for_other(self, job: ImportJob, entity: str, fileless: float) -> None:
        try:
            self._wait(job, entity, fileless)
        except JobGoneError:
            pass
        except JobTimeoutError as error:
            hours = MAX_AGE.total_seconds() / 3600
            advice = (
                "This machine's journal does not have it, so another machine may have created it. "
                f"Each run waits for it until it is {hours:.0f} hours old or is cancelled in "
                "Demandbase."
            )
            raise _with_advice(error, advice) from error

    def _recent_jobs(self) -> list[ImportJob]:
        """Return the jobs of the last 24 hours, by the clock of the server."""
        deadline = Deadline.after(self._clock, _LIST_SECONDS)
        jobs = iter(self._api.jobs(deadline))
        first = list(islice(jobs, 1))  # the response that has it says what time it is
        return list(recent(chain(first, jobs), self._now() - MAX_AGE))

    def _now(self) -> datetime:
        return self._api.server_time() or self._clock.utc()

    def _is_old(self, entry: JournalEntry) -> bool:
        return self._clock.utc() - entry.began > MAX_AGE

    def _possible_duplicates(
        self, cases: Sequence[tuple[JournalEntry, View]], follows: Follows
    ) -> PossibleDuplicatesError:
        """Return the error for entries whose rows may have been added."""
        entry, view = cases[0]
        others = ", ".join(other.job_id or "one without an id" for other, _ in cases[1:])
        paths = ", ".join(self._journal.location(each) for each, _ in cases)
        return PossibleDuplicatesError(
            f"Rows of stream {entry.stream} may have been inserted into {entry.entity} already: "
            f"the import job {entry.job_id} was sent {entry.rows} rows, "
            f"{self._why(entry, view, follows)}."
            f"{others and f' Further jobs are in the way: {others}.'} Check what they did in "
            f"Demandbase; once you know what to send, remove {paths} and run again."
        )

    def _why(self, entry: JournalEntry, view: View, follows: Follows) -> str:
        match view:
            case View.FAILED | View.FAILED_EMPTY | View.CANCELLED:
                return "and failed after it may have inserted some of them"
            case View.UNKNOWN | View.NO_ID:
                return "and Demandbase does not show what became of them"
            case View.WAITS | View.UNCANCELLABLE:
                return "and does not show whether it got them"
            case View.UNDER_WAY | View.COMPLETED if follows is Follows.SAME or self._is_old(entry):
                return "more than 24 hours ago"
            case View.UNDER_WAY | View.COMPLETED:
                return "that differ from those of this run"
            case _:
                assert_never(view)


def may_lack_file(api: ImportApi, entry: JournalEntry, job: ImportJob) -> bool:
    """Return whether a job shows nothing that it did not show before its file."""
    return api.waits_for_file(job) or job.status_text == entry.status_without_file


def _may_show_late(entry: JournalEntry) -> bool:
    """Return whether it depends on what the job shows whether its rows are sent again."""
    return entry.adds and entry.phase not in _FILELESS_PHASES


def _name_end(entry: JournalEntry) -> str:
    """Return the end of the name of an entry's job, whose id may not be known."""
    return f"-{entry.fingerprint}-{entry.began:%Y%m%dT%H%M%S%f}.csv"


def _with_advice(error: JobTimeoutError, advice: str) -> JobTimeoutError:
    return JobTimeoutError(
        f"{error} {advice}",
        kind=error.kind,
        job_id=error.job_id,
        entity=error.entity,
        status=error.status,
    )
