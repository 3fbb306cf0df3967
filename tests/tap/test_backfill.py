"""Long ranges: cut into windows, each row once, gone on with where they were left."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest

from demandbase_api.errors import JobFailedError
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.errors import QuotaStopError
from tests.tap.conftest import Output, both_apis
from tests.tap.visits import (
    BY_DAY,
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
def test_rows_that_arrive_late_are_exported_after_an_interruption(
    sandbox: Sandbox, sync: Sync
) -> None:
    last = date.fromisoformat(today(sandbox))

    def ago(days: int) -> str:
        return (last - timedelta(days=days)).isoformat()

    on_time = [f"{ago(days)}T05:00:00Z" for days in (8, 5, 1)]
    visits(sandbox, *on_time)
    given = {"start_date": ago(8), "window_days": 2, "lookback_days": 3, "stream_options": KEY,
             "max_concurrent_jobs": 1}  # fmt: skip
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, after=3, times=None))
    first = sync("people", failure=QuotaStopError, **given)
    assert first.state["people"]["next_window"] == ago(2)
    sandbox.clear_faults()
    sandbox.clear_requests()
    visits(sandbox, *on_time, f"{ago(3)}T05:00:00Z")
    second = sync("people", state={"bookmarks": first.state}, **given)
    assert windows(sandbox) == [(ago(3), ago(0))]
    assert ids(second) == ["2", "3"]
    assert second.state["people"]["replication_key_value"] == f"{ago(1)}T05:00:00.000000Z"
    assert "exported_on" not in second.state["people"]


@both_apis
def test_a_run_that_is_stopped_after_each_window_ends(sandbox: Sandbox, sync: Sync) -> None:
    last = date.fromisoformat(today(sandbox))
    visits(sandbox, f"{last}T00:00:00Z")
    state = state_at(f"{last - timedelta(days=4)}T00:00:00Z")
    given = {"window_days": 1, "lookback_days": 3, "stream_options": KEY, "max_concurrent_jobs": 1}
    reached: list[str | None] = []
    while (mark := state["bookmarks"]["people"]).get("next_window") or not reached:
        sandbox.clear_faults()
        sandbox.clear_requests()
        sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, after=1, times=None))
        is_last = len(reached) == 6
        output = sync("people", state=state, failure=None if is_last else QuotaStopError, **given)
        state = {"bookmarks": output.state}
        mark = state["bookmarks"]["people"]
        reached.append(mark.get("next_window"))
    days = [(last - timedelta(days=6 - days)).isoformat() for days in range(6)]
    assert reached == [*days, None]
    assert windows(sandbox) == [((last - timedelta(days=3)).isoformat(), last.isoformat())]


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


def rows_of(output: Output, stream: str) -> Counter[str]:
    return Counter(json.dumps(record, sort_keys=True) for record in output.records(stream))


def tasks(first_year: int, years: int, *, share_a_day: bool) -> list[dict[str, Any]]:
    """A backfill by an orchestrator: the settings of a task for each year."""
    end = "{}-01-01" if share_a_day else "{}-12-31"
    return [
        {"start_date": f"{year}-01-01", "end_date": end.format(year + share_a_day)}
        for year in range(first_year, first_year + years)
    ]


AT_THE_ENDS = [
    f"{year}-{day}"
    for year in (2022, 2023, 2024, 2025)
    for day in (
        "01-01T00:00:00Z", "01-01T23:59:59.999999Z", "01-02T00:00:00Z", "06-15T12:00:00Z",
        "06-15T12:00:00Z", "12-30T23:59:59Z", "12-31T00:00:00Z", "12-31T23:59:59.999999Z",
    )
]  # fmt: skip


@both_apis
@pytest.mark.parametrize(
    ("key", "share_a_day"),
    [(KEY, True), *(pytest.param(key, False, marks=pytest.mark.slow) for key in (KEY, BY_DAY))],
)
def test_tasks_of_a_year_have_the_rows_of_the_whole_run(
    sandbox: Sandbox, sync: Sync, key: dict[str, Any], *, share_a_day: bool
) -> None:
    sandbox.add_entity("people", FIELDS, [
        ["same" if number % 2 else str(number), at, at[:10], "x"]
        for number, at in enumerate(AT_THE_ENDS)
    ])  # fmt: skip
    parts = tasks(2023, 2, share_a_day=share_a_day)
    given = {"stream_options": key, "window_days": 100}
    whole = sync("people", **given, start_date="2023-01-01", end_date=parts[-1]["end_date"])
    expected = rows_of(whole, "people")
    assert expected.total() == (18 if share_a_day else 16)
    union: Counter[str] = Counter()
    # Each has a state of its own: the newest year may come first, and each may be interrupted.
    for part in reversed(parts):
        sandbox.add_fault(Fault("createExportJob", Effect.JOB_FAILS, after=2, times=None))
        once = {**given, **part, "max_concurrent_jobs": 1}
        begun = sync("people", **once, failure=JobFailedError)
        sandbox.clear_faults()
        ended = sync("people", **once, state={"bookmarks": begun.state})
        assert rows_of(begun, "people")
        assert rows_of(ended, "people")
        union += rows_of(begun, "people") + rows_of(ended, "people")
    assert not expected - union
    twice = [json.loads(row)["day"] for row in (union - expected).elements()]
    assert twice == (["2024-01-01"] * 2 if share_a_day else [])


def test_tasks_that_share_a_day_lose_none_if_a_range_excludes_its_end(sync: Sync) -> None:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, to_date_inclusive=False)
    with Sandbox(options) as sandbox:
        days = [f"{year}-{day}" for year in (2023, 2024) for day in ("01-01", "07-01", "12-31")]
        rows = [{"subject": day, "activity_at": f"{day}T12:00:00Z"} for day in days]
        sandbox.put_rows("activities", rows)
        given = {
            "api": "uapi", "api_url": sandbox.uapi_url,
            "client_id": sandbox.client_id, "client_secret": sandbox.client_secret,
        }  # fmt: skip

        def found(*, share_a_day: bool) -> list[str]:
            outputs = [
                sync("activities", **given, **part, fields=["subject", "activity_at"])
                for part in tasks(2023, 2, share_a_day=share_a_day)
            ]
            return sorted(row["subject"] for each in outputs for row in each.records("activities"))

        assert found(share_a_day=True) == days
        assert found(share_a_day=False) == [day for day in days if not day.endswith("12-31")]
