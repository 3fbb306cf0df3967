from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import (
    ApiOperation,
    ConflictError,
    JobGoneError,
    JobTimeoutError,
    NotFoundError,
    ServerError,
)
from demandbase_api.jobs.poller import JobPoller, PollPolicy
from demandbase_api.models import ExportJob, JobStatus
from demandbase_api.ports import JobSource

GONE = None


@dataclass
class FakeClock:
    time: float = 0.0
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


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
    clock = FakeClock()
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
    clock = FakeClock()
    task = ScriptedTask([JobStatus.PROCESSING] * 12 + [JobStatus.COMPLETED], clock)
    with caplog.at_level(logging.INFO):
        life(clock).run(task)
    assert max(clock.sleeps) <= 10
    assert len(caplog.records) == len(clock.sleeps) + 1
    assert "half done" in caplog.text


def test_a_job_that_never_ends_is_cancelled_and_reported() -> None:
    clock = FakeClock()
    task = ScriptedTask([JobStatus.PROCESSING], clock)
    with pytest.raises(JobTimeoutError, match="job-1 for accounts was still processing after 100"):
        life(clock, timeout_seconds=100).run(task)
    assert clock.time == 100
    assert task.cancelled == ["job-1"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), ValueError("bug")])
def test_any_end_of_the_wait_cancels_the_job(error: BaseException) -> None:
    clock = FakeClock()
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
    clock = FakeClock()
    task = ScriptedTask([JobStatus.PROCESSING], clock, cancel_error=cancel_error)
    with pytest.raises(JobTimeoutError):
        life(clock, timeout_seconds=5).run(task)


def test_a_transient_error_changes_nothing_and_lengthens_the_interval() -> None:
    clock = FakeClock()
    trouble = ServerError(ApiOperation.LIST_EXPORTS, "had trouble")
    task = ScriptedTask([JobStatus.PENDING, trouble, trouble, JobStatus.COMPLETED], clock)
    assert life(clock).run(task) is JobStatus.COMPLETED
    assert task.polls == [0, 2, 5, 9.5]


def test_a_job_that_the_server_no_longer_knows_is_gone() -> None:
    clock = FakeClock()
    task = ScriptedTask([JobStatus.PENDING, GONE], clock)
    with pytest.raises(JobGoneError, match="no longer knows the export job job-1 for accounts"):
        life(clock).run(task)
    assert task.cancelled == []


@pytest.mark.parametrize("status", JobStatus)
def test_every_status_knows_whether_it_is_terminal(status: JobStatus) -> None:
    assert status.is_terminal == (status in {"completed", "failed", "cancelled"})


def test_the_interval_is_at_least_the_pause_of_the_api() -> None:
    clock = FakeClock()
    task = ScriptedTask([JobStatus.PROCESSING] * 3 + [JobStatus.COMPLETED], clock, pause=300)
    life(clock).run(task)
    assert task.polls == [0, 300, 600, 900]
