"""Imports that earlier runs began: resumed, waited for, cancelled, or forgotten.

``import_decision`` says what is done with each; this module reads the jobs and does it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
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
from demandbase_api.jobs.import_journal import JournalEntry, Phase
from demandbase_api.jobs.import_list import MAX_AGE, ImportList, sent_rows
from demandbase_api.jobs.poller import YOUNG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.jobs.import_deliveries import ImportDeliveries
    from demandbase_api.jobs.import_journal import ImportFile, ImportJournal
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.models import ImportJob, ImportRequest
    from demandbase_api.ports import ImportApi


logger = logging.getLogger(__name__)

CLOCK_SKEW = timedelta(minutes=1)
"""Maximum difference between the clocks of this machine and the server."""

_PAUSES = 1.0, 2.0, 4.0, 8.0
"""Seconds before each further reading of a job that may show its file late."""
_DOUBT_SECONDS = 180.0
"""Time for a job to show a file whose upload was begun by a run that has ended."""
_FILELESS = timedelta(minutes=10)
"""Age up to which a job of another machine may still get its file."""
_MAY_HAVE_FILE = frozenset({Phase.UPLOADING, Phase.UPLOADED})
_WITHOUT_JOURNAL = (
    " Without that state_dir, the job list stops each run that sends the same rows until the job "
    "is 24 hours old."
)
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
        is_proven: Whether a run that used this journal created the job.
    """

    entry: JournalEntry
    job: ImportJob
    needs_file: bool
    is_proven: bool = True


class ImportRecovery:
    """The imports that earlier runs began.

    Args:
        api: The import API.
        poller: Polls their jobs.
        journal: Their entries.
        deliveries: The jobs whose entries are gone, since a state covers their rows.
        clock: Time.
    """

    def __init__(
        self,
        api: ImportApi,
        poller: JobPoller[ImportJob],
        journal: ImportJournal,
        deliveries: ImportDeliveries,
        clock: Clock,
    ) -> None:
        self._api = api
        self._poller = poller
        self._journal = journal
        self._deliveries = deliveries
        self._clock = clock
        self._list = ImportList(api, clock)
        self._listed: dict[str, list[ImportJob]] = {}
        """What other machines sent before the first file of an entity, the newest first."""

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

    def resume_listed(
        self, file: ImportFile, request: ImportRequest, used: Collection[str]
    ) -> Resumed | None:
        """Return an import of rows that are added, if only the job list shows it.

        The way has been cleared: what the list shows has ended, or gets no file any more.

        Args:
            file: The file.
            request: The request for its import.
            used: Jobs that this run has used already.

        Raises:
            PossibleDuplicatesError: A listed import may have added rows of the file.
            JournalError: An entry cannot be read.
        """
        for job in self._alike(file, request, used):
            if not request.adds:
                logger.info(
                    "The import job %s got the same %d rows of stream %s within the last 24 hours. "
                    "They are written by key, so that sending them again doubles nothing.",
                    job.id,
                    file.rows,
                    file.stream,
                )
                return None
            entry = self._entry_for(job, file, request)
            view, shown = self._listed_view(entry, job, is_exact=not file.is_replay)
            if file.is_replay and shown is not None and shown.success_count == 0:
                continue  # it may be the job that rejected them
            step, view, shown = self._decide(entry, view, shown, Follows.SAME)
            if step is Step.STOP:
                # Written, so that a person can give it up.
                entry = self._journal.put(entry.now(Phase.UPLOADED))
                raise self._possible_duplicates([(entry, view)], Follows.SAME, is_listed=True)
            if step is Step.CREATE or shown is None:
                continue
            needs_file = step is Step.UPLOAD
            logger.warning(
                "The job list shows that a run which this state_dir does not know sent the same %d "
                "rows of stream %s to the import job %s, which is %s: %s",
                file.rows,
                file.stream,
                shown.id,
                shown.status_text,
                "it has no file and gets it now"
                if needs_file
                else "it is accounted for, and they are not added a second time",
            )
            entry = self._journal.put(entry.now(Phase.CREATED if needs_file else Phase.UPLOADED))
            return Resumed(entry, shown, needs_file=needs_file, is_proven=False)
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
        if request.entity in self._listed and not adds:
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
        if request.entity not in self._listed:
            listed = self._wait_for_listed(request, known, tuple(names))
            self._listed[request.entity] = listed

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
            f"Each further run waits for it again. To give it up, use “{_forget(entry)}”: the next "
            "run then sends the rows that it gets in a new job."
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
        may_lack_file = fileless is not None and self._api.waits_for_file(job)
        logger.info(
            "Waiting for the import job %s, whose rows come first%s",
            job.id,
            f": {fileless:.0f} s at most if it does not get its file" if may_lack_file else "",
        )
        try:
            if fileless is not None and may_lack_file:
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

    def _alike(
        self, file: ImportFile, request: ImportRequest, used: Collection[str]
    ) -> list[ImportJob]:
        """Return the listed jobs with the rows of a file that nothing else accounts for."""
        rows = sent_rows(file.name)
        alike = [
            job
            for job in self._listed.get(request.entity, ())
            if sent_rows(job.file_name) == rows
            and (job.created_at is None or self._list.age(job) < MAX_AGE)
        ]
        if not alike:
            return []
        known = {entry.job_id for entry in self._journal.alike(file.fingerprint)}
        known |= {*used, *self._journal.given_up(), *self._deliveries.jobs(request.entity)}
        alike = [job for job in alike if job.id not in known]
        undated = [job.id for job in alike if job.created_at is None]
        if undated and request.adds:
            logger.warning(
                "The job list shows that the same %d rows of stream %s were sent before, and not "
                "when: they are added once more. Check the import jobs %s in Demandbase, and keep "
                "state_dir between runs.",
                file.rows,
                file.stream,
                ", ".join(undated),
            )
        return [job for job in alike if job.created_at is not None]

    def _entry_for(self, job: ImportJob, file: ImportFile, request: ImportRequest) -> JournalEntry:
        return JournalEntry(
            fingerprint=file.fingerprint,
            stream=file.stream,
            entity=request.entity,
            operation=request.operation.value,
            rows=file.rows,
            began_at=(self._clock.utc() - self._list.age(job)).isoformat(),
            phase=Phase.LISTED,
            job_id=job.id,
        )

    def _listed_view(
        self, entry: JournalEntry, job: ImportJob, *, is_exact: bool
    ) -> tuple[View, ImportJob | None]:
        """Return what a listed job shows; what may have changed, or lacks figures, is read again.

        Args:
            entry: An entry for it.
            job: The job as the list showed it.
            is_exact: Whether the list is enough for a job that has completed.
        """
        view = view_of(job, waits_for_file=self._api.waits_for_file(job))
        return (view, job) if view is View.COMPLETED and is_exact else self._look(entry)

    def _wait_for_listed(
        self, request: ImportRequest, known: Collection[str], names: tuple[str, ...]
    ) -> list[ImportJob]:
        """Wait for jobs in the list that other machines created with this product.

        Args:
            request: The import that follows.
            known: Jobs that are not waited for.
            names: Ends of the file names of such jobs.

        Returns:
            The jobs, as they are after that.

        Raises:
            PossibleDuplicatesError: Rows are to be added, and the list fails for now. A list that
                is refused for good would stop each run: that is only a warning.
        """
        entity = request.entity
        try:
            listed = self._list.read(entity, is_needed=request.adds)
        except TransientError as error:
            if request.adds and error.ends_run:
                raise
            if request.adds:
                raise PossibleDuplicatesError(
                    f"{error} That list says which rows earlier runs have sent, and rows of "
                    f"{entity} are always added, so none is sent without it: run again later."
                ) from error
            # The next call finds out whether it is one for the whole run.
            self._warn_of_list(request, error)
            return []
        except DemandbaseError as error:
            if error.ends_run:
                raise
            self._warn_of_list(request, error)
            return []
        follows = Follows.ADDED if request.adds else Follows.WRITTEN
        found: list[ImportJob] = []
        for job in listed:
            if job.id in known or (job.file_name or "").endswith(names):
                continue
            left = (_FILELESS - self._list.age(job)).total_seconds()
            view = view_of(job, waits_for_file=self._api.waits_for_file(job))
            if view is View.WAITS and left <= 0:
                view = View.UNCANCELLABLE
            step = decide(Phase.LISTED, view, adds=request.adds, follows=follows)
            if step is Step.WAIT:
                left = min(left, _FILELESS.total_seconds())
                found += self._wait_for_other(job, entity, left)
            else:
                found.append(job)
        return found

    @staticmethod
    def _warn_of_list(request: ImportRequest, error: DemandbaseError) -> None:
        logger.warning(
            "The list of import jobs cannot be read, so imports of other machines into %s are "
            "not waited for%s: %s",
            request.entity,
            ", and rows that they have added are not recognized" if request.adds else "",
            error,
        )

    def _wait_for_other(self, job: ImportJob, entity: str, fileless: float) -> list[ImportJob]:
        """Wait for the end of a job of another machine; return it, unless it is gone."""
        try:
            return [self._wait(job, entity, fileless)]
        except JobGoneError:
            return []
        except JobTimeoutError as error:
            hours = MAX_AGE.total_seconds() / 3600
            advice = (
                "This machine's journal does not have it, so another machine may have created it. "
                f"Each run waits for it until it is {hours:.0f} hours old or is cancelled in "
                "Demandbase."
            )
            raise _with_advice(error, advice) from error

    def _is_old(self, entry: JournalEntry) -> bool:
        return self._clock.utc() - entry.began > MAX_AGE

    def _possible_duplicates(
        self,
        cases: Sequence[tuple[JournalEntry, View]],
        follows: Follows,
        *,
        is_listed: bool = False,
    ) -> PossibleDuplicatesError:
        """Return the error for entries whose rows may have been added."""
        entry, view = cases[0]
        others = ", ".join(other.job_id or "one without an id" for other, _ in cases[1:])
        commands = " and ".join(f"“{_forget(each)}”" for each, _ in cases)
        paths = ", ".join(self._journal.location(each) for each, _ in cases)
        return PossibleDuplicatesError(
            f"Rows of stream {entry.stream} may have been inserted into {entry.entity} already: "
            f"the import job {entry.job_id} was sent {entry.rows} rows, "
            f"{self._why(entry, view, follows)}."
            f"{others and f' Further jobs are in the way: {others}.'} Check what they did in "
            f"Demandbase; once you know what to send, use {commands} and run again (journal: "
            f"{paths}).{_WITHOUT_JOURNAL if is_listed else ''}"
        )

    def _why(self, entry: JournalEntry, view: View, follows: Follows) -> str:
        match view:
            case View.FAILED | View.FAILED_EMPTY | View.CANCELLED:
                return "and failed after it may have inserted some of them"
            case View.UNKNOWN | View.NO_ID:
                return "and Demandbase does not show what it did with them"
            case View.WAITS | View.UNCANCELLABLE:
                return "and does not show whether it got them"
            case View.UNDER_WAY | View.COMPLETED if follows is Follows.SAME or self._is_old(entry):
                return "more than 24 hours ago"
            case View.UNDER_WAY | View.COMPLETED:
                return "in a file or with settings that differ from those of this run"
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


def _forget(entry: JournalEntry) -> str:
    """Return the command that gives up the import of an entry."""
    return f"demandbase journal forget {entry.job_id or entry.fingerprint}"


def _with_advice(error: JobTimeoutError, advice: str) -> JobTimeoutError:
    return JobTimeoutError(
        f"{error} {advice}",
        kind=error.kind,
        job_id=error.job_id,
        entity=error.entity,
        status=error.status,
    )
