"""Long ranges: cut into windows, each row once, gone on with where they were left."""

from __future__ import annotations

import pytest

from demandbase_api.errors import JobFailedError
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.tap.conftest import both_apis
from tests.tap.visits import (
    FIELDS,
    KEY,
    Sync,
    ids,
    state_at,
    today,
    visits,
    windows,
)

pytestmark = pytest.mark.thorough


@both_apis
def test_windows_cut_the_range_and_send_each_row_once(sandbox: Sandbox, sync: Sync) -> None:
    timestamps = [f"2026-01-{day:02}T{hour:02}:00:00Z" for day in range(1, 11) for hour in (0, 13)]
    visits(sandbox, *timestamps)
    dates = {"start_date": "2026-01-01", "end_date": "2026-01-10", "window_days": 4}
    output = sync("people", stream_options=KEY, **dates)
    assert windows(sandbox) == [
        ("2026-01-01", "2026-01-05"), ("2026-01-05", "2026-01-09"), ("2026-01-09", "2026-01-10"),
    ]  # fmt: skip
    assert ids(output) == [str(number) for number in range(20)]
    values = [
        (mark["people"]["replication_key_value"], mark["people"].get("next_window"))
        for mark in output.states
        if mark.get("people", {}).get("replication_key_value")
    ]
    assert list(dict.fromkeys(values)) == [
        ("2026-01-05T00:00:00.000000Z", "2026-01-05"),
        ("2026-01-09T00:00:00.000000Z", "2026-01-09"),
        ("2026-01-10T13:00:00.000000Z", None),
    ]


@both_apis
def test_equal_rows_are_all_sent(sandbox: Sandbox, sync: Sync) -> None:
    rows = [["same", "2026-01-05T01:00:00Z", "2026-01-05", "x"]] * 3
    sandbox.add_entity("people", FIELDS, rows)
    dates = {"start_date": "2026-01-01", "end_date": "2026-01-09", "window_days": 4}
    assert len(ids(sync("people", stream_options=KEY, **dates))) == 3


@both_apis
def test_an_interrupted_backfill_goes_on_at_its_window(sandbox: Sandbox, sync: Sync) -> None:
    timestamps = [f"2026-01-{day:02}T05:00:00Z" for day in range(1, 13)]
    visits(sandbox, *timestamps)
    dates = {"start_date": "2026-01-01", "end_date": "2026-01-12", "window_days": 4}
    once = {"max_concurrent_jobs": 1, "stream_options": KEY, **dates}
    sandbox.add_fault(Fault("createExportJob", Effect.JOB_FAILS, after=1, times=None))
    first = sync("people", failure=JobFailedError, **once)
    assert first.state["people"]["next_window"] == "2026-01-05"
    sandbox.clear_faults()
    sandbox.clear_requests()
    second = sync("people", state={"bookmarks": first.state}, **once)
    assert windows(sandbox) == [("2026-01-05", "2026-01-09"), ("2026-01-09", "2026-01-12")]
    assert {*ids(first), *ids(second)} == {str(number) for number in range(12)}
    assert second.state["people"]["replication_key_value"] == "2026-01-12T05:00:00.000000Z"
    assert second.state["people"]["next_window"] is None


@both_apis
def test_a_window_of_a_state_that_was_merged_does_not_count(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox, "2026-01-10T12:00:00Z")
    state = state_at("2026-01-10T12:00:00Z", next_window="2025-03-01")
    sync("people", stream_options=KEY, state=state, lookback_days=1)
    assert windows(sandbox) == [("2026-01-09", today(sandbox))]


@both_apis
def test_empty_windows_move_the_bookmark(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox)
    dates = {"start_date": "2026-01-01", "end_date": "2026-01-10", "window_days": 4}
    output = sync("people", stream_options=KEY, **dates)
    assert ids(output) == []
    values = [mark["people"].get("replication_key_value") for mark in output.states]
    assert list(dict.fromkeys(values)) == [
        "2026-01-05T00:00:00.000000Z", "2026-01-09T00:00:00.000000Z",
        "2026-01-10T00:00:00.000000Z",
    ]  # fmt: skip
