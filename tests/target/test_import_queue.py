"""The queue of files alone: an uploader and a poller that do what a test says."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from typing_extensions import override

from demandbase_api.errors import (
    ApiOperation,
    DemandbaseError,
    FileTooLargeError,
    JobTimeoutError,
    UnexpectedResponseError,
)
from demandbase_api.models import ImportJob, ImportOperation, JobStatus
from target_demandbase.errors import StillRunningError
from target_demandbase.import_queue import (
    DryRunQueue,
    EndedImport,
    ImportBatch,
    ImportQueue,
    Until,
    _progress,
)
from target_demandbase.mapping import StreamSchema
from target_demandbase.plan import StreamPlan
from target_demandbase.rejects import RejectsError
from target_demandbase.row_errors import UNCORRELATED, Outcome, RowReject
from target_demandbase.staging import StagedFile

PLAN = StreamPlan(
    stream="accounts", entity="accounts", operation=ImportOperation.UPSERT, match_key="domain",
    fields={"domain": "domain", "name": "name"}, schema={}, key_properties=["domain"],
    source=StreamSchema("accounts", {}, ["domain"]),
)  # fmt: skip
TIMEOUT = JobTimeoutError("It still runs.", kind="import", job_id="job-1", entity="accounts")
TOO_LARGE = FileTooLargeError(ApiOperation.UPLOAD_FILE, "found the file too large", status=413)
REQUEST_TOO_LARGE = FileTooLargeError(ApiOperation.CREATE_IMPORT, "found it too large", status=413)
COMPLETE = Outcome(2, 2)
CERTAIN = Outcome(2, 1, {0: RowReject("invalid_type", "is no number", "name")})
OPEN = Outcome(2, 1, {0: RowReject(UNCORRELATED, "is open")})


class Staged(StagedFile):
    """A file that says whether it was closed."""

    made: ClassVar[list[Staged]] = []
    is_closed = False

    @override
    def __init__(self, folder: Path | None, columns: Sequence[str]) -> None:
        super().__init__(folder, columns)
        self.made.append(self)

    @override
    def close(self) -> None:
        self.is_closed = True
        super().close()


@pytest.fixture(autouse=True)
def _close_files() -> Iterator[None]:
    yield
    while Staged.made:
        Staged.made.pop().close()


@dataclass
class Uploader:
    """Uploads nothing, and remembers what it was told."""

    poller: Poller
    errors: dict[int, DemandbaseError] = field(default_factory=dict)
    """Errors by the number of the upload, from 1."""
    gates: dict[int, threading.Event] = field(default_factory=dict)
    uploading: str | None = None
    sent: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    """Jobs whose names were checked."""

    def send(self, _request: object, file: Any) -> str:  # noqa: ANN401
        self.sent.append(file.name)
        self.contents.append(file.open().read())
        number = len(self.sent)
        if number in self.gates:
            assert self.gates[number].wait(30)
        if number in self.errors:
            raise self.errors[number]
        return f"job-{number}"

    def forget(self, file: Any) -> None:  # noqa: ANN401
        self.calls.append(f"forget {file.fingerprint}")

    def account(self, file: Any) -> None:  # noqa: ANN401
        self.calls.append(f"account {file.fingerprint}")

    def check_listed(self, job: ImportJob) -> None:
        self.named.append(job.id)

    def give_up_advice(self, file: Any) -> str:  # noqa: ANN401
        return f"Give up {file.stream}."

    def stop(self) -> None:
        self.calls.append("stop")
        for gate in self.gates.values():
            gate.set()

    def finish(self) -> None:
        self.calls.append("finish")

    def close(self) -> set[str]:
        self.calls.append("close")
        return self.poller.cancelled


@dataclass
class Poller:
    """Jobs that end when a test says so, or when they are waited for."""

    is_due: bool = True
    ended: set[str] = field(default_factory=set)
    waited: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)

    def poll_if_due(self) -> bool:
        return self.is_due

    def latest(self, job_id: str) -> ImportJob:
        has_ended = job_id in self.ended
        return ImportJob(job_id, JobStatus.COMPLETED if has_ended else JobStatus.PROCESSING)

    def wait(self, job_id: str) -> ImportJob:
        self.waited.append(job_id)
        if job_id in self.late:
            raise TIMEOUT
        return ImportJob(job_id, JobStatus.COMPLETED)

    def forget(self, job_id: str) -> None:
        self.forgotten.append(job_id)


@dataclass
class Undelivered:
    """Gets the rows that were not sent."""

    files: list[StagedFile] = field(default_factory=list)

    def add(self, _plan: object, staged: list[StagedFile]) -> None:
        self.files += staged


@dataclass
class Bench:
    """A queue with its batches."""

    uploader: Uploader
    poller: Poller
    queue: ImportQueue
    undelivered: Undelivered = field(default_factory=Undelivered)

    def put(
        self,
        number: int,
        *domains: str,
        plan: StreamPlan = PLAN,
        keys: Any = frozenset(),  # noqa: ANN401
    ) -> ImportBatch:
        batch = batch_of(number, *(domains or (f"d{number}",)), plan=plan, keys=keys)
        self.queue.put(batch)
        return batch

    def take(self, until: Until = Until.ENDED, outcome: Outcome | None = None) -> list[str]:
        """Return the jobs of the imports that have ended."""
        jobs = []
        for done in self.queue.ended(until):
            jobs.append(done.job_id)
            self.queue.remove(done, outcome or Outcome(1, 1))
        return jobs

    def close(self) -> list[StagedFile]:
        self.queue.close(cast("Any", self.undelivered))
        return self.undelivered.files


def batch_of(
    number: int,
    *domains: str,
    plan: StreamPlan = PLAN,
    keys: Any = frozenset(),  # noqa: ANN401
) -> ImportBatch:
    staged = Staged(None, ["domain", "name"])
    for domain in domains:
        staged.append(f"{domain},N\r\n".encode(), b'{"type": "RECORD"}\n')
    return ImportBatch(plan, staged, number, frozenset(keys))


def bench_of(max_jobs: int = 3) -> Bench:
    poller = Poller()
    uploader = Uploader(poller)
    queue = ImportQueue(cast("Any", uploader), cast("Any", poller), max_jobs, "https://api")
    return Bench(uploader, poller, queue)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = bench_of()
    yield bench
    for gate in bench.uploader.gates.values():
        gate.set()
    bench.queue.close()


def is_closed(batch: ImportBatch) -> bool:
    assert isinstance(batch.staged, Staged)
    return batch.staged.is_closed


class TestOrder:
    def test_imports_come_back_in_the_order_of_their_files(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        batches = [bench.put(number) for number in (1, 2, 3)]
        assert bench.queue.batches == {1, 2, 3}
        done = bench.queue.ended(Until.ENDED)
        first = next(done)
        assert first == EndedImport(
            batches[0], ImportJob("job-1", JobStatus.COMPLETED), "job-1", bench.uploader.sent[0]
        )
        assert len(bench.uploader.sent) == 3  # the others were uploaded meanwhile
        bench.queue.remove(first, Outcome(1, 1))
        assert bench.queue.batches == {2, 3}
        assert bench.take() == ["job-2", "job-3"]
        assert all(map(is_closed, batches))
        assert bench.poller.forgotten == ["job-1", "job-2", "job-3"]
        assert "Sending 1 row (22 bytes) of stream accounts to accounts as accounts-" in (
            caplog.text
        )

    def test_a_queue_is_busy_as_long_as_it_holds_files(self, bench: Bench) -> None:
        busy = [bench.queue.is_busy]
        bench.put(1)
        busy.append(bench.queue.is_busy)
        bench.take(Until.UPLOADED)
        busy.append(bench.queue.is_busy)
        bench.take()
        busy.append(bench.queue.is_busy)
        assert busy == [False, True, True, False]

    @pytest.mark.parametrize(
        ("max_jobs", "plan", "keys", "sent"),
        [
            (2, PLAN, {2}, 2),
            (1, PLAN, {2}, 1),
            (2, PLAN, {1, 2}, 1),
            (2, replace(PLAN, stream="b"), {2}, 1),
        ],
        ids=["side by side", "one at a time", "of one key", "of another stream"],
    )
    def test_a_file_waits_for_those_that_it_must_not_overtake(
        self, max_jobs: int, plan: StreamPlan, keys: set[int], sent: int
    ) -> None:
        bench = bench_of(max_jobs)
        bench.put(1, keys={1})
        bench.put(2, plan=plan, keys=keys)
        bench.queue.remove(next(bench.queue.ended(Until.ENDED)), Outcome(1, 1))
        assert len(bench.uploader.sent) == sent
        assert bench.take() == ["job-2"]

    def test_a_file_of_another_stream_waits_for_all_imports_before_it(self, bench: Bench) -> None:
        bench.put(1)
        bench.put(2)
        bench.put(3, plan=replace(PLAN, stream="b"))
        sent = []
        for done in bench.queue.ended(Until.ENDED):
            sent.append(len(bench.uploader.sent))
            bench.queue.remove(done, COMPLETE)
        assert sent == [2, 2, 3]

    def test_a_file_that_must_wait_is_not_waited_for_now(self, bench: Bench) -> None:
        bench.poller.is_due = False
        bench.put(1, keys={1})
        bench.put(2, keys={1})
        assert bench.take(Until.UPLOADING) == ["job-1"]
        assert len(bench.uploader.sent) == 2
        bench.put(3, keys={1})
        assert bench.take(Until.UPLOADED) == ["job-2"]
        bench.put(4, keys={1})
        assert bench.take(Until.NOW) == []
        assert len(bench.uploader.sent) == 3

    def test_the_same_rows_sent_again_have_a_name_of_their_own(self, bench: Bench) -> None:
        for number in (1, 2, 3):
            bench.put(number, "same")
        bench.take()
        first, second, third = bench.uploader.sent
        assert second == first.replace(".csv", "-2.csv")
        assert third == first.replace(".csv", "-3.csv")
        bench.queue.forget(3)
        fingerprints = [name.removesuffix(".csv").split("-", 1)[1] for name in (first, second)]
        assert bench.uploader.calls[:2] == [f"forget {each}" for each in fingerprints]


class TestWaiting:
    def test_now_waits_for_no_upload(self, bench: Bench) -> None:
        bench.uploader.gates[1] = threading.Event()
        bench.put(1)
        assert bench.take(Until.NOW) == []
        assert bench.take(Until.UPLOADING) == []
        assert bench.queue.batches == {1}
        bench.uploader.gates[1].set()
        bench.poller.ended = {"job-1"}
        assert bench.take(Until.UPLOADED) == []
        assert bench.queue.batches == {1}
        assert bench.take(Until.ENDED) == ["job-1"]

    def test_until_uploading_all_but_the_last_are_uploaded(self, bench: Bench) -> None:
        bench.uploader.gates[3] = threading.Event()
        for number in (1, 2, 3):
            bench.put(number)
        assert bench.take(Until.UPLOADING) == []
        assert len(bench.uploader.sent) == 3
        bench.uploader.gates[3].set()
        assert bench.take() == ["job-1", "job-2", "job-3"]

    @pytest.mark.parametrize(
        ("is_due", "ended", "expected"),
        [
            (True, {"job-1", "job-2", "job-3"}, ["job-1", "job-2", "job-3"]),
            (True, {"job-1", "job-2"}, ["job-1", "job-2"]),
            (True, {"job-1", "job-3"}, ["job-1"]),
            (True, {"job-2", "job-3"}, []),
            (False, {"job-1", "job-2"}, []),
        ],
    )
    def test_now_returns_what_has_ended_before_any_that_has_not(
        self,
        bench: Bench,
        is_due: bool,  # noqa: FBT001
        ended: set[str],
        expected: list[str],
    ) -> None:
        for number in (1, 2, 3):
            bench.put(number)
        bench.take(Until.UPLOADED)
        bench.poller.is_due, bench.poller.ended = is_due, ended
        assert bench.take(Until.NOW) == expected
        assert bench.poller.waited == expected

    def test_a_job_that_does_not_end_in_time_ends_the_run_and_is_left_running(
        self, bench: Bench
    ) -> None:
        bench.poller.late = {"job-1"}
        bench.put(1)
        with pytest.raises(
            StillRunningError, match=r"It still runs.*next run resumes.*up accounts\.$"
        ) as error:
            bench.take()
        assert error.value.stream == "accounts"
        assert bench.poller.forgotten == ["job-1"]
        assert bench.uploader.calls == []

    def test_a_job_of_an_earlier_run_that_does_not_end_in_time_does_so_too(
        self, bench: Bench
    ) -> None:
        bench.uploader.errors[1] = TIMEOUT
        bench.put(1)
        with pytest.raises(StillRunningError, match=r"^It still runs\.$") as error:
            bench.take()
        assert error.value.stream == "accounts"
        assert bench.queue.batches == {1}


class TestSizes:
    def test_a_file_that_is_too_large_is_sent_in_halves_in_order(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench.uploader.errors = {1: TOO_LARGE, 2: TOO_LARGE}
        rows = [f"{number}{'x' * 600}" for number in range(4)]
        whole = bench.put(1, *rows)
        bench.put(2, "last")
        assert bench.take() == ["job-3", "job-4", "job-5", "job-6"]
        assert is_closed(whole)
        sent = [content.splitlines()[1:] for content in bench.uploader.contents[2:]]
        assert [[line[:1] for line in lines] for lines in sent] == [
            [b"0"], [b"1"], [b"2", b"3"], [b"l"],
        ]  # fmt: skip
        assert "a file of 4 rows (2436 bytes) as too large" in caplog.text

    def test_a_row_that_is_too_large_alone_has_no_job(self, bench: Bench) -> None:
        bench.uploader.errors[1] = TOO_LARGE
        batch = bench.put(1, "x" * 2000)
        bench.put(2, "y")
        too_large = next(bench.queue.ended(Until.ENDED))
        assert too_large == EndedImport(batch, None)
        bench.queue.remove(too_large, None)  # what becomes of its row is not known yet
        assert bench.queue.batches == {1, 2}
        bench.queue.remove(too_large, Outcome(1, 0))
        assert bench.queue.batches == {2}
        assert is_closed(batch)
        assert bench.take() == ["job-2"]

    @pytest.mark.parametrize(
        ("error", "size", "match"),
        [
            (TOO_LARGE, 1024, "even a file of 1024 bytes too large.*api_url"),
            (REQUEST_TOO_LARGE, 4096, "the request itself too large.*api_url"),
        ],
    )
    def test_a_size_that_halves_cannot_mend_ends_the_run(
        self, bench: Bench, error: DemandbaseError, size: int, match: str
    ) -> None:
        bench.uploader.errors[1] = error
        batch = bench.put(1, "x" * (size - 20))
        assert batch.staged.size == size
        with pytest.raises(UnexpectedResponseError, match=match):
            bench.take()
        assert len(bench.uploader.sent) == 1

    def test_a_file_just_above_that_size_is_a_row_that_is_too_large(self, bench: Bench) -> None:
        bench.uploader.errors[1] = TOO_LARGE
        bench.put(1, "x" * 1005)
        assert bench.take() == [""]


class TestJournal:
    @pytest.mark.parametrize(
        ("operation", "outcome", "call"),
        [
            (ImportOperation.UPSERT, COMPLETE, ""),
            (ImportOperation.UPSERT, CERTAIN, "forget"),
            (ImportOperation.UPDATE, OPEN, "forget"),
            (ImportOperation.UPSERT, None, "forget"),
            (ImportOperation.INSERT, COMPLETE, "account"),
            (ImportOperation.INSERT, CERTAIN, "account"),
            (ImportOperation.INSERT, OPEN, ""),
            (ImportOperation.INSERT, None, ""),
        ],
    )
    def test_the_entry_of_an_import_depends_on_what_is_known(
        self, bench: Bench, operation: ImportOperation, outcome: Outcome | None, call: str
    ) -> None:
        bench.put(1, plan=replace(PLAN, operation=operation))
        done = next(bench.queue.ended(Until.ENDED))
        bench.queue.remove(done, outcome)
        assert [each.split()[0] for each in bench.uploader.calls] == [call] * bool(call)

    def test_the_entries_that_a_state_covers_are_forgotten_once(self, bench: Bench) -> None:
        for number in (1, 2, 3):
            bench.put(number)
        bench.take()
        assert bench.uploader.named == ["job-1", "job-2", "job-3"]
        bench.queue.forget(2)
        assert len(bench.uploader.calls) == 2
        bench.queue.forget(2)
        assert len(bench.uploader.calls) == 2
        bench.queue.forget(3)
        assert len(set(bench.uploader.calls)) == 3

    def test_a_successful_run_ends_with_that_of_the_uploader(self, bench: Bench) -> None:
        bench.queue.finish()
        bench.queue.write_mapping("accounts", "a report")
        assert bench.uploader.calls == ["finish"]


class TestFiles:
    @pytest.mark.parametrize(
        "other",
        [
            {"destination": "https://other"},
            {"entity": "people"},
            {"operation": ImportOperation.UPDATE},
            {"match_key": "name"},
            {"fields": {"domain": "domain", "name": "notes"}},
            {"activity_type": 39},
            {"content": "b"},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_what_else_is_sent_has_another_fingerprint(self, other: dict[str, Any]) -> None:
        destination = other.pop("destination", "https://api")
        content = other.pop("content", "a")
        first = batch_of(1, "a").file("https://api")
        second = batch_of(1, content, plan=replace(PLAN, **other)).file(destination)
        assert first.fingerprint != second.fingerprint
        assert len(first.fingerprint) == len(second.fingerprint) == 32

    @pytest.mark.parametrize(
        ("activity_type", "fingerprint"),
        [(None, "31d9cf6afa25224974a9eb41c228a4c4"), (39, "e1ddf6d61dce1de430662699ba1ebdfd")],
    )
    def test_a_fingerprint_stays_what_earlier_versions_wrote(
        self, activity_type: int | None, fingerprint: str
    ) -> None:
        batch = batch_of(1, "d1", plan=replace(PLAN, activity_type=activity_type))
        assert batch.file("https://api").fingerprint == fingerprint

    def test_a_file_has_a_name_and_its_stream(self) -> None:
        plan = replace(PLAN, stream=f"a b/ü_c.d-{'x' * 90}")
        file = batch_of(1, "a", "b", plan=plan).file("https://api")
        stem = f"a-b-_c.d-{'x' * 90}"[:80]
        assert file.name == f"{stem}-{file.fingerprint}.csv"
        assert (file.stream, file.rows, file.is_replay) == (plan.stream, 2, False)
        assert file.open().read().endswith(b"a,N\r\nb,N\r\n")

    def test_rejected_rows_that_come_again_are_a_replay(self) -> None:
        source = StreamSchema("a", {"properties": {"_reject_type": {}}}, [])
        assert batch_of(1, plan=replace(PLAN, source=source)).file("https://api").is_replay


class TestClose:
    def test_rows_of_a_job_that_runs_on_are_delivered_and_those_of_a_cancelled_one_are_not(
        self, bench: Bench
    ) -> None:
        batches = [bench.put(number) for number in (1, 2, 3)]
        bench.take(Until.UPLOADED)
        bench.poller.cancelled = {"job-2"}
        assert bench.close() == [batches[1].staged]
        assert all(map(is_closed, batches))
        assert not bench.queue.is_busy

    def test_rows_that_were_not_sent_are_undelivered(self, bench: Bench) -> None:
        bench.poller.late = {"job-1"}
        batches = [bench.put(number, keys={1}) for number in (1, 2, 3)]
        with pytest.raises(StillRunningError):
            bench.take()
        assert bench.close() == [batch.staged for batch in batches[1:]]
        assert all(map(is_closed, batches))

    def test_without_a_place_for_them_they_are_dropped(self, bench: Bench) -> None:
        batch = bench.put(1)
        bench.queue.close()
        assert is_closed(batch)
        assert not bench.queue.is_busy

    @pytest.mark.parametrize(
        ("uploading", "cancelled", "undelivered"),
        [(None, set(), 2), ("job-1", set(), 1), ("job-1", {"job-1"}, 2)],
        ids=["not begun", "may have arrived", "cancelled"],
    )
    def test_a_file_whose_upload_failed_is_undelivered_unless_it_may_have_arrived(
        self, bench: Bench, uploading: str | None, cancelled: set[str], undelivered: int
    ) -> None:
        bench.uploader.errors[1] = TIMEOUT
        batches = [bench.put(number) for number in (1, 2)]
        with pytest.raises(StillRunningError):
            bench.take()
        bench.uploader.uploading, bench.poller.cancelled = uploading, cancelled
        assert bench.close() == [batch.staged for batch in batches[-undelivered:]]
        assert all(map(is_closed, batches))

    def test_an_upload_that_ends_in_time_is_delivered(self, bench: Bench) -> None:
        bench.uploader.gates[1] = threading.Event()  # opened by stop()
        batches = [bench.put(number) for number in (1, 2)]
        bench.take(Until.NOW)
        assert bench.close() == [batches[1].staged]
        assert bench.uploader.calls == ["stop", "close"]

    def test_an_upload_that_fails_at_the_end_is_undelivered(self, bench: Bench) -> None:
        bench.uploader.gates[1] = threading.Event()
        bench.uploader.errors[1] = TIMEOUT
        batch = bench.put(1)
        bench.take(Until.NOW)
        assert bench.close() == [batch.staged]


class TestDryRun:
    def test_files_are_written_and_nothing_is_sent(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        folder = tmp_path / "dry"
        queue = DryRunQueue(folder)
        batches = [batch_of(number, str(number)) for number in (1, 2)]
        for batch in batches:
            queue.put(batch)
        assert queue.batches == {1, 2}
        assert not queue.is_busy
        assert list(queue.ended()) == []
        assert queue.batches == set()
        written = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert set(written) == {"0001-accounts.csv", "0002-accounts.csv"}
        assert written["0002-accounts.csv"].endswith(b'"domain","name"\n2,N\r\n')
        assert folder.stat().st_mode & 0o077 == 0
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
        assert "nothing is sent" in caplog.text
        assert all(map(is_closed, batches))

    def test_a_report_of_the_mapping_is_written(self, tmp_path: Path) -> None:
        DryRunQueue(tmp_path).write_mapping("a/b", "a report")
        assert (tmp_path / "a%2Fb-mapping.txt").read_bytes() == b"a report\n"

    def test_files_that_are_not_written_are_undelivered(self, tmp_path: Path) -> None:
        queue, undelivered = DryRunQueue(tmp_path), Undelivered()
        batch = batch_of(1)
        queue.put(batch)
        queue.forget(1)
        queue.finish()
        queue.close(cast("Any", undelivered))
        assert undelivered.files == [batch.staged]
        assert queue.batches == set()
        assert is_closed(batch)
        queue.put(batch_of(2))
        queue.close()
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(RejectsError, match="rejects_path"):
            DryRunQueue(tmp_path / "file" / "dry").write_mapping("a", "b")


@pytest.mark.parametrize(
    ("done", "total", "shown"), [(3, 5, "3 of 5 rows"), (None, 5, ""), (3, None, "")]
)
def test_the_progress_of_a_job_is_shown_if_it_is_known(
    done: int | None, total: int | None, shown: str
) -> None:
    job = ImportJob("job-1", JobStatus.PROCESSING, processed_rows=done, total_rows=total)
    assert _progress(job) == shown
