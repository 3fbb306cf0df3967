"""What earlier runs and other machines began: waited for, cancelled, forgotten, or in the way."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    InvalidRequestError,
    JobTimeoutError,
    JournalError,
    NotFoundError,
    PossibleDuplicatesError,
    QuotaExceededError,
    RateLimitedError,
    UnreachableError,
)
from demandbase_api.jobs.import_journal import JournalEntry, Phase
from demandbase_api.models import NO_ZONE, ImportOperation, JobStatus
from demandbase_api.threads import Task
from tests.api.fake_exports import FakeClock
from tests.api.fake_imports import UAPI, V1, FakeImports
from tests.api.import_runs import TIMEOUT, ImportRun, file, gateway_timeout, request

CREATE, UPLOAD = ApiOperation.CREATE_IMPORT, ApiOperation.UPLOAD_FILE
GET, LIST = ApiOperation.GET_IMPORT, ApiOperation.LIST_IMPORTS
CANCEL = ApiOperation.CANCEL_IMPORT
UPSERT, INSERT = ImportOperation.UPSERT, ImportOperation.INSERT
OTHER_NAME = f"other-{'ab' * 16}.csv"
DAY = 86_400.0


@pytest.fixture(params=["v1", "uapi"])
def api(request: pytest.FixtureRequest) -> FakeImports:
    return FakeImports(FakeClock(), V1 if request.param == "v1" else UAPI)


@pytest.fixture
def run(api: FakeImports, tmp_path: Path) -> ImportRun:
    return ImportRun(api, tmp_path)


def is_v1(api: FakeImports) -> bool:
    return api.capabilities is V1


def next_run(run: ImportRun, name: str = "r2") -> ImportRun:
    return ImportRun(run.api, run.folder, name)


def left(run: ImportRun) -> list[JournalEntry]:
    run.die()
    return next_run(run, "last").entries


@pytest.fixture
def uploads(api: FakeImports, monkeypatch: pytest.MonkeyPatch) -> list[list[JobStatus]]:
    """What the other jobs with a file were when each file was uploaded."""
    seen: list[list[JobStatus]] = []
    upload = api.upload

    def noting(job_id: str, *arguments: Any) -> Any:  # noqa: ANN401
        others = [each for each in api.found if each in api.files and each != job_id]
        seen.append([api._now(api.found[each]).status for each in others])  # noqa: SLF001
        return upload(job_id, *arguments)

    monkeypatch.setattr(api, "upload", noting)
    return seen


def test_newer_rows_wait_for_an_upload_that_the_server_shows_late(
    api: FakeImports, run: ImportRun, uploads: list[list[JobStatus]]
) -> None:
    api.shown_after = 60.0
    run.dies_at(UPLOAD, file("old"))
    again = next_run(run)
    assert again.send(file("new")).status is JobStatus.COMPLETED
    assert uploads == [[], [JobStatus.COMPLETED]]
    assert [entry.job_id for entry in left(again)] == ["job-2"]


def test_an_upload_that_the_server_did_not_get_is_cancelled_or_waited_for_some_minutes(
    api: FakeImports, run: ImportRun, caplog: pytest.LogCaptureFixture
) -> None:
    run.dies_at(UPLOAD, file("old"), late=False)
    began = api.clock.time
    again = next_run(run)
    assert again.send(file("new")).status is JobStatus.COMPLETED
    waited = api.clock.time - began - 100
    if is_v1(api):
        assert api.found["job-1"].status is JobStatus.CANCELLED
        assert waited < 30
    else:
        assert 180 <= waited < 220
        assert "job-1 still waits for its file" in caplog.text
    assert [entry.job_id for entry in left(again)] == ["job-2"]


def test_added_rows_that_the_server_may_not_have_got_keep_their_entry(tmp_path: Path) -> None:
    api = FakeImports(FakeClock(), UAPI)
    run = ImportRun(api, tmp_path)
    run.dies_at(UPLOAD, file("old"), INSERT, late=False)
    again = next_run(run)
    assert again.send(file("new")).id == "job-2"
    assert {entry.job_id for entry in left(again)} == {"job-1", "job-2"}


def test_a_job_whose_creation_was_not_answered_is_none_of_another_machines(
    api: FakeImports, run: ImportRun
) -> None:
    run.dies_at(CREATE, file("old"))
    began = api.clock.time
    assert next_run(run).send(file("new")).id == "job-2"
    assert api.clock.time - began < 200
    assert api.files.keys() == {"job-2"}


def test_a_job_that_vanishes_while_it_is_waited_for_leaves_its_entry(
    api: FakeImports, run: ImportRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.uploader.send(request(), file("old"))
    run.die()
    monkeypatch.setattr(run.api.clock, "sleep", lambda seconds: vanish(api, seconds))
    again = next_run(run)
    assert again.send(file("new")).id == "job-2"
    assert {entry.job_id for entry in left(again)} == {"job-1", "job-2"}


def vanish(api: FakeImports, seconds: float) -> None:
    api.clock.time += seconds
    api.found.pop("job-1", None)


def test_a_job_that_never_shows_its_file_times_out_and_can_be_given_up(
    api: FakeImports, run: ImportRun
) -> None:
    api.shown_after = api.seconds = 1e9
    run.uploader.send(request(), file("old"))
    run.die()
    for name in ("r2", "r3"):
        again = next_run(run, name)
        with pytest.raises(JobTimeoutError, match="demandbase journal forget job-1”"):
            again.send(file("new"))
        again.die()
    [path] = run.folder.glob("*.r1.json")
    path.rename(f"{path}.given-up")
    api.shown_after = 0.0
    api.seconds = 100.0
    api.put("job-1", status=JobStatus.PROCESSING, file_name=file("old").name)
    api._given.clear()  # noqa: SLF001 - it never ends
    assert next_run(run, "r4").send(file("new")).status is JobStatus.COMPLETED


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
def test_a_job_of_a_dead_run_without_a_file_is_in_no_ones_way(
    api: FakeImports, run: ImportRun, kind: ImportOperation
) -> None:
    run.dies_at(UPLOAD, file("old"), kind, late=False)
    [path] = run.folder.glob("*.json")
    path.write_text(path.read_text().replace("uploading", "created"))
    began = api.clock.time
    again = next_run(run)
    assert again.send(file("new"), kind).status is JobStatus.COMPLETED
    assert api.clock.time - began < 110
    assert "job-1" not in api.files
    if is_v1(api):
        assert api.found["job-1"].status is JobStatus.CANCELLED
    again.uploader.finish()
    # Where it cannot be cancelled, the entry says that it is none of another machine's.
    assert [entry.job_id for entry in again.entries] == ([] if is_v1(api) else ["job-1"])
    api.clock.time += DAY + 1
    again.uploader.finish()
    assert again.entries == []


@pytest.mark.parametrize(
    ("members", "is_in"),
    [
        ({"status": JobStatus.COMPLETED, "success_count": 0}, True),
        ({"status": JobStatus.PROCESSING, "file_name": "f.csv", "success_count": 0}, True),
        ({"status": JobStatus.FAILED, "success_count": 0, "processed_rows": 2}, True),
        ({"status": JobStatus.FAILED, "success_count": 0, "error_count": 0,
          "processed_rows": 6}, True),
        ({"status": JobStatus.FAILED, "success_count": 0, "error_count": 2,
          "processed_rows": 2}, False),
        ({"status": JobStatus.CANCELLED}, False),
        ({"status": JobStatus.CANCELLED, "success_count": 2, "processed_rows": 2}, True),
        (None, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("content", ["old", "new"])
def test_rows_that_may_have_been_added_end_the_run(
    run: ImportRun, members: dict[str, Any] | None, content: str, *, is_in: bool
) -> None:
    api = run.api
    run.dies_at(UPLOAD, file("old"), INSERT)
    api._given.clear()  # noqa: SLF001
    if members is None:
        del api.found["job-1"]
    else:
        api.found["job-1"] = replace(api.found["job-1"], **members)
    again = next_run(run)
    ended = {JobStatus.FAILED, JobStatus.CANCELLED}
    resumes = content == "old" and members and members["status"] not in ended
    if is_in and resumes:
        assert again.uploader.send(request(INSERT), file("old")) == "job-1"
    elif is_in:
        [path] = run.folder.glob("*.json")
        with pytest.raises(PossibleDuplicatesError, match=f"job-1 .*{path.name}"):
            again.send(file(content), INSERT)
        again.uploader.finish()
        assert path.is_file()
    else:
        assert again.send(file(content), INSERT).id == "job-2"
    assert sum(len(each) for each in api.files.values()) == (1 if is_in else 2)


def test_activities_are_added_whatever_the_operation(run: ImportRun) -> None:
    activities = request(UPSERT, "activities")
    run.uploader.send(activities, file("old"))
    run.die()
    with pytest.raises(PossibleDuplicatesError, match="that differ from those of this run"):
        next_run(run).uploader.send(activities, file("new"))


@pytest.mark.parametrize("content", ["old", "new"])
def test_an_insert_that_failed_may_show_late_what_it_imported(
    run: ImportRun, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    api = run.api
    run.dies_at(UPLOAD, file("old"), INSERT)
    api._given.clear()  # noqa: SLF001
    failed = replace(
        api.found["job-1"], status=JobStatus.FAILED, success_count=0, error_count=0,
        processed_rows=0,
    )  # fmt: skip
    shows = iter([failed] * 2)
    last = replace(failed, success_count=1, processed_rows=1)
    monkeypatch.setattr(api, "get", lambda *_: next(shows, last))
    with pytest.raises(PossibleDuplicatesError, match="it may have inserted some of them"):
        next_run(run).send(file(content), INSERT)
    assert list(api.found) == ["job-1"]


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
def test_a_list_that_is_refused_is_not_needed_for_a_job_without_a_file(
    run: ImportRun, kind: ImportOperation
) -> None:
    run.dies_at(CREATE, file(), kind)
    run.api.fail(LIST, NotFoundError(LIST, "could not find it", status=404))
    again = next_run(run)
    job_id = again.uploader.send(request(kind), file())
    assert job_id == "job-2"
    assert list(run.api.files) == [job_id]


def test_an_earlier_job_is_not_resumed_after_a_day(api: FakeImports, run: ImportRun) -> None:
    run.uploader.send(request(), file())
    run.die()
    api.clock.time += DAY - 60
    again = next_run(run)
    assert again.uploader.send(request(), file()) == "job-1"
    again.die()
    api.clock.time += 120
    assert next_run(run, "r3").send(file()).id == "job-2"


def test_an_earlier_insert_is_in_the_way_after_a_day_too(run: ImportRun) -> None:
    run.uploader.send(request(INSERT), file())
    run.die()
    run.api.clock.time += DAY + 60
    with pytest.raises(PossibleDuplicatesError, match="more than 24 hours ago"):
        next_run(run).send(file(), INSERT)


def test_an_insert_that_is_accounted_for_is_in_the_way_of_other_rows_but_not_of_its_rejects(
    run: ImportRun,
) -> None:
    run.send(file("old"), INSERT)
    run.uploader.account(file("old"))
    run.die()
    again = next_run(run)
    with pytest.raises(PossibleDuplicatesError, match="that differ from those of this run"):
        again.send(file("new"), INSERT)
    again.die()
    rejects = replace(file("corrected"), is_replay=True)
    assert next_run(run, "r3").send(rejects, INSERT).id == "job-2"


def test_all_entries_that_are_in_the_way_are_named_at_once(run: ImportRun) -> None:
    for content in ("a", "b", "c"):
        run.uploader.send(request(INSERT), file(content))
    run.die()
    with pytest.raises(PossibleDuplicatesError) as caught:
        next_run(run).send(file("new"), INSERT)
    paths = [str(path) for path in run.folder.glob("*.json")]
    assert len(paths) == 3
    assert all(path in str(caught.value) for path in paths)
    assert "Further jobs are in the way: job-" in str(caught.value)


def test_rows_that_are_written_wait_for_rows_that_are_added_and_leave_their_entry(
    run: ImportRun, uploads: list[list[JobStatus]]
) -> None:
    run.uploader.send(request(INSERT), file("old"))
    run.die()
    again = next_run(run)
    again.send(file("new"))
    assert uploads[-1] == [JobStatus.COMPLETED]
    again.uploader.finish()
    assert [entry.operation for entry in again.entries] == ["insert"]


def name(stem: str = "any-stem_1.x", middle: str = "0123456789abcdef" * 2, end: str = "") -> str:
    return f"{stem}-{middle}{end}.csv"


@pytest.mark.parametrize(
    ("members", "is_waited_for"),
    [
        ({"file_name": name()}, True),
        ({"file_name": name(end="-2")}, True),
        ({"file_name": name(end="-2-20260102T030405000006")}, True),
        ({"file_name": name(), "entity": None}, True),
        ({"file_name": name(), "status": JobStatus.VALIDATING}, True),
        ({"file_name": name(), "status": JobStatus.UNKNOWN}, True),
        *(({"file_name": name(), "age": DAY - 300, "skew": skew}, True) for skew in (-2, 0, 2)),
        *(({"file_name": name(), "age": DAY + 300, "skew": skew}, False) for skew in (-2, 0, 2)),
        ({"file_name": name(), "entity": "people"}, False),
        ({"file_name": name(), "status": JobStatus.COMPLETED}, False),
        ({"file_name": name(), "status": JobStatus.FAILED}, False),
        ({"file_name": name(middle="0123456789abcdef")}, False),
        ({"file_name": name(middle="0123456789ABCDEF" * 2)}, False),
        ({"file_name": name(stem="")}, False),
        ({"file_name": "theirs.csv"}, False),
        ({"file_name": f"{name()}.csv"}, False),
        ({"file_name": None}, False),
        ({"file_name": ""}, False),
    ],
)
def test_jobs_that_other_machines_sent_today_are_waited_for(
    tmp_path: Path, members: dict[str, Any], *, is_waited_for: bool
) -> None:
    theirs = {"status": JobStatus.PROCESSING, **members}
    api = FakeImports(FakeClock(), V1, skew=timedelta(days=theirs.pop("skew", 0)))
    run = ImportRun(api, tmp_path)
    api.put("theirs", theirs.pop("age", 60.0), **theirs)
    if not is_waited_for:
        began = api.clock.time
        run.send(file())
        assert api.clock.time - began < 200
        assert api.found["theirs"].status is theirs["status"]
        return
    with pytest.raises(JobTimeoutError, match=r"theirs .* another machine may have created it"):
        run.send(file())
    assert not api.files
    assert api.count(CREATE) == api.count(CANCEL) == 0


@pytest.mark.parametrize(("age", "seconds"), [(0.0, 600), (500.0, 100), (600.0, 0)])
def test_a_job_of_another_machine_may_get_its_file_for_ten_minutes(
    tmp_path: Path, age: float, seconds: float
) -> None:
    api = FakeImports(FakeClock(), UAPI)
    api.put("theirs", age, file_name=name())
    began = api.clock.time
    ImportRun(api, tmp_path).send(file())
    assert seconds <= api.clock.time - began - 100 < seconds + 100


def test_a_job_of_another_machine_that_gets_its_file_is_waited_for_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeImports(FakeClock(), UAPI)
    theirs = api.put("theirs", 590.0, file_name=name())
    sleep = api.clock.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        age = api.clock.time - 1_000_000
        status = JobStatus.PROCESSING if age < 1000 else JobStatus.COMPLETED
        api.found["theirs"] = replace(theirs, status=status)

    monkeypatch.setattr(api.clock, "sleep", slept)
    ImportRun(api, tmp_path).send(file())
    assert api.clock.time >= 1_001_000


def test_times_without_a_zone_and_without_a_date_are_taken_as_they_are(tmp_path: Path) -> None:
    api = FakeImports(FakeClock(), V1, skew=None)
    job = api.put("theirs", 60.0, status=JobStatus.PROCESSING, file_name=name())
    assert job.created_at is not None
    api.found["theirs"] = replace(job, created_at=job.created_at.replace(tzinfo=NO_ZONE))
    with pytest.raises(JobTimeoutError):
        ImportRun(api, tmp_path).send(file())


def test_the_list_is_read_once_for_an_entity_and_not_for_a_file_that_is_resumed(
    run: ImportRun,
) -> None:
    run.uploader.send(request(), file("a"))
    assert run.api.count(LIST) == 1
    run.uploader.send(request(), file("b"))
    assert run.api.count(LIST) == 1
    run.uploader.send(request(entity="people"), file("c"))
    assert run.api.count(LIST) == 2
    run.die()
    next_run(run).uploader.send(request(), file("a"))
    assert run.api.count(LIST) == 2


@pytest.mark.parametrize(
    "error",
    [
        gateway_timeout(LIST),
        InvalidRequestError(LIST, "did not accept it", status=400),
        RateLimitedError(LIST, "asked for fewer calls", status=429),
        UnreachableError(LIST, "did not respond in time", nothing_sent=True),
    ],
)
def test_a_list_that_cannot_be_read_keeps_no_rows_back(
    run: ImportRun, error: ApiError, caplog: pytest.LogCaptureFixture
) -> None:
    run.api.fail(LIST, error, times=1)
    assert run.send(file()).status is JobStatus.COMPLETED
    assert "imports of other machines into accounts are not waited for" in caplog.text


@pytest.mark.parametrize("operation", [LIST, GET])
@pytest.mark.parametrize("error", [AuthenticationError, QuotaExceededError])
def test_what_every_call_would_meet_ends_the_run(
    run: ImportRun, operation: ApiOperation, error: type[AuthenticationError]
) -> None:
    run.uploader.send(request(), file("old"))
    run.die()
    run.api.fail(operation, error(operation, "declined", status=401))
    with pytest.raises(error):
        next_run(run).send(file("new"))


def test_a_job_that_only_the_list_shows_is_waited_for(
    run: ImportRun, uploads: list[list[JobStatus]]
) -> None:
    run.uploader.send(request(), file("old"))
    run.die()
    run.api.fail(GET, InvalidRequestError(GET, "did not accept it", status=400), "job-1")
    assert next_run(run).send(file("new")).status is JobStatus.COMPLETED
    assert uploads[-1] == [JobStatus.COMPLETED]


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
def test_a_job_that_cannot_be_read_is_unknown(
    run: ImportRun, kind: ImportOperation, caplog: pytest.LogCaptureFixture
) -> None:
    run.uploader.send(request(kind), file("old"))
    run.die()
    run.api.fail(GET, InvalidRequestError(GET, "did not accept it", status=400), "job-1")
    if kind is INSERT:
        with pytest.raises(PossibleDuplicatesError, match="does not show what it did with them"):
            next_run(run).send(file("new"), kind)
        return
    again, began = next_run(run), run.api.clock.time
    assert again.send(file("new"), kind).status is JobStatus.COMPLETED
    assert run.api.clock.time - began >= 200  # the list shows that it runs
    assert "job-1 of an earlier run cannot be read" in caplog.text
    again.uploader.finish()
    assert "The journal entry of the import job job-1 of an earlier run stays" in caplog.text
    assert [entry.job_id for entry in again.entries] == ["job-1"]


def test_a_run_that_ends_while_it_waits_for_an_earlier_job_leaves_that_job_alone(
    run: ImportRun,
) -> None:
    run.uploader.send(request(), file("old"))
    run.die()
    gate, again, before = run.api.gate(LIST), next_run(run), run.api.count(LIST)
    waiting = Task(lambda: again.uploader.send(request(), file("new")))
    while run.api.count(LIST) == before:
        assert not waiting.wait(0.01)
    again.uploader.stop()
    again.uploader.close()
    gate.set()
    with pytest.raises(JobTimeoutError):
        waiting.result()
    assert run.api.count(CANCEL) == 0


def test_a_job_that_is_not_known_at_once_may_be_young(run: ImportRun) -> None:
    run.api.unknown_for = 10.0
    run.dies_at(CREATE, file(), late=False)
    [path] = run.folder.glob("*.json")
    run.api.put("job-7", 5.0)
    members = {**json.loads(path.read_text()), "job_id": "job-7", "phase": "created"}
    path.write_text(json.dumps(members))
    assert next_run(run).send(file()).id == "job-7"


def test_an_unreadable_entry_ends_the_run_before_anything_is_created(run: ImportRun) -> None:
    (run.folder / "f00d.r0.json").write_bytes(b"")
    with pytest.raises(JournalError, match=r"f00d\.r0\.json cannot be read: it is empty"):
        run.send(file())
    assert run.api.calls == []


def test_an_unreadable_entry_ends_no_run_that_has_sent_all(
    run: ImportRun, caplog: pytest.LogCaptureFixture
) -> None:
    run.send(file())
    (run.folder / "f00d.r0.json").write_bytes(b"")
    run.uploader.finish()
    assert "f00d.r0.json cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("phase", "members", "stays"),
    [
        (Phase.UPLOADED, {"status": JobStatus.COMPLETED}, False),
        (Phase.UPLOADED, {"status": JobStatus.FAILED}, False),
        (Phase.UPLOADED, {"status": JobStatus.PROCESSING, "file_name": "f.csv"}, True),
        (Phase.UPLOADED, {}, True),
        (Phase.UPLOADED, None, True),
        (Phase.CREATED, {"status": JobStatus.CANCELLED}, False),
    ],
)
def test_a_run_that_ends_well_removes_what_can_import_nothing_any_more(
    api: FakeImports, run: ImportRun, phase: Phase, members: dict[str, Any] | None, *, stays: bool
) -> None:
    run.uploader.send(request(), file())
    entry = run.journal.find(file().fingerprint)
    assert entry is not None
    run.journal.put(entry.now(phase))
    run.die()
    api._given.clear()  # noqa: SLF001
    if members is None:
        del api.found["job-1"]
    else:
        api.put("job-1", **members)
    later = next_run(run)
    later.uploader.finish()
    assert bool(later.entries) == stays
    api.clock.time += DAY + 60
    later.uploader.finish()
    assert later.entries == []
    assert api.count(CANCEL) == 0


def test_jobs_that_a_lost_creation_may_have_left_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = FakeImports(FakeClock(), V1)
    api.put("older", 70.0)
    api.put("by-a-slow-clock", 50.0)
    api.put("with-a-file", 10.0, file_name="theirs.csv")
    api.fail(CREATE, gateway_timeout(CREATE), times=1, late=True)
    assert ImportRun(api, tmp_path).send(file()).id == "job-2"
    assert "creation of an import job for accounts was lost" in caplog.text
    [named] = re.findall(r": check (.*) in Demandbase\. A job", caplog.text)
    assert set(named.split(", ")) == {"job-1", "by-a-slow-clock"}
    assert api.count(CANCEL) == 0


def test_a_lost_creation_is_a_warning_though_the_jobs_cannot_be_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = FakeImports(FakeClock(), V1)
    api.fail(CREATE, gateway_timeout(CREATE), times=1)
    api.fail(LIST, gateway_timeout(LIST))
    assert ImportRun(api, tmp_path).send(file()).status is JobStatus.COMPLETED
    assert "changes nothing: the job list cannot be read: Demandbase" in caplog.text
    assert "A job does not say what it was created for" in caplog.text


def test_a_lost_creation_of_an_earlier_run_is_a_warning(
    api: FakeImports, run: ImportRun, caplog: pytest.LogCaptureFixture
) -> None:
    run.dies_at(CREATE, file())
    caplog.clear()
    assert next_run(run).send(file()).id == ("job-2" if is_v1(api) else "job-1")
    assert ("check job-1 in Demandbase" in caplog.text) == is_v1(api)


def test_a_run_sends_the_same_rows_again_in_a_job_of_their_own(run: ImportRun) -> None:
    assert run.send(file()).id == "job-1"
    assert run.send(file().again(2)).id == "job-2"
    run.die()
    again = next_run(run)
    assert again.send(file()).id == "job-1"
    assert again.send(file().again(2)).id == "job-2"
    assert again.send(file().again(3)).id == "job-3"


@pytest.mark.parametrize("phase", [Phase.UPLOADED, Phase.ACCOUNTED])
@pytest.mark.parametrize("is_replay", [False, True])
def test_rejected_rows_that_are_rejected_again_come_again(
    run: ImportRun, phase: Phase, *, is_replay: bool
) -> None:
    rejects = replace(file(), is_replay=is_replay)
    run.send(rejects, INSERT)
    if phase is Phase.ACCOUNTED:
        run.uploader.account(rejects)
    run.die()
    comes_again = is_replay and phase is Phase.ACCOUNTED
    assert next_run(run).send(rejects, INSERT).id == ("job-2" if comes_again else "job-1")


def test_rows_of_other_entities_and_old_replays_are_in_no_ones_way(run: ImportRun) -> None:
    run.uploader.send(request(INSERT, "people"), file("old"))
    run.die()
    again = next_run(run)
    assert again.send(file("new"), INSERT).id == "job-2"
    assert again.send(file("newer"), INSERT).id == "job-3"
    again.uploader.finish()
    assert "people" in {entry.entity for entry in again.entries}


def test_an_insert_that_is_in_doubt_is_in_the_way_of_a_replay_too(run: ImportRun) -> None:
    run.send(file("old"), INSERT)
    run.die()
    with pytest.raises(PossibleDuplicatesError):
        next_run(run).send(replace(file("rejects"), is_replay=True), INSERT)


def test_a_job_of_an_earlier_run_is_polled_no_longer_once_it_was_waited_for(
    run: ImportRun,
) -> None:
    run.uploader.send(request(), file("old"))
    run.die()
    again = next_run(run)
    again.uploader.send(request(), file("new"))
    with pytest.raises(KeyError):
        again.poller.latest("job-1")


def test_rows_that_are_added_after_others_of_the_same_run_are_not_added_twice(
    run: ImportRun,
) -> None:
    run.send(file("old"), INSERT)
    run.die()
    again = next_run(run)
    assert again.send(file("written")).id == "job-2"
    with pytest.raises(PossibleDuplicatesError):
        again.send(file("added"), INSERT)


def test_a_job_that_does_not_end_in_time_is_named_with_what_is_known_of_it(
    run: ImportRun,
) -> None:
    run.api.seconds = None
    run.uploader.send(request(), file("old"))
    run.die()
    with pytest.raises(JobTimeoutError) as caught:
        next_run(run).send(file("new"))
    error = caught.value
    assert (error.kind, error.job_id, error.entity) == ("import", "job-1", "accounts")
    assert error.status == JobStatus.PROCESSING
    assert str(error).endswith(
        "Each further run waits for it again. To give it up, use “demandbase journal forget "
        "job-1”: the next run then sends the rows that it gets in a new job."
    )


def test_a_job_of_another_machine_is_waited_for_until_it_is_a_day_old(tmp_path: Path) -> None:
    api = FakeImports(FakeClock(), V1)
    api.put("theirs", 60.0, status=JobStatus.PROCESSING, file_name=name())
    with pytest.raises(JobTimeoutError, match="until it is 24 hours old or is cancelled"):
        ImportRun(api, tmp_path).send(file())
    listed = [each for (call, _), each in zip(api.calls, api.deadlines, strict=True)
              if call is LIST]  # fmt: skip
    assert listed[0].at == api.clock.time - TIMEOUT + 60


@pytest.mark.parametrize("age", [-3600.0, 0.0])
def test_a_job_of_the_future_gets_no_more_than_ten_minutes_for_its_file(
    tmp_path: Path, age: float
) -> None:
    api = FakeImports(FakeClock(), UAPI, listed_after=-DAY)
    api.put("theirs", age, file_name=name())
    began = api.clock.time
    ImportRun(api, tmp_path).send(file())
    assert 600 <= api.clock.time - began - 100 < 700


def test_a_job_without_a_time_of_creation_gets_no_time_for_its_file(tmp_path: Path) -> None:
    api = FakeImports(FakeClock(), UAPI)
    api.put("theirs", created_at=None, file_name=name())
    began = api.clock.time
    ImportRun(api, tmp_path).send(file())
    assert api.clock.time - began < 200


@pytest.mark.parametrize(
    ("members", "content", "why"),
    [
        ({"status": JobStatus.FAILED}, "old", "and failed after it may have inserted some"),
        ({"status": JobStatus.COMPLETED}, "new", "in a file or with settings that differ"),
        ({"status": JobStatus.PROCESSING, "file_name": "f.csv"}, "new",
         "in a file or with settings that differ"),
        (None, "old", "and Demandbase does not show what it did with them"),
        ({}, "new", "and does not show whether it got them"),
    ],
)  # fmt: skip
def test_the_reason_why_rows_may_be_in_is_named(
    run: ImportRun, members: dict[str, Any] | None, content: str, why: str
) -> None:
    api = run.api
    run.uploader.send(request(INSERT), file("old"))
    run.die()
    api._given.clear()  # noqa: SLF001
    if members is None:
        del api.found["job-1"]
    else:
        api.found["job-1"] = replace(api.found["job-1"], **members)
    with pytest.raises(PossibleDuplicatesError) as caught:
        next_run(run).send(file(content), INSERT)
    [path] = run.folder.glob("*.json")
    assert str(caught.value).startswith(
        "Rows of stream s may have been inserted into accounts already: the import job job-1 was "
        f"sent 2 rows, {why}"
    )
    assert str(caught.value).endswith(f"journal forget job-1” and run again (journal: {path}).")


@pytest.mark.parametrize(
    ("kind", "phase", "age", "is_known", "readings"),
    [
        (INSERT, Phase.UPLOADED, 100.0, False, 5),
        (INSERT, Phase.CREATED, 100.0, False, 1),
        (UPSERT, Phase.UPLOADED, 100.0, False, 1),
        (UPSERT, Phase.UPLOADED, 60.0, False, 1),
        (UPSERT, Phase.UPLOADED, 59.0, False, 5),
        (UPSERT, Phase.UPLOADED, 50.0, True, 1),
        (INSERT, Phase.UPLOADED, 100.0, True, 5),
    ],
)
def test_a_job_is_read_again_for_some_seconds_if_it_matters_that_it_shows_late(
    run: ImportRun, kind: ImportOperation, phase: Phase, age: float, readings: int, *,
    is_known: bool,
) -> None:  # fmt: skip
    run.uploader.send(request(kind), file("old"))
    entry = run.journal.find(file("old").fingerprint)
    assert entry is not None
    run.journal.put(entry.now(phase))
    run.die()
    run.api._given.clear()  # noqa: SLF001
    if not is_known:
        del run.api.found["job-1"]
    run.api.clock.time += age
    run.api.clock.sleeps.clear()
    recovery = next_run(run).uploader._recovery  # noqa: SLF001
    recovery._look(entry.now(phase))  # noqa: SLF001
    assert run.api.count(GET) == readings
    assert run.api.clock.sleeps == [1.0, 2.0, 4.0, 8.0][: readings - 1]


@pytest.mark.parametrize("kind", [UPSERT, INSERT])
@pytest.mark.parametrize("phase", [Phase.CREATING, Phase.CREATED, Phase.UPLOADED])
def test_the_entry_of_an_unknown_job_stays_for_a_day_or_for_good(
    run: ImportRun, kind: ImportOperation, phase: Phase
) -> None:
    run.uploader.send(request(kind), file())
    entry = run.journal.find(file().fingerprint)
    assert entry is not None
    run.journal.put(replace(entry.now(phase), began_at=run.api.clock.utc().isoformat()))
    run.die()
    run.api.found.clear()
    run.api.clock.time += DAY
    later = next_run(run)
    later.uploader.finish()
    assert len(later.entries) == 1
    run.api.clock.time += 1
    later.uploader.finish()
    assert len(later.entries) == (kind is INSERT and phase is Phase.UPLOADED)
