"""What becomes of an earlier import: the whole matrix, and what must hold all over it."""

from __future__ import annotations

from itertools import product

import pytest

from demandbase_api.jobs.import_decision import WITHOUT_FILE, Follows, Step, View, decide, view_of
from demandbase_api.jobs.import_journal import Phase
from demandbase_api.models import ImportJob, JobStatus

STEPS = {
    "C": Step.CREATE, "U": Step.UPLOAD, "P": Step.POLL, "W": Step.WAIT,
    "X": Step.CANCEL, "F": Step.FORGET, "L": Step.LEAVE, "S": Step.STOP,
}  # fmt: skip

COLUMNS = tuple(product((Follows.SAME, Follows.ADDED, Follows.WRITTEN), (False, True)))
"""What follows, and whether the job adds its rows."""

NO_FILE = """
    no id          C C  L L  L L
    unknown        C C  L L  L L
    waits          U U  X X  X X
    uncancellable  U U  L L  L L
    under way      U U  X X  X X
    completed      C C  F F  F F
    failed empty   C C  F F  F F
    failed         C C  F F  F F
    cancelled      C C  F F  F F
"""
REFUSED = """
    no id          C C  L L  L L
    unknown        C C  L L  L L
    waits          U U  X X  X X
    uncancellable  U U  L L  L L
    under way      P P  W S  W W
    completed      P P  F S  F L
    failed empty   C C  F F  F F
    failed         C S  F S  F L
    cancelled      C C  F F  F F
"""
UPLOADING = """
    no id          C S  L S  L L
    unknown        C S  L S  L L
    waits          U X  X X  X X
    uncancellable  U S  W S  W W
    under way      P P  W S  W W
    completed      P P  F S  F L
    failed empty   C C  F F  F F
    failed         C S  F S  F L
    cancelled      C C  F F  F F
"""
UPLOADED = """
    no id          C S  L S  L L
    unknown        C S  L S  L L
    waits          P P  W S  W W
    uncancellable  P P  W S  W W
    under way      P P  W S  W W
    completed      P P  F S  F L
    failed empty   C C  F F  F F
    failed         C S  F S  F L
    cancelled      C C  F F  F F
"""
ACCOUNTED = """
    no id          C S  L S  L L
    unknown        C S  L S  L L
    waits          P P  W S  W W
    uncancellable  P P  W S  W W
    under way      P P  W S  W W
    completed      P P  F S  F L
    failed empty   C S  F S  F L
    failed         C S  F S  F L
    cancelled      C S  F S  F L
"""
LISTED = """
    no id          C S  L L  L L
    unknown        C S  L L  L L
    waits          C U  W W  W W
    uncancellable  C U  L L  L L
    under way      C P  W W  W W
    completed      C P  F F  F F
    failed empty   C C  F F  F F
    failed         C S  F F  F F
    cancelled      C C  F F  F F
"""
TABLES = {
    Phase.CREATING: NO_FILE,
    Phase.CREATED: NO_FILE,
    Phase.REFUSED: REFUSED,
    Phase.UPLOADING: UPLOADING,
    Phase.UPLOADED: UPLOADED,
    Phase.ACCOUNTED: ACCOUNTED,
    Phase.LISTED: LISTED,
}
MATRIX = tuple(product(Phase, View, (False, True), Follows))


@pytest.mark.parametrize("phase", Phase)
def test_the_step_of_each_case(phase: Phase) -> None:
    lines = [line.rsplit(maxsplit=6) for line in TABLES[phase].strip().splitlines()]
    assert [name.strip() for name, *_ in lines] == [view.value for view in View]
    for name, *letters in lines:
        for letter, (follows, adds) in zip(letters, COLUMNS, strict=True):
            step = decide(phase, View(name.strip()), adds=adds, follows=follows)
            assert step is STEPS[letter], (phase, name, follows, adds)


def test_a_file_is_uploaded_again_only_by_key_and_while_its_upload_is_in_doubt() -> None:
    for phase, view, adds, follows in MATRIX:
        if decide(phase, view, adds=adds, follows=follows) is Step.UPLOAD:
            assert follows is Follows.SAME
            had_no_file = phase in {Phase.CREATING, Phase.CREATED, Phase.REFUSED}
            # One that only the list shows has been waited for.
            shows_none = phase is Phase.LISTED and view in WITHOUT_FILE
            assert had_no_file or shows_none or (phase is Phase.UPLOADING and not adds)


def test_rows_that_may_be_in_are_never_added_again() -> None:
    proofs = {View.FAILED_EMPTY, View.CANCELLED}
    for phase, view, follows in product(Phase, View, (Follows.SAME, Follows.ADDED)):
        step = decide(phase, view, adds=True, follows=follows)
        had_no_file = phase is Phase.REFUSED and view in WITHOUT_FILE
        if phase in {Phase.CREATING, Phase.CREATED} or had_no_file:
            continue
        if phase is Phase.LISTED and (follows is Follows.ADDED or view in WITHOUT_FILE):
            continue
        if view not in proofs:
            assert step in {Step.STOP, Step.POLL, Step.CANCEL}


def test_a_job_that_only_the_list_shows_is_never_cancelled_and_stops_only_its_own_rows() -> None:
    for view, adds, follows in product(View, (False, True), Follows):
        step = decide(Phase.LISTED, view, adds=adds, follows=follows)
        assert step is not Step.CANCEL
        assert step is not Step.STOP or (adds and follows is Follows.SAME)


def test_a_new_job_for_the_same_file_leaves_nothing_to_wait_for() -> None:
    for phase, view, adds in product(Phase, View, (False, True)):
        if phase is Phase.LISTED:
            continue  # it is waited for before that
        if decide(phase, view, adds=adds, follows=Follows.SAME) is Step.CREATE:
            for follows in (Follows.ADDED, Follows.WRITTEN):
                step = decide(phase, view, adds=adds, follows=follows)
                assert step in {Step.FORGET, Step.LEAVE}


@pytest.mark.parametrize(
    ("figures", "is_empty"),
    [
        ((0, 0, 0), True),
        ((0, 2, 2), True),
        ((0, 0, 6), False),
        ((0, None, None), False),
        ((0, None, 0), False),
        ((None, 2, 2), False),
        ((1, 1, 1), False),
    ],
)
def test_only_its_figures_prove_that_a_failed_job_imported_nothing(
    figures: tuple[int | None, int | None, int | None], *, is_empty: bool
) -> None:
    succeeded, rejected, processed = figures
    for status in JobStatus:
        job = ImportJob(
            "1", status, success_count=succeeded, error_count=rejected, processed_rows=processed
        )
        proves_it = view_of(job, waits_for_file=False) is View.FAILED_EMPTY
        assert proves_it == (is_empty and status is JobStatus.FAILED)


@pytest.mark.parametrize(
    ("figures", "is_empty"),
    [((None, None), True), ((0, 0), True), ((0, None), True), ((2, 2), False), ((0, 2), False),
     ((None, 1), False), ((1, None), False), ((-1, 0), False)],
)  # fmt: skip
def test_a_cancelled_job_that_has_processed_rows_may_have_imported_them(
    figures: tuple[int | None, int | None], *, is_empty: bool
) -> None:
    succeeded, processed = figures
    job = ImportJob("1", JobStatus.CANCELLED, success_count=succeeded, processed_rows=processed)
    assert view_of(job, waits_for_file=False) is (View.CANCELLED if is_empty else View.FAILED)


@pytest.mark.parametrize("waits_for_file", [False, True])
@pytest.mark.parametrize("status", JobStatus)
def test_only_a_job_that_has_not_ended_waits_for_its_file(
    status: JobStatus, *, waits_for_file: bool
) -> None:
    ended = {
        JobStatus.COMPLETED: View.COMPLETED,
        JobStatus.CANCELLED: View.CANCELLED,
        JobStatus.FAILED: View.FAILED,
    }
    view = View.WAITS if waits_for_file else View.UNDER_WAY
    shown = view_of(ImportJob("1", status), waits_for_file=waits_for_file)
    assert shown is ended.get(status, view)
