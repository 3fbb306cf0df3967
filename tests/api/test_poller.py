from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    ConflictError,
    JobGoneError,
    JobTimeoutError,
    NotFoundError,
    ServerError,
    UnexpectedResponseError,
    UnreachableError,
)
from demandbase_api.jobs.poll_times import JobSize, PollPolicy
from demandbase_api.jobs.poller import JobPoller
from demandbase_api.models import ExportJob, JobStatus
from demandbase_api.ports import JobSource
from tests.api.fake_exports import FakeClock, FakeExports

GONE = None


@dataclass
class ScriptedTask(JobSource[ExportJob]):
    """A job with a given status at each poll."""

    states: Sequence[JobStatus | BaseException | None]
    clock: FakeClock
    cancelled: list[str] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    cancel_error: Exception | None = None
    entity: str = "accounts"
    pause: float = 0.0

    def job(self, status: JobStatus) -> ExportJob:
        return ExportJob("job-1", status, created_at=datetime(2026, 1, 1, tzinfo=UTC))

    @override
    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        raise NotFoundError(ApiOperation.GET_EXPORT, f"knows no {job_id}")

    @override
    def jobs(self, deadline: Deadline = NO_DEADLINE) -> Iterator[ExportJob]:
        self.polls.append(self.clock.time)
        state = self.states[min(len(self.polls), len(self.states)) - 1]
        if isinstance(state, BaseException):
            raise state
        yield ExportJob("job-0", JobStatus.FAILED)
        if state is not GONE:
            yield self.job(state)

    @override
    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        self.cancelled.append(job_id)
        if self.cancel_error is not None:
            raise self.cancel_error
        return True

    @override
    def poll_pause(self) -> float:
        return self.pause

    def progress(self, job: ExportJob) -> str:
        return "" if job.status is JobStatus.PENDING else "half done"


@dataclass
class Life:
    """Runs a job from its creation to its end."""

    policy: PollPolicy
    clock: FakeClock

    def run(self, task: ScriptedTask) -> JobStatus:
        poller = JobPoller(
            "export", task, self.policy, self.clock, jitter=lambda: 1.0, progress=task.progress
        )
        try:
            poller.add(task.job(JobStatus.PENDING), task.entity)
            return poller.wait("job-1").status
        finally:
            poller.close()


def life(clock: FakeClock, **policy: float) -> Life:
    return Life(PollPolicy(**policy), clock)


def test_the_first_poll_is_at_once_and_intervals_grow_to_the_longest() -> None:
    clock = FakeClock(0)
    task = ScriptedTask([JobStatus.PROCESSING] * 20 + [JobStatus.COMPLETED], clock)
    assert life(clock).run(task) is JobStatus.COMPLETED
    waits = [after - before for before, after in zip(task.polls, task.polls[1:], strict=False)]
    assert task.polls[0] == 0
    assert waits[:3] == [2, 3, 4.5]
    assert waits[-1] == 60
    assert max(waits) == 60
    assert task.cancelled == []


def test_progress_is_logged_at_least_every_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock(0)
    task = ScriptedTask([JobStatus.PROCESSING] * 12 + [JobStatus.COMPLETED], clock)
    with caplog.at_level(logging.INFO):
        life(clock).run(task)
    assert max(clock.sleeps) <= 10
    logged = [float(each) for each in re.findall(r"processing for (\d+) s", caplog.text)]
    assert logged == [10.0 * number for number in range(1, len(logged) + 1)]
    assert len(logged) == clock.time // 10 - (clock.time % 10 == 0)
    assert "half done" in caplog.text


def test_a_job_that_never_ends_is_cancelled_and_reported() -> None:
    clock = FakeClock(0)
    task = ScriptedTask([JobStatus.PROCESSING], clock)
    with pytest.raises(JobTimeoutError, match="job-1 for accounts was still processing after 100"):
        life(clock, timeout_seconds=100).run(task)
    assert clock.time == 100
    assert task.cancelled == ["job-1"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), ValueError("bug")])
def test_any_end_of_the_wait_cancels_the_job(error: BaseException) -> None:
    clock = FakeClock(0)
    task = ScriptedTask([JobStatus.PROCESSING, error], clock)
    with pytest.raises(type(error)):
        life(clock).run(task)
    assert task.cancelled == ["job-1"]


@pytest.mark.parametrize(
    "cancel_error",
    [
        ConflictError(ApiOperation.CANCEL_EXPORT, "declined"),
        ServerError(ApiOperation.CANCEL_EXPORT, "had trouble"),
    ],
)
def test_a_cancel_that_fails_does_not_hide_the_first_error(cancel_error: Exception) -> None:
    clock = FakeClock(0)
    task = ScriptedTask([JobStatus.PROCESSING], clock, cancel_error=cancel_error)
    with pytest.raises(JobTimeoutError):
        life(clock, timeout_seconds=5).run(task)


def test_a_transient_error_changes_nothing_and_lengthens_the_interval() -> None:
    clock = FakeClock(0)
    trouble = ServerError(ApiOperation.LIST_EXPORTS, "had trouble")
    task = ScriptedTask([JobStatus.PENDING, trouble, trouble, JobStatus.COMPLETED], clock)
    assert life(clock).run(task) is JobStatus.COMPLETED
    assert task.polls == [0, 2, 5, 9.5]


def test_a_job_that_the_server_no_longer_knows_is_gone() -> None:
    clock = FakeClock(0)
    task = ScriptedTask([JobStatus.PENDING, GONE], clock)
    with pytest.raises(JobGoneError, match="no longer knows the export job job-1 for accounts"):
        life(clock).run(task)
    assert task.cancelled == []


@pytest.mark.parametrize("status", JobStatus)
def test_every_status_knows_whether_it_is_terminal(status: JobStatus) -> None:
    assert status.is_terminal == (status in {"completed", "failed", "cancelled"})


def test_the_interval_is_at_least_the_pause_of_the_api() -> None:
    clock = FakeClock(0)
    task = ScriptedTask([JobStatus.PROCESSING] * 3 + [JobStatus.COMPLETED], clock, pause=300)
    life(clock).run(task)
    assert task.polls == [0, 300, 600, 900]


class Seen(NamedTuple):
    """The age of a job at its first poll, its polls, and how long it had ended at the last."""

    first: float
    polls: int
    late: float


class TestKnownTimes:
    """Jobs whose size is known, as far as earlier jobs of the run show how long they take."""

    def poller(self, api: FakeExports, jitter: float = 1.0) -> JobPoller[ExportJob]:
        policy = PollPolicy(interval_seconds=2, interval_max_seconds=60)
        return JobPoller("export", api, policy, api.clock, jitter=lambda: jitter)

    def run(self, api: FakeExports, poller: JobPoller[ExportJob], rows: int = 1000) -> Seen:
        began, polls = api.clock.time, list[float]()
        job = api.put(f"job-{began}")
        poller.add(job, "accounts")
        poller.begin(job.id, JobSize.of_import("accounts", rows))
        poller.wait(job.id, lambda: polls.append(api.clock.time - began))
        poller.forget(job.id)
        assert api.seconds is not None
        return Seen(polls[0], len(polls), polls[-1] - api.seconds)

    @pytest.mark.parametrize("jitter", [0.8, 1.0])
    @pytest.mark.parametrize(
        ("seconds", "polls", "late"),
        [(0.3, 2, 0.21), (1, 3, 0.2), (5.1, 3, 0.3), (40, 3, 1), (300, 9, 3)],
    )
    def test_jobs_that_take_equally_long_are_polled_when_they_end(
        self, seconds: float, polls: float, late: float, jitter: float
    ) -> None:
        api = FakeExports(FakeClock(0), seconds=seconds)
        poller = self.poller(api, jitter)
        first, *_ = [self.run(api, poller) for _ in range(4)]
        found = [self.run(api, poller) for _ in range(30)]
        assert sum(each.polls for each in found) <= polls * len(found)
        assert sum(each.late for each in found) <= late * len(found)
        assert first.first == 0
        assert late < first.late

    @pytest.mark.parametrize(("before", "after"), [(40, 20), (5, 1), (5, 4.5), (1, 5), (20, 40)])
    def test_jobs_may_become_faster_or_slower(self, before: float, after: float) -> None:
        api = FakeExports(FakeClock(0), seconds=before)
        poller = self.poller(api)
        for _ in range(6):
            self.run(api, poller)
        api.seconds = after
        late = [self.run(api, poller).late for _ in range(20)]
        assert late[0] <= max(before - after, 0.4 * after) + 0.1
        assert max(late[8:]) <= max(0.25, 0.05 * after)

    def test_a_job_of_another_size_is_polled_at_once(self) -> None:
        api = FakeExports(FakeClock(0), seconds=40)
        poller = self.poller(api)
        self.run(api, poller)
        assert self.run(api, poller, 499).first == 0
        assert 20 < self.run(api, poller, 990).first < 40

    @pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
    def test_a_job_that_did_not_complete_says_nothing(self, status: JobStatus) -> None:
        api = FakeExports(FakeClock(0), seconds=40)
        poller = self.poller(api)
        self.run(api, poller)
        second = self.run(api, poller)
        for number in range(6):
            job = api.put(f"bad-{number}", status=status)
            poller.add(replace(job, status=JobStatus.PROCESSING), "accounts")
            poller.begin(job.id, JobSize.of_import("accounts", 1000))
            assert poller.wait(job.id).status is status
        assert self.run(api, poller).first > 0.99 * second.first > 20

    def test_an_adopted_job_is_polled_at_once_and_says_nothing(self) -> None:
        api = FakeExports(FakeClock(0), seconds=40)
        poller = self.poller(api)
        self.run(api, poller)
        second = self.run(api, poller)
        api.clock.time += 100
        calls = len(api.calls)
        poller.add(api.put("old", age=90), "accounts", own=False)
        began = api.clock.time
        poller.wait("old")
        assert (len(api.calls) - calls, api.clock.time) == (1, began)
        assert self.run(api, poller).first > 0.99 * second.first > 20

    def test_a_job_is_polled_in_time_while_another_runs(self) -> None:
        api = FakeExports(FakeClock(0), seconds=40)
        poller = self.poller(api)
        for _ in range(6):
            self.run(api, poller)
        began = api.clock.time
        for number, later in enumerate([0, 15]):
            api.clock.time = began + later
            poller.add(api.put(f"job-{number}"), "accounts")
            poller.begin(f"job-{number}", JobSize.of_import("accounts", 1000))
        calls = len(api.calls)
        poller.wait("job-0")
        assert api.clock.time - began <= 42
        poller.wait("job-1")
        assert api.clock.time - began <= 57
        assert len(api.calls) - calls <= 8

    def test_a_job_that_began_a_while_ago_is_polled_the_sooner(self) -> None:
        api = FakeExports(FakeClock(0), seconds=40)
        poller = self.poller(api)
        for _ in range(6):
            self.run(api, poller)
        began = api.clock.time
        job = api.put("job-x", age=35)
        poller.add(job, "accounts")
        poller.begin(job.id, JobSize.of_import("accounts", 1000), began - 35)
        poller.wait(job.id)
        assert api.clock.time - began <= 7

    def test_the_pause_of_the_api_counts_for_a_job_that_is_added(self) -> None:
        api = FakeExports(FakeClock(0), seconds=40, pause=300)
        poller = self.poller(api)
        self.run(api, poller)
        asked = api.clock.time
        self.run(api, poller)
        assert api.clock.time == asked + 300


class TestManyJobs:
    """Jobs of an API in memory."""

    @pytest.fixture
    def api(self) -> FakeExports:
        return FakeExports(FakeClock())

    @pytest.fixture
    def poller(self, api: FakeExports) -> JobPoller[ExportJob]:
        policy = PollPolicy(interval_seconds=2, interval_max_seconds=60, timeout_seconds=1000)
        return JobPoller("export", api, policy, api.clock, jitter=lambda: 1.0)

    def test_a_new_job_is_polled_at_once_and_often_again(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        api.seconds = 95
        began = api.clock.time
        poller.add(api.put("job-1"), "accounts")
        poller.wait("job-1")
        assert len(api.calls) == 9  # at growing intervals
        poller.add(api.put("job-2"), "people")
        waited = api.clock.time
        poller.wait("job-2")
        assert waited - began == api.clock.time - waited
        assert len(api.calls) == 18

    def test_a_job_is_not_gone_before_it_is_a_minute_old(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1"), "accounts")
        api.unlisted = {"job-1"}
        api.unknown_until["job-1"] = api.clock.time + 59
        assert poller.wait("job-1").status is JobStatus.COMPLETED
        poller.add(api.put("job-2"), "accounts")
        api.unlisted.add("job-2")
        api.unknown_until["job-2"] = api.clock.time + 600
        began = api.clock.time
        with pytest.raises(JobGoneError):
            poller.wait("job-2")
        assert 60 <= api.clock.time - began < 120

    @pytest.mark.parametrize("runs", [True, False])
    def test_an_own_job_that_was_gone_is_looked_for_at_the_end(
        self,
        api: FakeExports,
        poller: JobPoller[ExportJob],
        caplog: pytest.LogCaptureFixture,
        runs: bool,  # noqa: FBT001
    ) -> None:
        api.seconds = None
        for number, is_own in enumerate([True, False]):
            job = api.put(f"job-{number}")
            api.unlisted.add(job.id)
            poller.add(job, "accounts", own=is_own)
            api.unknown_until[job.id] = api.clock.time + (600 if runs else 1e9)
            with pytest.raises(JobGoneError):
                poller.wait(job.id)
            poller.forget(job.id)
        api.clock.time += 600
        with caplog.at_level(logging.INFO):
            assert poller.close() == (frozenset({"job-0"}) if runs else frozenset())
        assert api.count(ApiOperation.CANCEL_EXPORT) == runs
        assert ("Cancelled the export job job-0" in caplog.text) == runs

    def test_an_error_of_one_job_is_raised_to_who_waits_for_it(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1"), "accounts")
        poller.add(api.put("job-2"), "people")
        api.unlisted = {"job-2"}
        api.fail(ApiOperation.GET_EXPORT, UnexpectedResponseError(ApiOperation.GET_EXPORT, "odd"))
        assert poller.wait("job-1").status is JobStatus.COMPLETED
        with pytest.raises(UnexpectedResponseError):
            poller.wait("job-2")

    @pytest.mark.parametrize("kind", [AuthenticationError, UnexpectedResponseError])
    @pytest.mark.parametrize(
        ("polls", "passes"),
        [("x" * 9, True), ("x" * 10, False), ("xxxxxxxx.xx", True), ("xxxxxxxx.xxx", False)],
    )
    def test_an_error_that_seems_final_may_pass_within_two_minutes(
        self,
        api: FakeExports,
        poller: JobPoller[ExportJob],
        kind: type[ApiError],
        polls: str,
        *,
        passes: bool,
    ) -> None:
        api.seconds = 250
        poller.add(api.put("job-1"), "accounts")
        api.unlisted = {"job-1"}
        operation = ApiOperation.GET_EXPORT
        error = kind(operation, "declined")
        api.failures[operation, None] = (error if poll == "x" else None for poll in polls)
        with nullcontext() if passes else pytest.raises(kind):
            assert poller.wait("job-1").status is JobStatus.COMPLETED
        assert api.count(operation) >= len(polls)

    def test_the_time_out_names_the_last_trouble(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1"), "accounts")
        for operation in (ApiOperation.LIST_EXPORTS, ApiOperation.GET_EXPORT):
            api.fail(operation, ServerError(operation, "had an internal error", retry_after=800))
        began = api.clock.time
        with pytest.raises(JobTimeoutError, match="describe an export job") as caught:
            poller.wait("job-1")
        assert "after 1000 s" in str(caught.value)
        assert api.clock.time - began == 1000  # at 0, 800 and 1000 s
        assert api.count(ApiOperation.GET_EXPORT) == 3

    def test_a_silent_server_does_not_delay_the_time_out(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1"), "accounts")
        for operation in (ApiOperation.LIST_EXPORTS, ApiOperation.GET_EXPORT):
            api.fail(operation, UnreachableError(operation, "sent nothing", nothing_sent=False))
        api.silent = {ApiOperation.LIST_EXPORTS, ApiOperation.GET_EXPORT}
        began = api.clock.time
        with pytest.raises(JobTimeoutError):
            poller.wait("job-1")
        assert 1000 <= api.clock.time - began <= 1010

    def test_a_time_out_in_the_past_allows_one_poll(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1"), "accounts")
        api.clock.time += 5000
        assert poller.wait("job-1").status is JobStatus.COMPLETED

    def test_a_poll_in_the_background_never_waits(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1", age=90), "accounts")
        gate = api.gate(ApiOperation.LIST_EXPORTS)
        assert not any(poller.poll_if_due() for _ in range(5))
        api.clock.time += 20
        assert not poller.poll_if_due()
        gate.set()
        wait_until(poller.poll_if_due)
        assert len(api.calls) == 1
        assert poller.latest("job-1").status is JobStatus.COMPLETED
        assert not poller.poll_if_due()  # no job is open

    def test_a_poll_in_the_background_waits_for_the_interval(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1"), "accounts")
        poller.poll_if_due()
        wait_until(poller.poll_if_due)
        assert not any(poller.poll_if_due() for _ in range(50))
        time.sleep(0.01)
        assert not poller.poll_if_due()
        assert len(api.calls) == 1

    def test_jobs_that_are_late_are_polled_in_the_background(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1"), "accounts")
        api.clock.time += 5000
        poller.poll_if_due()
        wait_until(poller.poll_if_due)
        assert poller.latest("job-1").status is JobStatus.COMPLETED

    def test_who_waits_takes_over_the_poll_in_the_background(
        self, api: FakeExports, poller: JobPoller[ExportJob]
    ) -> None:
        poller.add(api.put("job-1", age=200), "accounts")
        gate = api.gate(ApiOperation.LIST_EXPORTS)
        poller.poll_if_due()
        threading.Timer(0.05, gate.set).start()
        poller.wait("job-1")
        assert len(api.calls) == 1

    def test_an_error_in_the_background_is_raised_to_who_waits(
        self, api: FakeExports, poller: JobPoller[ExportJob], caplog: pytest.LogCaptureFixture
    ) -> None:
        poller.add(api.put("job-1"), "accounts")
        operation = ApiOperation.LIST_EXPORTS
        api.fail(operation, AuthenticationError(operation, "declined"))
        poller.poll_if_due()
        wait_until(poller.poll_if_due)
        assert "Cannot poll the export job job-1" in caplog.text
        with pytest.raises(AuthenticationError):
            poller.wait("job-1")

    def test_a_call_without_response_is_logged_about(
        self,
        api: FakeExports,
        poller: JobPoller[ExportJob],
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("demandbase_api.jobs.poller.PROGRESS_SECONDS", 0.02)
        poller.add(api.put("job-1", age=200), "accounts")
        gate = api.gate(ApiOperation.LIST_EXPORTS)
        threading.Timer(0.2, gate.set).start()
        with caplog.at_level(logging.INFO):
            poller.wait("job-1")
        assert caplog.text.count("job-1 for accounts: processing") >= 3

    def test_some_jobs_are_cancelled(self, api: FakeExports, poller: JobPoller[ExportJob]) -> None:
        for number, is_own in enumerate([True, True, False]):
            poller.add(api.put(f"job-{number}"), "accounts", own=is_own)
        assert poller.cancel(["job-1", "job-2"]) == {"job-1"}
        assert poller.open_jobs == 1
        assert poller.close() == {"job-0"}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a thread."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)
