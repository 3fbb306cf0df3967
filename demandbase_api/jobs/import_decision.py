"""What becomes of an import that was begun before: decided by what its journal entry says.

The entry says how far this machine has come. What the server shows of the job only adds to it: a
job may show for some time that it waits for a file that it has, or may show a file that it never
got. Of a job without an entry, the list is all that is known.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from demandbase_api.jobs.import_journal import Phase
from demandbase_api.models import JobStatus

if TYPE_CHECKING:
    from demandbase_api.models import ImportJob


class View(StrEnum):
    """What the server shows of a job."""

    NO_ID = "no id"
    """The id of the job is not known."""
    UNKNOWN = "unknown"
    """The server does not know the job, or does not show it."""
    WAITS = "waits"
    """It waits for its file."""
    UNCANCELLABLE = "uncancellable"
    """It waits for its file, and could not be cancelled."""
    UNDER_WAY = "under way"
    """It has a file and has not ended, or its status is not known."""
    COMPLETED = "completed"
    FAILED_EMPTY = "failed empty"
    """It failed, and its figures prove that it imported no row."""
    FAILED = "failed"
    """It failed or was cancelled, and may have imported rows."""
    CANCELLED = "cancelled"
    """It was cancelled before it processed any row, as its figures agree."""


WITHOUT_FILE = frozenset({View.NO_ID, View.UNKNOWN, View.WAITS, View.UNCANCELLABLE})
"""What a job shows that shows no file."""


class Follows(StrEnum):
    """What is about to be imported into the entity."""

    SAME = "same"
    """The file of the entry."""
    ADDED = "added"
    """Other rows, which are always added."""
    WRITTEN = "written"
    """Other rows, which replace those of the same keys."""


class Step(StrEnum):
    """What to do with an entry and its job."""

    CREATE = "create"
    """Create a new job for the file."""
    UPLOAD = "upload"
    """Upload the file to this job."""
    POLL = "poll"
    """Poll this job: it is the import of the file."""
    WAIT = "wait"
    """Wait for the end of the job, then decide again."""
    CANCEL = "cancel"
    """Cancel the job, then decide again."""
    FORGET = "forget"
    """Remove the entry: the job cannot import anything any more, and nothing depends on it."""
    LEAVE = "leave"
    """Leave the entry to a run that sends its file."""
    STOP = "stop"
    """End the run: rows could be added twice."""


def view_of(job: ImportJob, *, waits_for_file: bool) -> View:
    """Return what a job of the server shows."""
    match job.status:
        case JobStatus.COMPLETED:
            return View.COMPLETED
        case JobStatus.CANCELLED:
            has_begun = bool(job.success_count or job.processed_rows)
            return View.FAILED if has_begun else View.CANCELLED
        case JobStatus.FAILED:
            return View.FAILED_EMPTY if _imported_nothing(job) else View.FAILED
        case JobStatus.PENDING | JobStatus.VALIDATING | JobStatus.PROCESSING | JobStatus.UNKNOWN:
            return View.WAITS if waits_for_file else View.UNDER_WAY
        case _:
            assert_never(job.status)


def _imported_nothing(job: ImportJob) -> bool:
    return (
        job.success_count == 0
        and job.error_count is not None
        and job.processed_rows == job.error_count
    )


def decide(phase: Phase, view: View, *, adds: bool, follows: Follows) -> Step:
    """Return what to do with an entry of this run, or of a run that has ended.

    Args:
        phase: Phase of the entry.
        view: What the server shows of its job.
        adds: Whether the job always adds its rows, so that they must not be sent twice.
        follows: What is about to be imported.
    """
    match phase:
        case Phase.CREATING | Phase.CREATED:
            return _without_file(view, follows)
        case Phase.REFUSED if view in WITHOUT_FILE:
            return _without_file(view, follows)
        case Phase.REFUSED | Phase.UPLOADED:  # the job may show its file late
            return _with_file(view, adds=adds, follows=follows)
        case Phase.UPLOADING:
            return _in_doubt(view, adds=adds, follows=follows)
        case Phase.ACCOUNTED:
            # It has completed, whatever the server shows now.
            has_failed = view in {View.FAILED, View.FAILED_EMPTY, View.CANCELLED}
            return _with_file(View.FAILED if has_failed else view, adds=adds, follows=follows)
        case Phase.LISTED:
            return _listed(view, adds=adds, follows=follows)
        case _:
            assert_never(phase)


def _without_file(view: View, follows: Follows) -> Step:
    """Return the step for a job that surely has no file, whatever its status or file name says."""
    is_same = follows is Follows.SAME
    match view:
        case View.NO_ID | View.UNKNOWN:
            return Step.CREATE if is_same else Step.LEAVE
        case View.WAITS | View.UNDER_WAY:
            return Step.UPLOAD if is_same else Step.CANCEL
        case View.UNCANCELLABLE:
            return Step.UPLOAD if is_same else Step.LEAVE
        case View.COMPLETED | View.FAILED_EMPTY | View.FAILED | View.CANCELLED:
            return Step.CREATE if is_same else Step.FORGET
        case _:
            assert_never(view)


def _in_doubt(view: View, *, adds: bool, follows: Follows) -> Step:
    """Return the step for a job whose upload was begun, and not answered."""
    match view:
        case View.WAITS | View.UNCANCELLABLE if follows is Follows.SAME and not adds:
            return Step.UPLOAD
        case View.WAITS:
            return Step.CANCEL  # which proves that it has no row
        case View.UNCANCELLABLE if adds and follows is not Follows.WRITTEN:
            return Step.STOP
        case _:
            return _with_file(view, adds=adds, follows=follows)


def _with_file(view: View, *, adds: bool, follows: Follows) -> Step:
    """Return the step for a job that has its file: it is never uploaded again."""
    match view:
        case View.FAILED_EMPTY | View.CANCELLED:
            return Step.CREATE if follows is Follows.SAME else Step.FORGET
        case View.NO_ID | View.UNKNOWN:
            same, left = Step.CREATE, Step.LEAVE
        case View.FAILED:
            same, left = Step.CREATE, Step.FORGET
        case View.COMPLETED:
            same, left = Step.POLL, Step.FORGET
        case View.WAITS | View.UNCANCELLABLE | View.UNDER_WAY:
            same, left = Step.POLL, Step.WAIT
        case _:
            assert_never(view)
    match follows:
        case Follows.SAME:
            return Step.STOP if adds and same is Step.CREATE else same
        case Follows.ADDED:
            return Step.STOP if adds else left
        case Follows.WRITTEN:
            return Step.LEAVE if adds and left is Step.FORGET else left
        case _:
            assert_never(follows)


def _listed(view: View, *, adds: bool, follows: Follows) -> Step:
    """Return the step for a job that only the list shows: its run may be alive, or its disk lost.

    Such a job is never cancelled. What has ended counts as accounted for, but for rows that would
    be added a second time.
    """
    if follows is Follows.SAME:
        if not adds:
            return Step.CREATE  # other rows of the same keys may have been written since
        is_fileless = view in {View.WAITS, View.UNCANCELLABLE}  # and has been waited for
        return Step.UPLOAD if is_fileless else _with_file(view, adds=adds, follows=follows)
    match view:
        case View.WAITS | View.UNDER_WAY:
            return Step.WAIT
        case View.NO_ID | View.UNKNOWN | View.UNCANCELLABLE:
            return Step.LEAVE
        case View.COMPLETED | View.FAILED_EMPTY | View.FAILED | View.CANCELLED:
            return Step.FORGET
        case _:
            assert_never(view)
