"""A day of runs stays inside what the API allows a day.

Hourly runs over all streams are more than that: those that do not fit end before they create a job.
All runs of the schedules in docs/uapi.md deliver their streams, and so do as many runs over the
same streams as 60 jobs allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from demandbase_sandbox import Sandbox, SandboxOptions
from tap_demandbase.errors import QuotaStopError
from tests.tap.conftest import UAPI_OPTIONS

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]

LIMITS = {
    "createExportJob": 60,
    "checkExportJobStatus": 300,
    "fetchExportJobsInfo": 1200,
    "fetchFields": 60,
}
OF_LISTS = ("fetchAccountListJob", "fetchPersonListJob")
STREAMS = (
    "accounts", "people", "opportunities", "activities", "campaigns", "creatives",
    "buying_groups", "buying_group_members", "account_list_members", "person_list_members",
)  # fmt: skip
OPTIONS = {
    **UAPI_OPTIONS,
    "account_list_members": {"account_list_ids": [1]},
    "person_list_members": {"person_list_ids": [1]},
}


@pytest.fixture
def api() -> str:
    return "uapi"


@pytest.fixture(params=[(30, 90), (60, 1140)], ids=["2 minutes a job", "20 minutes a job"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    pending, processing = request.param
    options = SandboxOptions(pending_seconds=pending, processing_seconds=processing)
    with Sandbox(options) as sandbox:
        yield sandbox


def skip_to(sandbox: Sandbox, timestamp: datetime) -> None:
    sandbox.clock.advance(max(0.0, (timestamp - sandbox.clock.now()).total_seconds()))


@pytest.mark.slow
def test_24_runs_over_all_streams_stay_inside_every_limit(
    sandbox: Sandbox, sync: Sync, capsys: pytest.CaptureFixture[str]
) -> None:
    tomorrow = sandbox.clock.now().date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, time(), UTC)
    start = (tomorrow - timedelta(days=60)).isoformat()
    state = None
    ends: Counter[str] = Counter()
    for hour in range(24):
        # A run that takes longer than an hour has the next one begin when it has ended.
        skip_to(sandbox, midnight + timedelta(hours=hour))
        settings = {"state": state, "start_date": start, "stream_options": OPTIONS}
        created = len(sandbox.export_jobs())
        try:
            output = sync(*STREAMS, job_reuse_hours=6, **settings)
        except QuotaStopError:
            # Nothing has been spent on what cannot be had.
            assert len(sandbox.export_jobs()) == created
            ends["75"] += 1
        else:
            ends["0"] += 1
            state = {"bookmarks": output.state}
    with capsys.disabled():
        check_calls(sandbox)
        print(f"{ends['0']} runs delivered all streams, {ends['75']} ended with 75")  # noqa: T201
    assert ends["0"] >= 5
    assert ends["0"] + ends["75"] == 24


FOUR = ("accounts", "people", "opportunities", "activities")
EVERY_TWO_HOURS = [(120 * number, FOUR) for number in range(12)]
OFTEN_AND_SELDOM = sorted(
    [(60 * number, FOUR[3:]) for number in range(24)]
    + [(30 + 180 * number, FOUR[:3]) for number in range(8)]
)
AS_MANY_AS_FIT = [(96 * number, FOUR) for number in range(15)]
"""What ``demandbase plan`` says of these streams: 15 runs a day, one every 96 minutes."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "schedule",
    [EVERY_TWO_HOURS, OFTEN_AND_SELDOM, AS_MANY_AS_FIT],
    ids=["every two hours", "activities hourly, others every three hours", "as many as fit"],
)
def test_all_runs_over_four_streams_deliver_them(
    sandbox: Sandbox,
    sync: Sync,
    capsys: pytest.CaptureFixture[str],
    schedule: list[tuple[int, tuple[str, ...]]],
) -> None:
    tomorrow = sandbox.clock.now().date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, time(), UTC)
    days = [tomorrow - timedelta(days=back) for back in range(3)]
    rows = [[f"{day}", f"{day}T12:00:00Z"] for day in days]
    sandbox.add_entity("activities", [("subject", "string"), ("activity_at", "datetime")], rows)
    expected = {name: len(sandbox.rows(name)) for name in FOUR}
    states: dict[tuple[str, ...], dict[str, Any]] = {}
    latest = 0.0
    for minute, streams in schedule:
        began = midnight + timedelta(minutes=minute)
        # A run waits for the one before it: the tenant has one job at a time.
        skip_to(sandbox, began)
        latest = max(latest, (sandbox.clock.now() - began).total_seconds())
        output = sync(*streams, job_reuse_hours=6, state=states.get(streams))
        states[streams] = {"bookmarks": output.state}
        assert {name: len(output.records(name)) for name in streams} == {
            name: expected[name] for name in streams
        }
    with capsys.disabled():
        check_calls(sandbox)
        print(f"{len(schedule)} runs, begun at most {latest / 60:.0f} minutes late")  # noqa: T201
    assert latest < 3600


def check_calls(sandbox: Sandbox) -> None:
    """Print the calls of each day against the limits, and check them."""
    print()  # noqa: T201 - a table for who reads the test's output
    for day, calls in sandbox.calls_by_day().items():
        spent = {name: calls.get(name, 0) for name in LIMITS}
        spent["createExportJob"] += sum(calls.get(name, 0) for name in OF_LISTS)
        for name, limit in LIMITS.items():
            print(f"{day}  {name:<22}{spent[name]:>6,} of {limit:>6,}")  # noqa: T201
            assert spent[name] <= limit
    assert not [request for request in sandbox.requests() if request.status == 429]
