"""Files get to their jobs once, whatever is lost, refused or shown late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    ConflictError,
    DemandbaseError,
    FileTooLargeError,
    InvalidRequestError,
    NotFoundError,
    OtherRunError,
    PossibleDuplicatesError,
    QuotaExceededError,
    RateLimitedError,
    ServerError,
    StoppedError,
    UnexpectedResponseError,
    UnreachableError,
)
from demandbase_api.jobs.import_journal import JournalEntry, Phase
from demandbase_api.models import ImportJob, ImportOperation, JobStatus
from demandbase_api.state.folder_store import FolderLocks
from tests.api.fake_exports import FakeClock
from tests.api.fake_imports import UAPI, V1, FakeImports
from tests.api.import_runs import ImportRun, file, gateway_timeout, request

CREATE, UPLOAD = ApiOperation.CREATE_IMPORT, ApiOperation.UPLOAD_FILE
GET, LIST = ApiOperation.GET_IMPORT, ApiOperation.LIST_IMPORTS
CANCEL = ApiOperation.CANCEL_IMPORT
UPSERT, INSERT = ImportOperation.UPSERT, ImportOperation.INSERT


@pytest.fixture(params=["v1", "uapi"])
def api(request: pytest.FixtureRequest) -> FakeImports:
    return FakeImports(FakeClock(), V1 if request.param == "v1" else UAPI)


@pytest.fixture
def run(api: FakeImports, tmp_path: Path) -> ImportRun:
    return ImportRun(api, tmp_path)


def is_v1(api: FakeImports) -> bool:
    return api.capabilities is V1


def test_a_job_is_polled_when_one_of_its_size_has_ended(api: FakeImports, run: ImportRun) -> None:
    api.seconds = 30.0
    gate = gateway_timeout(UPLOAD)
    late = []
    for number in range(5):
        if number == 3:  # how long this one has its file is not known
            api.fail(UPLOAD, gate, times=1, late=True)
        began = api.clock.time
        run.send(file(str(number)))
        late.append(api.clock.time - began - api.seconds)
    assert late[0] > 5
    assert late[3] > 5
    assert all(each < 3 for each in (late[1], late[2], late[4]))


def given(api: FakeImports) -> list[int]:
    """How often each job was given a file, in the order of their creation."""
    return [len(api.files.get(job_id, ())) for job_id in api.found]


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"status": JobStatus.VALIDATING},
        {"status": JobStatus.PROCESSING},
        {"status": JobStatus.UNKNOWN, "status_word": "odd"},
        {"file_name": ""},
        {"file_name": "odd.csv"},
    ],
)
def test_a_new_job_gets_its_file_whatever_it_shows(
    api: FakeImports, run: ImportRun, kind: ImportOperation, members: dict[str, Any]
) -> None:
    api.created_as = members
    assert run.send(file(), kind).status is JobStatus.COMPLETED
    assert given(api) == [1]


def test_a_new_job_that_has_ended_already_is_no_job_for_a_file(
    api: FakeImports, run: ImportRun
) -> None:
    api.created_as = {"status": JobStatus.COMPLETED}
    with pytest.raises(UnexpectedResponseError, match="a job that is completed already"):
        run.send(file())
    assert given(api) == [0]


@pytest.mark.parametrize("status", [404, 408, 425, 429, 504])
@pytest.mark.parametrize("late", [False, True])
def test_an_upload_that_is_not_answered_is_tried_again_while_the_job_shows_no_file(
    api: FakeImports, run: ImportRun, status: int, *, late: bool
) -> None:
    kinds: dict[int, type[ApiError]] = {404: NotFoundError, 429: RateLimitedError}
    error = kinds.get(status, ServerError)(UPLOAD, "did not", status=status)
    may_be_there = late and status not in {404, 429}
    api.fail(UPLOAD, error, times=2, late=may_be_there)
    assert run.send(file()).status is JobStatus.COMPLETED
    assert given(api) == [1]
    assert api.count(UPLOAD) == (1 if may_be_there else 3)


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
@pytest.mark.parametrize("shown_after", [0.0, 6.0])
@pytest.mark.parametrize(
    "error",
    [
        ConflictError(UPLOAD, "declined", status=409),
        UnexpectedResponseError(UPLOAD, "did not respond with a JSON object", status=202),
    ],
)
def test_a_job_that_has_its_file_in_spite_of_an_odd_response_is_gone_on_with(
    api: FakeImports, run: ImportRun, kind: ImportOperation, shown_after: float, error: ApiError
) -> None:
    api.shown_after = shown_after
    api.fail(UPLOAD, error, late=True)
    assert run.send(file(), kind).status is JobStatus.COMPLETED
    assert given(api) == [1]


def test_a_job_that_stays_unknown_fails_after_a_minute(api: FakeImports, run: ImportRun) -> None:
    api.fail(UPLOAD, NotFoundError(UPLOAD, "could not find it", status=404))
    began = api.clock.time
    with pytest.raises(NotFoundError):
        run.send(file())
    assert 60 <= api.clock.time - began < 120


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
def test_a_job_that_was_unknown_gets_its_file_by_the_next_run_whatever_it_shows(
    api: FakeImports, run: ImportRun, tmp_path: Path, kind: ImportOperation
) -> None:
    api.created_as, api.unknown_for = {"status": JobStatus.VALIDATING}, 130.0
    with pytest.raises(NotFoundError):
        run.send(file(), kind)
    run.die()
    api.clock.time += 130
    assert ImportRun(api, tmp_path, "r2").send(file(), kind).status is JobStatus.COMPLETED
    assert [len(given) for given in api.files.values()] == [1]


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
@pytest.mark.parametrize("has_died", [False, True])
def test_what_a_job_showed_before_its_file_does_not_show_a_file(
    api: FakeImports, run: ImportRun, tmp_path: Path, kind: ImportOperation, *, has_died: bool
) -> None:
    api.created_as = {"status": JobStatus.VALIDATING}
    if has_died:
        run.dies_at(UPLOAD, file(), kind, late=False)
        run = ImportRun(api, tmp_path, "r2")
    else:
        api.fail(UPLOAD, gateway_timeout(UPLOAD), times=1)
    if kind is INSERT and not is_v1(api):
        with pytest.raises(PossibleDuplicatesError, match="does not show whether it got them"):
            run.send(file(), kind)
        return
    assert run.send(file(), kind).status is JobStatus.COMPLETED
    assert [len(each) for each in api.files.values()] == [1]


def test_a_job_whose_status_says_nothing_of_a_file_has_one_if_it_takes_none(
    api: FakeImports, run: ImportRun
) -> None:
    api.created_as, api.shown_after = {"status": JobStatus.VALIDATING}, 60.0
    api.fail(UPLOAD, gateway_timeout(UPLOAD), times=1, late=True)
    api.fail(UPLOAD, ConflictError(UPLOAD, "declined", status=409), times=1, late=True)
    assert run.send(file()).status is JobStatus.COMPLETED


def test_the_reading_of_a_job_whose_upload_is_in_doubt_is_not_retried_by_itself(
    api: FakeImports, run: ImportRun
) -> None:
    api.fail(UPLOAD, gateway_timeout(UPLOAD), times=1, late=True)
    api.fail(GET, gateway_timeout(GET), times=2)
    assert run.send(file()).status is JobStatus.COMPLETED
    deadlines = [
        each for (call, _), each in zip(api.calls, api.deadlines, strict=True) if call is GET
    ]
    assert [deadline.retries for deadline in deadlines[:3]] == [False] * 3
    assert given(api) == [1]


@pytest.mark.parametrize("shown_after", [0.0, 6.0, 100.0])
@pytest.mark.parametrize("late", [False, True])
def test_rows_that_are_added_are_uploaded_again_only_if_it_is_proved_that_they_are_not_in(
    api: FakeImports, run: ImportRun, shown_after: float, *, late: bool
) -> None:
    api.shown_after = shown_after
    api.fail(UPLOAD, gateway_timeout(UPLOAD), times=1, late=late)
    if late and shown_after < 10:
        assert run.send(file(), INSERT).status is JobStatus.COMPLETED
        assert given(api) == [1]
    elif is_v1(api) and not late:
        assert run.send(file(), INSERT).status is JobStatus.COMPLETED
        assert given(api) == [0, 1]  # the first was cancelled
    elif is_v1(api):
        # It can no longer be cancelled, so it has the file.
        job_id = run.uploader.send(request(INSERT), file())
        assert (given(api), job_id) == ([1], "job-1")
    else:
        with pytest.raises(PossibleDuplicatesError, match=r"job-1 was sent 2 rows, .*\.json"):
            run.send(file(), INSERT)
        assert given(api) == [int(late)]
        run.die()
        [entry] = ImportRun(api, run.folder, "r2").entries
        assert entry.phase is Phase.UPLOADING


def test_new_jobs_for_rows_that_are_added_have_an_end(tmp_path: Path) -> None:
    api = FakeImports(FakeClock(), V1)
    api.fail(UPLOAD, gateway_timeout(UPLOAD))
    run = ImportRun(api, tmp_path)
    with pytest.raises(ServerError, match="504"):
        run.send(file(), INSERT)
    assert given(api) == [0, 0, 0]
    assert {job.status for job in api.found.values()} == {JobStatus.CANCELLED}
    run.die()
    assert ImportRun(api, tmp_path, "r2").entries == []


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
@pytest.mark.parametrize("late", [False, True])
def test_a_refused_upload_is_taken_back_unless_the_job_has_the_file(
    api: FakeImports, run: ImportRun, kind: ImportOperation, *, late: bool
) -> None:
    api.fail(UPLOAD, InvalidRequestError(UPLOAD, "did not accept it", status=400), times=1,
             late=late)  # fmt: skip
    if late:
        api.shown_after = 6.0
        assert run.send(file(), kind).status is JobStatus.COMPLETED
        assert given(api) == [1]
        return
    with pytest.raises(InvalidRequestError):
        run.send(file(), kind)
    run.die()
    left = [entry.phase for entry in ImportRun(api, run.folder, "r2").entries]
    assert left == ([] if is_v1(api) else [Phase.REFUSED])
    # The cause was corrected, and the same rows come again.
    assert ImportRun(api, run.folder, "r2").send(file(), kind).status is JobStatus.COMPLETED
    assert given(api) == ([0, 1] if is_v1(api) else [1])


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
@pytest.mark.parametrize("later", [50.0, 300.0])
def test_a_refused_upload_that_shows_later_is_not_repeated(
    tmp_path: Path, kind: ImportOperation, later: float
) -> None:
    api = FakeImports(FakeClock(), UAPI, shown_after=40.0)
    api.fail(UPLOAD, InvalidRequestError(UPLOAD, "did not accept it", status=400), times=1,
             late=True)  # fmt: skip
    run = ImportRun(api, tmp_path)
    with pytest.raises(InvalidRequestError):
        run.send(file(), kind)
    run.die()
    api.clock.time += later
    again = ImportRun(api, tmp_path, "r2")
    assert again.send(file(), kind).status is JobStatus.COMPLETED
    assert given(api) == [1]


def test_a_job_that_cannot_be_cancelled_any_more_has_the_file_of_a_refused_upload(
    tmp_path: Path,
) -> None:
    # It shows for an hour that it waits.
    api = FakeImports(FakeClock(), V1, shown_after=3600.0, seconds=4000.0)
    api.fail(UPLOAD, InvalidRequestError(UPLOAD, "did not accept it", status=400), late=True)
    run = ImportRun(api, tmp_path)
    job_id = run.uploader.send(request(INSERT), file())
    run.die()
    api.late_failures.clear()
    [entry] = ImportRun(api, tmp_path, "r2").entries
    assert (entry.phase, entry.job_id) == (Phase.UPLOADED, job_id)
    api.clock.time += 4000
    assert ImportRun(api, tmp_path, "r2").send(file(), INSERT).id == job_id
    assert given(api) == [1]


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError(UPLOAD, "could not be reached", nothing_sent=True),
        RateLimitedError(UPLOAD, "asked for fewer calls", status=429),
    ],
)
@pytest.mark.parametrize("is_conflict", [False, True])
def test_what_was_surely_not_sent_may_be_sent_by_the_next_run(
    api: FakeImports, run: ImportRun, error: ApiError, *, is_conflict: bool
) -> None:
    api.fail(UPLOAD, error)
    api.fail(CANCEL, ConflictError(CANCEL, "declined", status=409) if is_conflict else error)
    with pytest.raises(type(error)):
        run.send(file(), INSERT)
    run.die()
    api.failures.clear()
    later = ImportRun(api, run.folder, "r2")
    assert [entry.phase for entry in later.entries] == [Phase.CREATED]
    assert later.send(file(), INSERT).status is JobStatus.COMPLETED
    assert given(api) == [1]


def test_a_file_that_is_too_large_leaves_no_job_behind(api: FakeImports, run: ImportRun) -> None:
    api.fail(UPLOAD, FileTooLargeError(UPLOAD, "found the file too large", status=413))
    with pytest.raises(FileTooLargeError):
        run.send(file())
    assert run.uploader.uploading is None
    [job] = api.found.values()
    assert job.status is (JobStatus.CANCELLED if is_v1(api) else JobStatus.PENDING)


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("operation", [CREATE, UPLOAD])
def test_a_run_that_died_is_gone_on_with(
    api: FakeImports, run: ImportRun, operation: ApiOperation, kind: ImportOperation, *, late: bool
) -> None:
    run.dies_at(operation, file(), kind, late=late)
    again = ImportRun(api, run.folder, "r2")
    if operation is UPLOAD and kind is INSERT and not late and not is_v1(api):
        with pytest.raises(PossibleDuplicatesError):
            again.send(file(), kind)
        assert given(api) == [0]
        return
    assert again.send(file(), kind).status is JobStatus.COMPLETED
    assert sum(given(api)) == 1
    again.uploader.forget(file())
    again.uploader.close()
    left = {path.suffix for path in run.folder.glob("*")}
    assert left == ({".jobs", ".lock"} if kind is INSERT else set())


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_job_whose_creation_was_not_answered_is_looked_up_at_the_end(
    api: FakeImports, run: ImportRun, caplog: pytest.LogCaptureFixture, *, is_listed: bool
) -> None:
    api.fail(CREATE, gateway_timeout(CREATE), late=True)
    api.fail(LIST, gateway_timeout(LIST))
    with pytest.raises(ServerError):
        run.send(file())
    if is_listed:
        api.failures.clear()
    run.uploader.close()
    [entry] = ImportRun(api, run.folder, "r2").entries
    if is_listed and not is_v1(api):
        assert (entry.phase, entry.job_id) == (Phase.CREATED, "job-1")
    else:
        assert (entry.phase, entry.job_id) == (Phase.CREATING, None)
        said = "waits for a file and changes nothing" if is_v1(api) else "may have been created"
        assert said in caplog.text
    assert not api.files


def test_other_runs_go_on_only_when_jobs_are_cancelled(
    api: FakeImports, run: ImportRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.uploader.send(request(), file())
    entries: list[list[JournalEntry]] = []

    def look(*_: object) -> bool:
        entries.append(ImportRun(api, run.folder, "r2").entries)
        return is_v1(api)

    monkeypatch.setattr(api, "cancel", look)
    assert run.uploader.close() == ({"job-1"} if is_v1(api) else set())
    assert entries == [[]]
    assert len(ImportRun(api, run.folder, "r2").entries) == 1


def test_what_a_run_has_accounted_for_is_in_the_journal(run: ImportRun) -> None:
    run.uploader.send(request(INSERT), file())
    run.uploader.account(file("other"))
    run.uploader.account(file())
    run.die()
    [entry] = ImportRun(run.api, run.folder, "r2").entries
    assert (entry.phase, entry.job_id) == (Phase.ACCOUNTED, "job-1")


def test_nothing_is_sent_once_the_run_ends(api: FakeImports, run: ImportRun) -> None:
    run.uploader.stop()
    with pytest.raises(StoppedError):
        run.send(file())
    assert api.calls == []


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
@pytest.mark.parametrize("content", ["old", "new"])
def test_a_file_that_was_uploaded_is_never_uploaded_again_though_its_job_shows_none(
    api: FakeImports, run: ImportRun, kind: ImportOperation, content: str
) -> None:
    api.shown_after = 500.0
    run.uploader.send(request(kind), file("old"))
    run.die()
    again = ImportRun(api, run.folder, "r2")
    if content == "new" and kind is INSERT:
        with pytest.raises(PossibleDuplicatesError, match=r"job-1 .* does not show whether"):
            again.send(file(content), kind)
        assert given(api) == [1]
        return
    assert again.send(file(content), kind).status is JobStatus.COMPLETED
    assert given(api) == ([1] if content == "old" else [1, 1])
    first = api.get("job-1")
    assert first.status is JobStatus.COMPLETED


def test_a_job_is_as_the_response_to_its_upload_shows_it(
    run: ImportRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    updated: list[ImportJob] = []
    monkeypatch.setattr(run.poller, "update", updated.append)
    job_id = run.uploader.send(request(), file())
    assert [(job.id, job.status) for job in updated] == [(job_id, JobStatus.PROCESSING)]
    assert run.uploader.uploading is None


def test_the_entry_of_a_job_says_what_is_sent_and_when(run: ImportRun) -> None:
    run.uploader.send(request(INSERT, "people"), file(rows=7))
    entry = run.journal.find(file().fingerprint)
    assert entry == JournalEntry(
        file().fingerprint, "s", "people", "insert", 7, run.api.clock.utc().isoformat(),
        Phase.UPLOADED, "job-1", "r1", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (InvalidRequestError(CREATE, "did not accept it", status=400), False),
        (RateLimitedError(CREATE, "asked for fewer calls", status=429), False),
        (gateway_timeout(CREATE), True),
    ],
)
def test_the_entry_of_a_job_that_was_surely_not_created_is_removed(
    run: ImportRun, error: ApiError, *, stays: bool
) -> None:
    run.api.fail(CREATE, error)
    with pytest.raises(DemandbaseError):
        run.send(file())
    assert (run.journal.find(file().fingerprint) is not None) == stays


def test_a_creation_that_was_lost_is_looked_up_once_and_warned_of_once(
    api: FakeImports, run: ImportRun, caplog: pytest.LogCaptureFixture
) -> None:
    api.fail(CREATE, gateway_timeout(CREATE), times=1, late=True)
    run.send(file())
    run.send(file("other"))
    assert caplog.text.count("was lost. If it was created") == is_v1(api)
    assert len(api.found) == (3 if is_v1(api) else 2)
    listed = api.count(LIST)
    run.uploader.close()
    assert api.count(LIST) == listed
    assert api.count(CANCEL) == 0


def test_a_creation_that_was_surely_refused_first_is_no_lost_one(
    run: ImportRun, caplog: pytest.LogCaptureFixture
) -> None:
    run.api.fail(CREATE, UnreachableError(CREATE, "is away", nothing_sent=True), times=1)
    assert run.send(file()).id == "job-1"
    assert "was lost" not in caplog.text


def test_a_creation_that_was_lost_before_a_sure_refusal_is_a_lost_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = FakeImports(FakeClock(), V1)
    away = UnreachableError(CREATE, "is away", nothing_sent=True)
    api.failures[CREATE, None] = iter([gateway_timeout(CREATE), away])
    assert ImportRun(api, tmp_path).send(file()).id == "job-1"
    assert "was lost" in caplog.text


@pytest.mark.parametrize("call", ["submit", "upload", "jobs"])
def test_a_run_that_ends_during_a_call_begins_nothing_else(
    api: FakeImports, run: ImportRun, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = getattr(api, call)

    def stopping(*arguments: Any) -> Any:  # noqa: ANN401
        run.uploader.stop()
        return method(*arguments)

    monkeypatch.setattr(api, call, stopping)
    if call == "upload":
        assert run.send(file()).status is JobStatus.COMPLETED
    else:
        with pytest.raises(StoppedError):
            run.send(file())
        assert given(api) == ([0] if call == "submit" else [])
    assert api.count(CANCEL) == (call == "submit")
    if call == "submit":
        entry = run.journal.find(file().fingerprint)
        assert entry is not None
        assert (entry.phase, entry.job_id) == (Phase.CREATED, "job-1")


def test_an_upload_that_is_tried_again_ends_with_the_run(
    run: ImportRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.api.fail(UPLOAD, gateway_timeout(UPLOAD))
    monkeypatch.setattr(run.api.clock, "sleep", lambda _seconds: run.uploader.stop())
    with pytest.raises(StoppedError):
        run.send(file())
    assert run.api.count(UPLOAD) == 1
    entry = run.journal.find(file().fingerprint)
    assert entry is not None
    assert entry.phase is Phase.UPLOADING  # it may have arrived
    assert run.uploader.uploading == "job-1"


def test_an_upload_that_is_never_answered_stays_in_doubt(run: ImportRun) -> None:
    run.api.fail(UPLOAD, gateway_timeout(UPLOAD))
    with pytest.raises(ServerError):
        run.send(file())
    assert run.uploader.uploading == "job-1"
    assert run.api.count(CANCEL) == 0
    [entry] = run.journal.alike(file().fingerprint)
    assert entry.phase is Phase.UPLOADING


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError(UPLOAD, "declined", status=401),
        QuotaExceededError(UPLOAD, "declined", status=429),
        NotFoundError(UPLOAD, "could not find it", status=404),
        UnreachableError(UPLOAD, "is away", nothing_sent=True),
        InvalidRequestError(UPLOAD, "did not accept it", status=400),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("kind", [UPSERT, INSERT])
def test_a_job_whose_upload_was_refused_is_cancelled_or_stays_without_its_file(
    api: FakeImports, run: ImportRun, error: ApiError, kind: ImportOperation
) -> None:
    api.fail(UPLOAD, error)
    with pytest.raises(type(error)):
        run.send(file(), kind)
    assert run.uploader.uploading is None
    with pytest.raises(KeyError):
        run.poller.latest("job-1")
    entry = run.journal.find(file().fingerprint)
    if is_v1(api):
        assert entry is None
        assert api.found["job-1"].status is JobStatus.CANCELLED
    else:
        assert entry is not None
        was_sent = isinstance(error, InvalidRequestError)
        phase = Phase.REFUSED if was_sent else Phase.CREATED
        assert (entry.phase, entry.job_id) == (phase, "job-1")


@pytest.mark.parametrize(
    ("refused", "phase"), [({CANCEL}, Phase.REFUSED), ({CANCEL, GET}, Phase.UPLOADING)]
)
def test_a_refused_upload_whose_job_cannot_be_cancelled_is_decided_by_what_it_shows(
    run: ImportRun, refused: set[ApiOperation], phase: Phase, caplog: pytest.LogCaptureFixture
) -> None:
    for operation in (UPLOAD, *refused):
        run.api.fail(operation, InvalidRequestError(operation, "did not accept it", status=400))
    with pytest.raises(InvalidRequestError) as caught:
        run.send(file(), INSERT)
    assert caught.value.operation is UPLOAD
    assert "job-1 was not cancelled: Demandbase did not accept it" in caplog.text
    [entry] = run.journal.alike(file().fingerprint)
    assert entry.phase is phase


def test_a_job_that_vanished_when_its_upload_was_refused_proves_nothing(
    run: ImportRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> ImportJob:  # noqa: ANN401
        del run.api.found["job-1"]
        raise InvalidRequestError(UPLOAD, "did not accept it", status=400)

    monkeypatch.setattr(run.api, "upload", refuse)
    with pytest.raises(InvalidRequestError):
        run.send(file(), INSERT)
    [entry] = run.journal.alike(file().fingerprint)
    assert entry.phase is Phase.UPLOADING
    assert run.uploader.uploading is None


def test_other_runs_go_on_once_a_run_has_ended(api: FakeImports, tmp_path: Path) -> None:
    for name in ("r1", "r2"):
        run = ImportRun(api, tmp_path, name)
        run.poller.forget(run.uploader.send(request(), file(name)))
        run.uploader.forget(file(name))
        run.uploader.finish()
        assert api.clock.sleeps == []
        api.clock.time += 200
        if name == "r2":
            run.uploader.close()
    assert api.count(CANCEL) == 0
    assert [path.suffix for path in tmp_path.iterdir()] == [".alive"]


def test_only_a_file_that_was_sent_can_be_given_up(run: ImportRun) -> None:
    assert not run.uploader.give_up_advice(file())
    job_id = run.uploader.send(request(), file())
    assert f"“demandbase journal forget {job_id}”" in run.uploader.give_up_advice(file())


def test_the_end_of_a_run_does_not_wait_for_a_lost_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("demandbase_api.jobs.import_uploader._LOST_JOB_SECONDS", 0.01)
    api = FakeImports(FakeClock(), UAPI)
    run = ImportRun(api, tmp_path)
    api.fail(CREATE, gateway_timeout(CREATE))
    with pytest.raises(ServerError):
        run.send(file())
    gate = api.gate(LIST)
    run.uploader.close()
    assert "An import job may have been created whose id is not known" in caplog.text
    gate.set()


def test_a_job_that_another_client_cancelled_during_its_upload_has_no_file(
    run: ImportRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(job_id: str, *_arguments: Any) -> ImportJob:  # noqa: ANN401
        run.api.found[job_id] = replace(run.api.found[job_id], status=JobStatus.CANCELLED)
        raise InvalidRequestError(UPLOAD, "did not accept it", status=400)

    run.api.capabilities = V1
    monkeypatch.setattr(run.api, "upload", refuse)
    with pytest.raises(InvalidRequestError):
        run.send(file(), INSERT)
    assert run.journal.find(file().fingerprint) is None
    assert run.uploader.uploading is None


def test_each_lost_creation_is_looked_up_at_the_end(tmp_path: Path) -> None:
    api = FakeImports(FakeClock(), UAPI)
    run = ImportRun(api, tmp_path)
    api.fail(LIST, gateway_timeout(LIST))
    for content, late in (("not created", False), ("created", True)):
        api.failures.pop((CREATE, None), None)
        api.fail(CREATE, gateway_timeout(CREATE), late=late)
        with pytest.raises(ServerError):
            run.send(file(content))
    api.failures.clear()
    run.uploader.close()
    left = {entry.fingerprint: entry for entry in ImportRun(api, tmp_path, "r2").entries}
    assert left[file("created").fingerprint].phase is Phase.CREATED
    assert left[file("not created").fingerprint].phase is Phase.CREATING


def test_a_run_whose_locks_are_lost_sends_nothing_and_cancels_no_job(
    api: FakeImports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may go on with its jobs from any moment on."""
    for kept in range(7):
        api = FakeImports(FakeClock(), api.capabilities)
        run, calls_left = ImportRun(api, tmp_path / str(kept), f"r{kept}"), iter([None] * kept)
        made: list[int] = []

        def check(
            _: FolderLocks,
            calls_left: Iterator[None] = calls_left,
            made: list[int] = made,
            calls: list[Any] = api.calls,
        ) -> None:
            try:
                next(calls_left)
            except StopIteration:
                made.append(len(calls))
                raise OtherRunError("Another run has taken its place.") from None

        monkeypatch.setattr(FolderLocks, "check", check)
        try:
            run.uploader.send(request(), file(str(kept)))
        except OtherRunError:
            assert len(api.calls) == made[0]
        else:
            assert kept > 3
            assert api.count(UPLOAD) == 1
        run.uploader.close()
        assert api.count(CANCEL) == 0 or not made
