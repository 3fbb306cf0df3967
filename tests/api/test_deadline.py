"""Deadlines and patience: how long a call is retried, on an injected clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from demandbase_api.connection import Connection
from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import ApiOperation, ServerError, UnreachableError
from demandbase_api.http.client import HttpClient
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.v1.exports import V1ExportApi
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.api.fake_exports import FakeClock

OPERATION = ApiOperation.LIST_EXPORTS


@dataclass
class Server:
    """Fails until it is up again; each call takes some time."""

    clock: FakeClock
    up_at: float = math.inf
    takes: float = 0.0
    retry_after: float | None = None
    calls: int = 0

    def call(self) -> str:
        self.calls += 1
        self.clock.time += self.takes
        if self.clock.time < self.up_at:
            raise ServerError(OPERATION, "had an internal error", retry_after=self.retry_after)
        return "response"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


def policy(clock: FakeClock, **options: Any) -> RetryPolicy:  # noqa: ANN401
    return RetryPolicy(clock=clock, **options)


@pytest.mark.parametrize("outage", [1, 30, 119])
def test_an_outage_of_less_than_two_minutes_is_survived(clock: FakeClock, outage: float) -> None:
    server = Server(clock, up_at=1000 + outage)
    assert policy(clock).call(server.call) == "response"
    assert server.calls < 40


def test_a_call_is_given_up_after_two_minutes(clock: FakeClock) -> None:
    server = Server(clock)
    with pytest.raises(ServerError):
        policy(clock).call(server.call)
    assert clock.time == pytest.approx(1120)


def test_a_slow_failure_is_tried_once_more(clock: FakeClock) -> None:
    server = Server(clock, takes=300)
    with pytest.raises(ServerError):
        policy(clock).call(server.call)
    assert server.calls == 2


def test_a_wait_that_the_server_asks_for_may_outlast_the_two_minutes(clock: FakeClock) -> None:
    server = Server(clock, up_at=1900, retry_after=900)
    assert policy(clock).call(server.call) == "response"
    assert clock.sleeps == [900]


def test_a_server_that_asks_for_no_wait_is_not_stormed(clock: FakeClock) -> None:
    server = Server(clock, retry_after=0)
    with pytest.raises(ServerError):
        policy(clock).call(server.call)
    assert server.calls < 40


@pytest.mark.parametrize("retry_after", [None, 1, 8, 800], ids=str)
def test_no_retry_starts_after_the_deadline(clock: FakeClock, retry_after: float | None) -> None:
    server = Server(clock, retry_after=retry_after)
    with pytest.raises(ServerError):
        policy(clock).call_until(Deadline.after(clock, 10), server.call)
    assert clock.time < 1010


def test_a_call_without_retries_is_tried_once(clock: FakeClock) -> None:
    server = Server(clock, retry_after=1)
    with pytest.raises(ServerError):
        policy(clock).call_until(NO_DEADLINE.without_retries(), server.call)
    assert (server.calls, clock.sleeps) == (1, [])


def test_the_earlier_deadline_counts(clock: FakeClock) -> None:
    deadline = Deadline.after(clock, 10)
    assert deadline.within(20).left() == 10
    assert deadline.within(5).left() == 5
    assert NO_DEADLINE.left() == math.inf
    clock.time += 11
    assert deadline.left() == 0
    assert deadline.has_passed


def test_a_request_waits_no_longer_than_its_deadline(sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("listExportJobs", Effect.DELAY, seconds=2, times=None))
    http = HttpClient(Connection(sandbox.url, sandbox.token))
    clock = RetryPolicy().clock
    deadline = Deadline.after(clock, 0.2)
    started = clock.now()
    with pytest.raises(UnreachableError, match=r"sent nothing for 0\.\d+ s"):
        list(V1ExportApi(http).jobs(deadline))
    assert clock.now() - started < 1


def test_nothing_is_sent_after_the_deadline(sandbox: Sandbox, clock: FakeClock) -> None:
    api = V1ExportApi(HttpClient(Connection(sandbox.url, sandbox.token)))
    passed = Deadline(clock, clock.now())
    for call in (api.jobs, lambda until: [api.get("x", until)]):
        with pytest.raises(UnreachableError, match="did not respond in time"):
            list(call(passed))
    assert not sandbox.requests()
