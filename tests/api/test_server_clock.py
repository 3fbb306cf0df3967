from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from demandbase_api.clock import SystemClock
from demandbase_api.connect import connect
from demandbase_api.connection import Connection
from demandbase_api.http.server_clock import ServerClock
from demandbase_sandbox import Sandbox

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class LocalClock(SystemClock):
    def __init__(self) -> None:
        self.time = NOON

    def utc(self) -> datetime:
        return self.time


def test_the_clock_counts_on_from_the_last_response() -> None:
    local = LocalClock()
    clock = ServerClock(local)
    assert clock.utc() is None
    clock.observe("Mon, 01 Jun 2026 10:00:00 GMT")
    assert clock.utc() == NOON - timedelta(hours=2)
    local.time += timedelta(minutes=5)
    assert clock.utc() == NOON - timedelta(hours=2) + timedelta(minutes=5)
    clock.observe("Mon, 01 Jun 2026 10:05:01 -0000")
    assert clock.utc() == NOON - timedelta(hours=2) + timedelta(minutes=5, seconds=1)


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Mon, 99 Jun 2026 10:00:00 GMT", "Fri, 31 Dec 9999 23:59 -2300"]
)
def test_a_missing_or_odd_date_says_nothing(date: str | None) -> None:
    clock = ServerClock(LocalClock())
    clock.observe(date)
    assert clock.utc() is None


def test_each_response_of_the_api_sets_the_clock(sandbox: Sandbox) -> None:
    local = LocalClock()
    apis = connect(Connection(sandbox.url, sandbox.token), clock=local)
    assert apis.exports.server_time() is None
    list(apis.exports.jobs())
    time = apis.exports.server_time()
    assert time is not None
    assert abs(time - sandbox.clock.now()) < timedelta(seconds=10)
