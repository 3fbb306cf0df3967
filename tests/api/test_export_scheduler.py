"""Which jobs are created when, and what waits for what."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest

from demandbase_api.deadline import Deadline
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    BusyError,
    InvalidRequestError,
    JobGoneError,
    JobTimeoutError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedError,
    ServerError,
    StoppedError,
    UnreachableError,
)
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.jobs.export_provider import ExportPolicy, ExportTask
from demandbase_api.jobs.export_scheduler import ExportScheduler
from demandbase_api.jobs.poll_times import PollPolicy
from demandbase_api.jobs.poller import JobPoller
from demandbase_api.models import DateRange, ExportJob, ExportRequest, JobStatus
from tests.api.fake_exports import FakeClock, FakeExports

CREATE = ApiOperation.CREATE_EXPORT
LIST = ApiOperation.LIST_EXPORTS
GET = ApiOperation.GET_EXPORT
CANCEL = ApiOperation.CANCEL_EXPORT

SERVER_ERROR = ServerError(CREATE, "had an internal error", status=500)
BUSY = BusyError(CREATE, "has as many jobs running as may run at a time", status=429)


@dataclass
class Run:
    """A scheduler and the tasks that are planned, named a, b, c …"""

    api: FakeExports
    scheduler: ExportScheduler
    tasks: dict[str, ExportTask]

    def wait(self, name: str) -> ExportJob:
        return self.scheduler.wait(self.tasks[name])[0]

    def deliver(self, name: str) -> None:
        self.wait(name)
        self.scheduler.forget(self.tasks[name])

    def created(self) -> str:
        return "".join(what for operation, what in self.api.calls if operation is CREATE)

    def until(self, condition: Callable[[], bool]) -> None:
        """Poll as the thread that delivers rows does, until a thread has come so far."""
        ends = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < ends
            self.scheduler.poll()
            time.sleep(0.001)

    def rest(self) -> None:
        """Poll for a moment, in which nothing is expected to happen."""
        for _ in range(20):
            self.scheduler.poll()
            time.sleep(0.001)


Start = Callable[..., Run]


@pytest.fixture
def api() -> FakeExports:
    return FakeExports(FakeClock())


@pytest.fixture
def start(api: FakeExports) -> Iterator[Start]:
    runs: list[Run] = []

    def begin(
        names: str,
        jobs: int = 2,
        timeout: float = 1000,
        quota_wait_hours: float = 0,
        reuse_hours: float = 6,
    ) -> Run:
        retry = RetryPolicy(clock=api.clock)
        poll = PollPolicy(interval_seconds=2, interval_max_seconds=10, timeout_seconds=timeout)
        policy = ExportPolicy(jobs, reuse_hours, retry, quota_wait_hours, poll)
        poller = JobPoller("export", api, poll, api.clock, jitter=lambda: 1.0)
        scheduler = ExportScheduler(api, poller, policy, api.clock)
        tasks = {name: ExportTask(ExportRequest(name, ("id",))) for name in names}
        scheduler.plan(tasks.values())
        runs.append(Run(api, scheduler, tasks))
        return runs[-1]

    yield begin
    for gate in api.gates.values():
        gate.set()
    for run in runs:
        run.scheduler.close()


def test_jobs_are_created_in_order_and_not_too_far_ahead(start: Start) -> None:
    run = start("abcdef")
    run.wait("a")
    run.until(lambda: run.created() == "abc")
    run.scheduler.forget(run.tasks["a"])
    run.until(lambda: run.created() == "abcd")
    run.api.clock.time += 200  # they have ended, but none of them has been read
    run.rest()
    assert run.created() == "abcd"
    for name in "bcdef":
        run.deliver(name)
    assert run.created() == "abcdef"


@pytest.mark.parametrize("is_reused", [False, True])
def test_a_job_was_created_when_the_server_says(
    start: Start, api: FakeExports, monkeypatch: pytest.MonkeyPatch, *, is_reused: bool
) -> None:
    # The bookmark must not pass this time, and the clock of this machine may be ahead.
    monkeypatch.setattr(api, "server_time", lambda: None)
    members = {"entity": "a", "fields": ("id",)}
    if is_reused:
        api.put("job-0", age=50, **members)
    else:
        monkeypatch.setattr(api, "submit", lambda *_: api.put("job-1", age=7200, **members))
    run = start("a")
    job, created_at = run.scheduler.wait(run.tasks["a"])
    assert job.id == ("job-0" if is_reused else "job-1")
    assert created_at == job.created_at


def test_a_job_without_a_creation_time_counts_as_created_when_the_server_was_asked(
    start: Start, api: FakeExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    skew, asked_at = timedelta(hours=2), api.clock.utc()
    submit = api.submit

    def slow_submit(*given: Any) -> ExportJob:  # noqa: ANN401
        api.clock.sleep(30)  # rows that arrive meanwhile may not be in the file
        return replace(submit(*given), created_at=None)

    monkeypatch.setattr(api, "server_time", lambda: api.clock.utc() - skew)
    monkeypatch.setattr(api, "submit", slow_submit)
    run = start("a")
    assert run.scheduler.wait(run.tasks["a"])[1] == asked_at - skew


def test_a_window_is_polled_when_the_one_before_took_as_long(
    start: Start, api: FakeExports
) -> None:
    api.put("old", age=98, entity="a", fields=("id",))
    run = start("a", jobs=1)
    run.deliver("a")  # adopted: nothing says how long it took
    seconds = []
    for month in range(1, 5):
        dates = DateRange("updated", date(2026, month, 1), date(2026, month, 28))
        task = ExportTask(ExportRequest("a", ("id",), dates))
        began = api.clock.time
        run.scheduler.plan([task])
        run.scheduler.wait(task)
        run.scheduler.forget(task)
        seconds.append(api.clock.time - began)
    assert seconds[0] > 105
    assert all(100 <= each < 102 for each in seconds[1:])


LOST = [
    SERVER_ERROR,
    ServerError(CREATE, "had an internal error", retry_after=800),
    UnreachableError(CREATE, "broke the connection", nothing_sent=False),
]


class TestAhead:
    """Trouble with a job that is not due."""

    @pytest.mark.parametrize(
        "error",
        [
            *LOST,
            QuotaExceededError(CREATE, "said that the quota is used up"),
            AuthenticationError(CREATE, "did not accept the access token"),
        ],
    )
    def test_what_fails_for_now_is_tried_once_and_again_in_its_turn(
        self, start: Start, api: FakeExports, error: ApiError
    ) -> None:
        run = start("abcd")
        api.fail(CREATE, error, what="c")
        run.deliver("a")
        run.until(lambda: run.created() == "abc")
        api.clock.time += 3600
        run.rest()
        began = api.clock.time
        run.deliver("b")
        assert api.clock.time == began
        run.rest()
        assert run.created() == "abc"
        api.failures.clear()
        run.deliver("c")
        run.deliver("d")
        assert run.created() == "abccd"

    @pytest.mark.parametrize(
        ("error", "seconds"),
        [
            (BUSY, 300),
            (RateLimitedError(CREATE, "asked for fewer calls"), 300),
            (RateLimitedError(CREATE, "asked for fewer calls", retry_after=10), 300),
            (RateLimitedError(CREATE, "asked for fewer calls", retry_after=800), 800),
        ],
    )
    def test_what_is_rejected_for_now_is_tried_again_after_a_pause(
        self, start: Start, api: FakeExports, error: ApiError, seconds: float
    ) -> None:
        run = start("abc")
        api.fail(CREATE, error, what="c")
        run.deliver("a")
        run.until(lambda: run.created() == "abc")
        api.clock.time += seconds - 1
        run.rest()
        assert run.created() == "abc"
        api.failures.clear()
        api.clock.time += 1
        run.until(lambda: run.created() == "abcc")

    def test_a_task_that_cannot_be_created_keeps_no_other_from_it(
        self, start: Start, api: FakeExports
    ) -> None:
        run = start("abcd")
        api.fail(CREATE, PermissionDeniedError(CREATE, "denied permission"), what="b")
        api.fail(CREATE, InvalidRequestError(CREATE, "did not accept the request"), what="c")
        run.deliver("a")
        run.until(lambda: run.created() == "abcd")
        with pytest.raises(PermissionDeniedError):
            run.wait("b")
        run.scheduler.give_up([run.tasks["b"]])
        with pytest.raises(InvalidRequestError):
            run.wait("c")
        run.scheduler.give_up([run.tasks["c"]])
        run.deliver("d")
        assert run.created() == "abcd"

    def test_silence_delays_nothing_that_is_ready(self, start: Start, api: FakeExports) -> None:
        run = start("abc")
        gate = api.gate(CREATE, "c")
        run.deliver("a")
        run.until(lambda: run.created() == "abc")
        run.deliver("b")  # it is polled meanwhile
        gate.set()
        run.deliver("c")
        assert run.created() == "abc"

    def test_a_silent_list_delays_no_rows(self, start: Start, api: FakeExports) -> None:
        run = start("abc")
        run.deliver("a")
        run.until(lambda: run.created() == "abc")
        gate = api.gate(LIST)
        api.clock.time += 200
        began = time.monotonic()
        for _ in range(100):
            run.scheduler.poll()
        assert time.monotonic() - began < 5
        gate.set()
        run.deliver("b")

    def test_the_last_try_of_all_is_waited_for_in_its_turn(
        self, start: Start, api: FakeExports
    ) -> None:
        run = start("ab")
        gate = api.gate(CREATE, "b")
        run.deliver("a")
        run.until(lambda: run.created() == "ab")
        threading.Timer(0.05, gate.set).start()
        run.deliver("b")
        assert run.created() == "ab"

    def test_the_time_out_ends_the_wait_for_it(self, start: Start, api: FakeExports) -> None:
        run = start("ab", timeout=0.05)
        api.seconds = 0.0
        gate = api.gate(CREATE, "b")
        run.deliver("a")
        run.until(lambda: run.created() == "ab")
        clock = threading.Timer(0.1, setattr, (api.clock, "time", api.clock.time + 1))
        clock.start()
        with pytest.raises(UnreachableError, match="sent nothing for"):
            run.wait("b")
        clock.join()
        gate.set()

    def test_the_job_of_a_stream_that_failed_meanwhile_is_cancelled(
        self, start: Start, api: FakeExports
    ) -> None:
        run = start("abc")
        gate = api.gate(CREATE, "c")
        run.deliver("a")
        run.until(lambda: run.created() == "abc")
        run.scheduler.give_up([run.tasks["c"]])
        gate.set()
        run.until(lambda: api.count(CANCEL) == 1)


class TestTurn:
    """The job whose turn it is."""

    @pytest.mark.parametrize("error", LOST)
    def test_trouble_is_waited_out(self, start: Start, api: FakeExports, error: ApiError) -> None:
        run = start("a")
        api.fail(CREATE, error, times=1)
        run.wait("a")
        assert run.created() == "aa"

    def test_all_of_it_ends_with_the_time_out(self, start: Start, api: FakeExports) -> None:
        for operation in (CREATE, LIST, GET):
            api.fail(operation, ServerError(operation, "had an internal error", retry_after=800))
        run = start("a", timeout=60)
        began = api.clock.time
        with pytest.raises(ServerError):
            run.wait("a")
        assert api.clock.time - began <= 60

    @pytest.mark.parametrize("silent", [{LIST}, {LIST, GET}, {CREATE}, {LIST, GET, CREATE}])
    def test_silence_ends_with_the_time_out(
        self, start: Start, api: FakeExports, silent: set[ApiOperation]
    ) -> None:
        api.silent, api.seconds = silent, None
        for operation in silent:
            api.fail(operation, UnreachableError(operation, "sent nothing", nothing_sent=False))
        run = start("a", timeout=60)
        began = api.clock.time
        with pytest.raises((JobTimeoutError, UnreachableError)):
            run.wait("a")
        assert 55 <= api.clock.time - began <= 70

    def test_the_time_before_the_creation_counts(self, start: Start, api: FakeExports) -> None:
        api.seconds = None
        api.silent = {LIST}
        api.fail(LIST, UnreachableError(LIST, "sent nothing", nothing_sent=False), times=1)
        run = start("a", timeout=60)
        began = api.clock.time
        with pytest.raises(JobTimeoutError):
            run.wait("a")
        assert 60 <= api.clock.time - began <= 70

    @pytest.mark.parametrize(
        "error",
        [
            ServerError(LIST, "had an internal error", status=500),
            PermissionDeniedError(LIST, "denied permission"),
        ],
    )
    def test_without_a_list_jobs_are_created_and_delivered(
        self,
        start: Start,
        api: FakeExports,
        error: ApiError,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        api.put("earlier", entity="b", fields=("id",))
        api.fail(LIST, error)
        run = start("abc", timeout=400)
        for name in "abc":
            run.deliver(name)
        assert run.created() == "abc"
        assert caplog.text.count("No job of an earlier run can be reused") == 1

    def test_another_jobs_time_out_is_raised_in_its_turn(
        self, start: Start, api: FakeExports
    ) -> None:
        run = start("ab", jobs=1)
        api.seconds = None
        run.scheduler.plan([late := ExportTask(ExportRequest("z", ("id",)))])
        api.fail(CREATE, SERVER_ERROR, "a", times=1)
        with pytest.raises(JobTimeoutError, match="for a was still"):
            run.wait("a")
        run.scheduler.give_up([run.tasks["a"]])
        assert api.count(CANCEL) == 1
        api.seconds = 100
        run.deliver("b")
        run.scheduler.wait(late)

    def test_room_is_waited_for(self, start: Start, api: FakeExports) -> None:
        run = start("ab", jobs=1)
        run.deliver("a")
        run.until(lambda: run.created() == "ab")
        unplanned = ExportTask(ExportRequest("z", ("id",)))
        began = api.clock.time
        run.scheduler.wait(unplanned)
        assert run.created() == "abz"
        assert api.clock.time - began >= 200

    def test_a_slot_that_an_own_job_takes_is_not_waited_for(
        self, start: Start, api: FakeExports
    ) -> None:
        api.can_cancel, api.seconds = False, None
        run = start("ab", jobs=1)
        with pytest.raises(JobTimeoutError):
            run.wait("a")
        run.scheduler.give_up([run.tasks["a"]])
        api.fail(CREATE, BUSY)
        began = api.clock.time
        with pytest.raises(BusyError, match="runs the export job job-1, which did not end"):
            run.wait("b")
        assert api.clock.time == began

    def test_the_slot_of_another_client_is_waited_for(self, start: Start, api: FakeExports) -> None:
        run = start("a")
        api.put("other")
        api.fail(CREATE, BUSY, times=1)
        began = api.clock.time
        run.wait("a")
        assert run.created() == "aa"
        assert 200 <= api.clock.time - began <= 230

    def test_the_slot_of_a_job_that_may_have_ended_is_tried(
        self, start: Start, api: FakeExports
    ) -> None:
        run = start("a")
        api.put("other", status=JobStatus.UNKNOWN)
        api.fail(CREATE, BUSY, times=1)
        began = api.clock.time
        run.wait("a")
        assert run.created() == "aa"
        assert api.clock.time - began < 150

    def test_a_slot_is_tried_again_though_the_list_fails(
        self, start: Start, api: FakeExports
    ) -> None:
        run = start("a", timeout=3600)
        api.fail(LIST, ServerError(LIST, "had an internal error"))
        api.fail(CREATE, BUSY, times=3)
        run.wait("a")
        assert run.created() == "aaaa"

    def test_the_wait_for_a_slot_ends_with_the_time_out(
        self, start: Start, api: FakeExports
    ) -> None:
        run = start("a", timeout=60)
        api.put("other", age=-3600)
        api.fail(CREATE, BUSY)
        began = api.clock.time
        with pytest.raises(BusyError):
            run.wait("a")
        assert 60 <= api.clock.time - began <= 70

    @pytest.mark.parametrize(("retry_after", "tries"), [(1.0, 8), (None, 8), (1800.0, 3)])
    def test_a_quota_is_tried_again_after_a_minute_at_least(
        self, start: Start, api: FakeExports, retry_after: float | None, tries: int
    ) -> None:
        error = QuotaExceededError(CREATE, "is used up", retry_after=retry_after)
        api.fail(CREATE, error)
        run = start("a", quota_wait_hours=1, timeout=60)
        began = api.clock.time
        with pytest.raises(QuotaExceededError):
            run.wait("a")
        assert api.clock.time - began == 3600
        assert len(run.created()) == tries

    def test_the_wait_for_a_quota_is_not_that_for_the_job(
        self, start: Start, api: FakeExports
    ) -> None:
        api.fail(CREATE, QuotaExceededError(CREATE, "is used up"), times=5)
        run = start("a", quota_wait_hours=24, timeout=150)
        run.wait("a")

    def test_a_creation_without_response_is_logged_about(
        self,
        start: Start,
        api: FakeExports,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("demandbase_api.jobs.export_scheduler.PROGRESS_SECONDS", 0.02)
        gate = api.gate(CREATE)
        threading.Timer(0.2, gate.set).start()
        with caplog.at_level(logging.INFO):
            start("a").wait("a")
        assert caplog.text.count("Creating an export job") >= 3

    def test_a_creation_ahead_has_half_of_the_time_of_a_job(
        self, start: Start, api: FakeExports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left: dict[str, float] = {}

        def submit(request: ExportRequest, deadline: Deadline) -> ExportJob:
            left[request.entity] = deadline.left()
            return FakeExports.submit(api, request, deadline)

        monkeypatch.setattr(api, "submit", submit)
        run = start("ab", timeout=1000)
        run.wait("a")
        run.until(lambda: "b" in left)
        assert left == {"a": 1000, "b": 500}

    def test_a_job_does_not_wait_for_the_creation_of_a_later_one(
        self, start: Start, api: FakeExports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("demandbase_api.jobs.export_scheduler.PROGRESS_SECONDS", 0.02)
        run = start("abc", jobs=3)
        gates = api.gate(CREATE, "b"), api.gate(CREATE, "c")
        run.wait("a")
        run.until(lambda: run.created() == "ab")
        threading.Timer(0.1, gates[0].set).start()
        assert run.wait("b").id == "job-2"
        assert not gates[1].is_set()
        assert run.created() == "abc"


class TestUnknown:
    """Jobs that the server does not show."""

    def test_the_details_of_a_young_job_are_asked_for_again(
        self, start: Start, api: FakeExports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.seconds = 0.0
        run = start("a")
        monkeypatch.setattr(api, "with_details", lambda job, deadline: api.get(job.id, deadline))
        api.unknown_until["job-1"] = api.clock.time + 59
        assert run.wait("a").status is JobStatus.COMPLETED
        assert run.created() == "a"

    def test_a_job_that_is_gone_is_replaced_and_looked_for_at_the_end(
        self, start: Start, api: FakeExports, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = start("a")
        api.seconds = 300
        api.unlisted = {"job-1"}
        api.unknown_until["job-1"] = api.clock.time + 100
        assert run.wait("a").id == "job-2"
        api.found["job-1"] = replace(api.found["job-1"], created_at=api.clock.utc())
        with caplog.at_level(logging.INFO):
            run.scheduler.close()
        assert "Cancelled the export job job-1 for a" in caplog.text

    def test_a_job_is_not_replaced_twice(self, start: Start, api: FakeExports) -> None:
        run = start("a")
        api.unlisted = {"job-1", "job-2"}
        api.unknown_until = dict.fromkeys(api.unlisted, api.clock.time + 1e6)
        with pytest.raises(JobGoneError):
            run.wait("a")
        assert run.created() == "aa"

    def test_a_lost_job_may_appear_in_the_list_with_a_delay(
        self, start: Start, api: FakeExports
    ) -> None:
        run = start("a")
        api.lost_responses = 1
        api.listed_after = 8.0
        assert run.wait("a").id == "job-1"
        assert run.created() == "a"


class TestEnd:
    def test_the_jobs_of_the_run_are_cancelled(self, start: Start, api: FakeExports) -> None:
        run = start("abc")
        run.wait("a")
        run.until(lambda: run.created() == "abc")
        run.scheduler.close()
        assert {job.status for job in api.found.values()} == {
            JobStatus.PROCESSING,  # it had ended
            JobStatus.CANCELLED,
        }

    def test_a_creation_under_way_is_waited_for(self, start: Start, api: FakeExports) -> None:
        run = start("ab")
        gate = api.gate(CREATE, "b")
        run.wait("a")
        run.until(lambda: run.created() == "ab")
        threading.Timer(0.3, gate.set).start()
        run.scheduler.close()
        assert api.found["job-2"].status is JobStatus.CANCELLED

    def test_a_response_that_comes_during_the_look_up_counts(
        self,
        start: Start,
        api: FakeExports,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr("demandbase_api.jobs.export_scheduler._CREATION_SECONDS", 0.01)
        run = start("ab")
        creation = api.gate(CREATE, "b")
        run.wait("a")
        run.until(lambda: run.created() == "ab")
        threading.Timer(0.4, creation.set).start()
        threading.Timer(0.6, api.gate(LIST).set).start()
        run.scheduler.close()
        assert api.found["job-2"].status is JobStatus.CANCELLED
        assert "may have been created" not in caplog.text

    @pytest.mark.parametrize(
        ("seconds", "is_readable", "is_named"),
        [(20, True, True), (20, False, True), (100, True, False), (100, False, True)],
    )
    def test_a_job_that_may_exist_in_addition_is_named(
        self,
        start: Start,
        api: FakeExports,
        caplog: pytest.LogCaptureFixture,
        *,
        seconds: float,
        is_readable: bool,
        is_named: bool,
    ) -> None:
        run = start("a")
        api.lost_responses = 1
        api.unlisted = {"job-1"}
        api.seconds = seconds
        assert run.wait("a").id == "job-2"
        if not is_readable:
            api.fail(LIST, SERVER_ERROR)
        run.scheduler.close()
        words = "job for a may have been created in addition to the run's and may still run"
        assert (words in caplog.text) == is_named

    def test_no_job_is_created_after_the_end(self, start: Start) -> None:
        run = start("a")
        run.scheduler.close()
        with pytest.raises(StoppedError):
            run.wait("a")
        assert run.created() == ""
