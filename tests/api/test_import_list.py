"""Runs whose disk is lost: the job list says which rows that are added were sent already."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    InvalidRequestError,
    PermissionDeniedError,
    PossibleDuplicatesError,
    RateLimitedError,
    UnexpectedResponseError,
)
from demandbase_api.jobs.import_deliveries import ImportDeliveries
from demandbase_api.jobs.import_journal import ImportFile
from demandbase_api.jobs.import_list import SentRows, sent_rows
from demandbase_api.models import ImportJob, ImportOperation, JobStatus
from demandbase_api.state.folder_store import FolderStore
from demandbase_api.state.objects import ObjectStore
from tests.api.fake_exports import FakeClock
from tests.api.fake_imports import UAPI, V1, FakeImports
from tests.api.fake_objects import FakeObjects
from tests.api.import_runs import ImportRun, file, gateway_timeout, request

CREATE, UPLOAD = ApiOperation.CREATE_IMPORT, ApiOperation.UPLOAD_FILE
GET, LIST = ApiOperation.GET_IMPORT, ApiOperation.LIST_IMPORTS
CANCEL = ApiOperation.CANCEL_IMPORT
UPSERT, INSERT = ImportOperation.UPSERT, ImportOperation.INSERT
DAY = 86_400.0


@pytest.fixture(params=["v1", "uapi"])
def api(request: pytest.FixtureRequest) -> FakeImports:
    return FakeImports(FakeClock(), V1 if request.param == "v1" else UAPI)


class Disks:
    """Runs of which each has a disk of its own, unless it names that of another."""

    def __init__(self, api: FakeImports, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._runs = 0

    def run(self, disk: str = "") -> ImportRun:
        self._runs += 1
        return ImportRun(self._api, self._folder / (disk or f"disk-{self._runs}"), f"r{self._runs}")


@pytest.fixture
def disks(api: FakeImports, tmp_path: Path) -> Disks:
    return Disks(api, tmp_path)


def ends(api: FakeImports, **members: Any) -> None:  # noqa: ANN401
    """Let the first job have ended in some way."""
    api._given.clear()  # noqa: SLF001
    name = api.found["job-1"].file_name or file().name
    api.found["job-1"] = replace(api.found["job-1"], file_name=name, **members)


def files_given(api: FakeImports) -> int:
    return sum(len(each) for each in api.files.values())


@pytest.mark.parametrize("seconds", [0.0, 50.0, 3600.0, DAY - 60])
def test_added_rows_are_accounted_for_by_the_job_that_an_earlier_run_sent_them_to(
    api: FakeImports, disks: Disks, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    api.clock.time += seconds
    again = disks.run()
    done = again.send(file(), INSERT)
    assert (done.id, done.status, done.success_count) == ("job-1", JobStatus.COMPLETED, 2)
    assert files_given(api) == api.count(CREATE) == 1
    assert "the same 2 rows of stream s to the import job job-1" in caplog.text
    assert "not added a second time" in caplog.text
    again.die()
    [entry] = disks.run("disk-2").entries
    assert (entry.job_id, entry.phase) == ("job-1", "uploaded")


def test_the_rows_that_follow_are_added(api: FakeImports, disks: Disks) -> None:
    disks.run().dies_at(UPLOAD, file("one"), INSERT)
    again = disks.run()
    assert again.send(file("one"), INSERT).id == "job-1"
    assert again.send(file("two"), INSERT).id == "job-2"
    assert again.send(file("three"), INSERT).id == "job-3"
    assert api.count(CANCEL) == 0


def test_rows_that_came_twice_in_the_earlier_run_come_twice(api: FakeImports, disks: Disks) -> None:
    first = disks.run()
    first.send(file(), INSERT)
    first.dies_at(UPLOAD, file().again(2), INSERT)
    again = disks.run()
    jobs = {again.send(each, INSERT).id for each in (file(), file().again(2), file().again(3))}
    assert jobs == {"job-1", "job-2", "job-3"}
    assert files_given(api) == 3


def test_rows_of_a_day_ago_are_added_again(api: FakeImports, disks: Disks) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    api.clock.time += DAY + 60
    assert disks.run().send(file(), INSERT).id == "job-2"


@pytest.mark.parametrize("hours", [-48, 48])
def test_the_age_of_a_job_is_measured_by_the_clock_of_the_server(
    tmp_path: Path, hours: int
) -> None:
    api = FakeImports(FakeClock(), UAPI, skew=timedelta(hours=hours))
    disks = Disks(api, tmp_path)
    disks.run().dies_at(UPLOAD, file(), INSERT)
    assert disks.run().send(file(), INSERT).id == "job-1"
    api.clock.time += DAY
    assert disks.run().send(file(), INSERT).id == "job-2"


@pytest.mark.parametrize(
    "other",
    [
        file("other"),
        replace(file(), name=file().name.replace("s-", "another-")),
    ],
)
def test_other_rows_and_those_of_another_stream_are_added(disks: Disks, other: ImportFile) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    assert disks.run().send(other, INSERT).id == "job-2"


def test_rows_that_are_written_by_key_are_sent_again_and_that_is_said(
    api: FakeImports, disks: Disks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    disks.run().dies_at(UPLOAD, file())
    began = api.clock.time
    assert disks.run().send(file()).id == "job-2"
    assert api.clock.time - began >= 200  # the first job comes first
    assert "job-1 got the same 2 rows" in caplog.text
    assert "sending them again doubles nothing" in caplog.text


@pytest.mark.parametrize(
    ("members", "job"),
    [
        ({"status": JobStatus.CANCELLED}, "job-2"),
        ({"status": JobStatus.FAILED, "success_count": 0, "error_count": 2,
          "processed_rows": 2}, "job-2"),
        ({"status": JobStatus.FAILED}, None),
        ({"status": JobStatus.FAILED, "success_count": 1, "error_count": 0,
          "processed_rows": 1}, None),
        ({"status": JobStatus.CANCELLED, "success_count": 1}, None),
        ({"status": JobStatus.COMPLETED, "created_at": None}, "job-2"),
    ],
)  # fmt: skip
def test_only_a_job_that_imported_nothing_is_replaced(
    api: FakeImports, disks: Disks, members: dict[str, Any], job: str | None
) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    ends(api, **members)
    again = disks.run()
    if job is not None:
        assert again.send(file(), INSERT).id == job
        return
    for _ in range(2):  # to remove the entry does not help: the list stops the next run
        with pytest.raises(PossibleDuplicatesError, match="until the job is 24") as caught:
            again.send(file(), INSERT)
        again.die()
        [path] = again.folder.glob("*.json")
        assert f"journal forget job-1” and run again (journal: {path})" in str(caught.value)
        given_up = path.rename(f"{path}.given-up")
        text = given_up.read_text()
        given_up.unlink()
        again = disks.run("disk-2")
    assert files_given(api) == 1
    given_up.write_text(text)
    assert again.send(file(), INSERT).id == "job-2"


def test_a_failed_job_stops_no_other_rows(api: FakeImports, disks: Disks) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    ends(api, status=JobStatus.FAILED)
    assert disks.run().send(file("other"), INSERT).id == "job-2"


def test_the_newest_job_with_the_rows_decides(api: FakeImports, disks: Disks) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    ends(api, status=JobStatus.FAILED)
    job = replace(api.found["job-1"], id="job-9", status=JobStatus.COMPLETED)
    api.clock.time += 100
    api.found["job-9"] = replace(job, created_at=api.clock.utc())
    assert disks.run().uploader.send(request(INSERT), file()) == "job-9"


def test_a_job_whose_state_could_not_be_read_again_stops_the_run(
    api: FakeImports, disks: Disks
) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    ends(api, status=JobStatus.FAILED)
    api.fail(GET, InvalidRequestError(GET, "did not accept it", status=400))
    with pytest.raises(PossibleDuplicatesError, match="does not show what it did with them"):
        disks.run().send(file(), INSERT)


def test_a_job_without_a_file_is_waited_for_and_then_gets_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    api = FakeImports(FakeClock(), UAPI)
    disks = Disks(api, tmp_path)
    disks.run().dies_at(UPLOAD, file(), INSERT, late=False)
    began = api.clock.time
    again = disks.run()
    assert again.send(file(), INSERT).id == "job-1"
    assert 600 <= api.clock.time - began - 100 < 700
    assert "come first: 600 s at most if it does not get its file" in caplog.text
    assert (files_given(api), api.count(CREATE)) == (1, 1)


def test_a_job_that_shows_its_file_late_is_not_given_it_again(tmp_path: Path) -> None:
    api = FakeImports(FakeClock(), UAPI, shown_after=300.0)
    disks = Disks(api, tmp_path)
    disks.run().dies_at(UPLOAD, file(), INSERT)
    assert disks.run().send(file(), INSERT).id == "job-1"
    assert files_given(api) == 1


def test_a_job_of_another_machine_is_not_cancelled_at_the_end(
    api: FakeImports, disks: Disks
) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    ends(api, status=JobStatus.COMPLETED)
    again = disks.run()
    assert again.uploader.send(request(INSERT), file()) == "job-1"
    again.poller.update(replace(api.found["job-1"], status=JobStatus.PROCESSING))
    again.uploader.close()
    assert api.count(CANCEL) == 0


def test_what_this_disk_knows_to_be_delivered_is_added_as_often_as_it_comes(
    api: FakeImports, disks: Disks
) -> None:
    for number in (1, 2, 3):
        run = disks.run("kept")
        assert run.send(file(), INSERT).id == f"job-{number}"
        run.uploader.account(file())
        run.uploader.forget(file())
        run.uploader.finish()
        run.uploader.close()
        api.clock.time += 60
    [path] = run.folder.glob("*.jobs")
    assert path.name.startswith("delivered-accounts-")
    path.write_text("{")
    assert disks.run("kept").send(file(), INSERT).id == "job-3"  # as on a fresh disk


def test_a_run_that_was_killed_after_a_delivery_of_equal_rows_is_continued(
    api: FakeImports, disks: Disks
) -> None:
    run = disks.run("kept")
    run.send(file(), INSERT)
    run.uploader.forget(file())
    run.uploader.close()
    disks.run("kept").dies_at(UPLOAD, file(), INSERT)
    assert disks.run("kept").send(file(), INSERT).id == "job-2"
    assert disks.run().send(file(), INSERT).id == "job-2"  # the newest one, without a disk
    assert files_given(api) == 2


def test_rejected_rows_that_come_again_are_sent_unless_a_job_took_them(
    api: FakeImports, disks: Disks
) -> None:
    replay = replace(file(), is_replay=True)
    disks.run().dies_at(UPLOAD, file(), INSERT)
    ends(api, status=JobStatus.COMPLETED, success_count=0, error_count=2)
    assert disks.run().uploader.send(request(INSERT), file()) == "job-1"
    assert disks.run().send(replay, INSERT).id == "job-2"
    assert disks.run().send(replay, INSERT).id == "job-2"


def test_rows_are_not_added_while_the_list_fails(api: FakeImports, disks: Disks) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    api.fail(LIST, gateway_timeout(LIST), times=1)
    again = disks.run()
    with pytest.raises(PossibleDuplicatesError, match=r"HTTP 504.* run again later"):
        again.uploader.send(request(INSERT), file())
    assert api.count(CREATE) == 1
    assert again.entries == []
    assert disks.run().send(file(), INSERT).id == "job-1"


@pytest.mark.parametrize(
    ("operation", "error", "is_said"),
    [
        (INSERT, PermissionDeniedError(LIST, "does not permit it", status=403), True),
        (INSERT, UnexpectedResponseError(LIST, "is odd"), True),
        (UPSERT, PermissionDeniedError(LIST, "does not permit it", status=403), False),
        (UPSERT, gateway_timeout(LIST), False),
    ],
)
def test_a_list_that_is_not_needed_or_refused_for_good_stops_no_run(
    api: FakeImports, disks: Disks, operation: ImportOperation, error: ApiError, *, is_said: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    api.fail(LIST, error, times=1)
    assert disks.run().send(file(), operation).id == "job-1"
    assert "so imports of other machines into accounts are not waited for" in caplog.text
    assert ("rows that they have added are not recognized" in caplog.text) is is_said


def test_a_list_that_fails_for_the_whole_run_ends_it_as_it_does_elsewhere(
    api: FakeImports, disks: Disks
) -> None:
    api.fail(LIST, RateLimitedError(LIST, "limits the calls", status=429), times=1)
    with pytest.raises(RateLimitedError):
        disks.run().send(file(), INSERT)
    assert api.count(CREATE) == 0


@pytest.mark.parametrize("operation", [INSERT, UPSERT])
def test_a_list_without_creation_times_recognizes_nothing_and_that_is_said(
    api: FakeImports, disks: Disks, operation: ImportOperation, caplog: pytest.LogCaptureFixture
) -> None:
    disks.run().dies_at(UPLOAD, file(), operation)
    ends(api, status=JobStatus.COMPLETED, created_at=None)
    again = disks.run()
    assert again.send(file(), operation).id == "job-2"
    said = "the same 2 rows of stream s were sent before, and not when: they are added once more"
    assert (said in caplog.text) is (operation is INSERT)
    assert ("Check the import jobs job-1 in Demandbase" in caplog.text) is (operation is INSERT)


@pytest.mark.parametrize(("older", "job_id"), [(99, "job-1"), (100, "job-2")])
def test_a_list_that_is_not_quite_newest_first_is_read_further(
    api: FakeImports, disks: Disks, older: int, job_id: str
) -> None:
    disks.run().dies_at(UPLOAD, file(), INSERT)
    listed = [
        api.put("new"), *(api.put(f"old-{n}", 2 * DAY + n) for n in range(older)), *api.jobs()
    ]  # fmt: skip
    api.found = {job.id: job for job in listed}
    api.order = list(api.found)
    assert disks.run().send(file(), INSERT).id == job_id


def test_a_list_that_is_read_for_an_entity_serves_all_of_its_files(
    api: FakeImports, disks: Disks
) -> None:
    first = disks.run()
    for content in "abc":
        first.send(file(content), INSERT)
    first.die()
    before = api.count(LIST)
    again = disks.run()
    for content in "abc":
        again.uploader.send(request(INSERT), file(content))
    assert api.count(LIST) == before + 1
    assert api.count(GET) == 0


@pytest.mark.parametrize("returned", ["as sent", "another", None])
def test_a_name_that_does_not_come_back_as_it_was_sent_is_said_once(
    disks: Disks, returned: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    run = disks.run()
    for content in "ab":
        job = run.send(file(content))
        name = job.file_name if returned == "as sent" else returned
        run.uploader.check_listed(replace(job, file_name=name))
    said = caplog.text.count("does not return the name of the file of the import job job-1")
    assert said == (returned != "as sent")
    assert caplog.text.count("does not return the name") == said


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (0.9, None),
        (-0.9, None),
        (25, "says that the import job job-1 was created at 1970-01-13 14:46, but its responses"),
        (-25, "says that the import job job-1 was created at 1970-01-"),
        (None, "does not say when the import job job-1 was created"),
    ],
)
def test_a_creation_time_that_does_not_fit_the_time_of_responses_is_said(
    disks: Disks, hours: float | None, said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    run = disks.run()
    job = run.send(file())
    assert job.created_at is not None
    at = None if hours is None else job.created_at + timedelta(hours=hours)
    run.uploader.check_listed(replace(job, created_at=at))
    assert (said or "") in caplog.text
    assert ("keep state_dir between runs" in caplog.text) is (said is not None)


def test_the_name_of_a_job_that_is_resumed_is_not_checked(
    disks: Disks, caplog: pytest.LogCaptureFixture
) -> None:
    run = disks.run()
    run.uploader.check_listed(ImportJob("job-1", JobStatus.COMPLETED, file_name="x.csv"))
    assert "does not return the name" not in caplog.text


def test_the_name_of_a_file_says_its_stream_and_rows() -> None:
    digest = "0123456789abcdef" * 2
    for end in ("", "-2", "-20260102T030405000006", "-3-20260102T030405000006"):
        assert sent_rows(f"a-stream-{digest}{end}.csv") == SentRows("a-stream", digest)
    for name in ("", None, f"{digest}.csv", f"s-{digest[:31]}.csv", f"s-{digest}.txt"):
        assert sent_rows(name) is None


def test_deliveries_are_kept_for_a_day_by_entity_and_api(tmp_path: Path) -> None:
    clock = FakeClock()
    kept = ImportDeliveries(FolderStore(tmp_path / "new"), "https://one.example", clock)
    assert kept.jobs("activities") == frozenset()
    kept.add("activities", "1")
    clock.time += DAY - 1
    kept.add("activities", "2")
    assert kept.jobs("activities") == {"1", "2"}
    clock.time += 1
    kept.add("activities", "3")
    assert kept.jobs("activities") == {"2", "3"}
    assert kept.jobs("accounts") == frozenset()
    other = ImportDeliveries(FolderStore(tmp_path / "new"), "https://other.example", clock)
    assert other.jobs("activities") == frozenset()


def test_a_run_that_was_asleep_keeps_what_another_has_delivered() -> None:
    objects = FakeObjects()
    kept, others = (ImportDeliveries(ObjectStore(objects), "", FakeClock()) for _ in range(2))

    def sleep(_: str) -> None:
        objects.before_write = None
        others.add("activities", "2")

    objects.before_write = sleep
    kept.add("activities", "1")
    assert kept.jobs("activities") == {"1", "2"}


def test_deliveries_that_cannot_be_written_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    kept = ImportDeliveries(FolderStore(tmp_path / "file"), "", FakeClock())
    kept.add("activities", "1")
    kept.add("activities", "2")
    assert caplog.text.count("Cannot write to state_dir which imports have been delivered") == 1
