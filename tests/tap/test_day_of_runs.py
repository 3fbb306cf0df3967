"""A day of hourly runs over all streams stays inside what the API allows a day."""

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
        print()  # noqa: T201 - a table for who reads the test's output
        for day, calls in sandbox.calls_by_day().items():
            spent = {name: calls.get(name, 0) for name in LIMITS}
            spent["createExportJob"] += sum(calls.get(name, 0) for name in OF_LISTS)
            for name, limit in LIMITS.items():
                print(f"{day}  {name:<22}{spent[name]:>6,} of {limit:>6,}")  # noqa: T201
                assert spent[name] <= limit
        print(f"{ends['0']} runs delivered all streams, {ends['75']} ended with 75")  # noqa: T201
    assert ends["0"] >= 5
    assert ends["0"] + ends["75"] == 24
    assert not [request for request in sandbox.requests() if request.status == 429]
