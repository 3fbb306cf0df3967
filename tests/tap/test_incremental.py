"""Incremental streams: requests, records and state."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase import streams
from tap_demandbase.errors import DateRangeError, RecordCountError
from tests.tap.conftest import both_apis
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


@both_apis
def test_a_first_run_without_a_start_exports_all_and_sets_the_bookmark(
    sandbox: Sandbox, sync: Sync
) -> None:
    visits(sandbox, "2026-01-01T10:00:00Z", "2026-01-05T10:00:00.5Z", "2026-01-05T10:00:00Z")
    output = sync("people", stream_options=KEY)
    assert ids(output) == ["0", "1", "2"]
    assert "filters" not in sandbox.requests("createExportJob")[0].body
    mark = output.state["people"]
    assert mark["replication_key"] == "seen_at"
    assert mark["replication_key_value"] == "2026-01-05T10:00:00.500000Z"
    schema = next(m for m in output.messages if m["type"] == "SCHEMA")
    assert schema["bookmark_properties"] == ["seen_at"]


@both_apis
def test_a_run_begins_at_the_bookmarks_day_less_the_look_back(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox, "2026-01-06T23:00:00Z", "2026-01-07T11:59:59Z", "2026-01-07T12:00:00Z",
           "2026-01-10T12:00:00Z", "2026-01-11T00:00:00Z")  # fmt: skip
    state = state_at("2026-01-10T12:00:00.000000Z")
    output = sync("people", stream_options=KEY, state=state, lookback_days=3)
    assert windows(sandbox) == [("2026-01-07", today(sandbox))]
    assert ids(output) == ["2", "3", "4"]
    assert output.state["people"]["replication_key_value"] == "2026-01-11T00:00:00.000000Z"


def test_look_back_and_list_can_be_set_for_one_stream(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox, "2026-01-10T12:00:00Z")
    options = {"people": {**KEY["people"], "lookback_days": 0, "account_list_id": "list-1"}}
    sync("people", stream_options=options, state=state_at("2026-01-10T12:00:00Z"),
         account_list_id="list-2")  # fmt: skip
    [request] = sandbox.requests("createExportJob")
    assert request.body["filters"] == {
        "date_range": {"field": "seen_at", "start": "2026-01-10", "end": today(sandbox)},
        "account_list_id": "list-1",
    }


def test_an_account_list_is_pushed_into_the_filters_of_full_exports(
    sandbox: Sandbox, sync: Sync
) -> None:
    records = sync("accounts", account_list_id="list-1").records("accounts")
    [request] = sandbox.requests("createExportJob")
    assert request.body["filters"] == {"account_list_id": "list-1"}
    assert len(records) == 20


@both_apis
def test_start_and_end_date_bound_the_range(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox, "2026-01-01T00:00:00Z", "2026-01-02T11:00:00Z", "2026-01-02T12:00:00Z",
           "2026-01-09T09:00:00Z")  # fmt: skip
    dates = {"start_date": "2026-01-02T12:00:00Z", "end_date": "2026-01-05"}
    output = sync("people", stream_options=KEY, **dates)
    assert windows(sandbox) == [("2026-01-02", "2026-01-05")]
    assert ids(output) == ["2"]


@both_apis
def test_an_end_without_a_start_is_a_range_that_is_open_at_its_start(
    sandbox: Sandbox, sync: Sync
) -> None:
    visits(sandbox, "2026-01-01T00:00:00Z", "2026-01-09T09:00:00Z")
    assert ids(sync("people", stream_options=KEY, end_date="2026-01-05")) == ["0"]
    assert windows(sandbox) == [(None, "2026-01-05")]


@both_apis
def test_nothing_to_ask_for_is_no_job_and_a_warning(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    visits(sandbox, "2026-01-10T12:00:00Z")
    state = state_at("2026-01-10T12:00:00Z")
    output = sync("people", stream_options=KEY, state=state, end_date="2025-12-31")
    assert not sandbox.requests("createExportJob")
    assert output.state["people"]["replication_key_value"] == "2026-01-10T12:00:00Z"
    assert "Nothing is exported of stream people" in caplog.text


@both_apis
@pytest.mark.parametrize("options", [KEY, BY_DAY])
def test_the_bookmark_never_passes_the_creation_of_the_job(
    sandbox: Sandbox, sync: Sync, options: dict[str, Any]
) -> None:
    future = (datetime.now(UTC) + timedelta(days=400)).strftime("%Y-%m-%dT00:00:00Z")
    visits(sandbox, "2026-01-01T00:00:00Z", future)
    output = sync("people", stream_options=options)
    assert ids(output) == ["0", "1"]
    [job] = sandbox.export_jobs()
    created = job.get("created_at") or job["createdAt"]
    value = output.state["people"]["replication_key_value"]
    assert value <= created
    assert value[:10] == created[:10]


@both_apis
def test_a_date_key_loses_nothing_of_its_day(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox, f"{today(sandbox)}T00:00:00Z")
    settings = {"stream_options": BY_DAY, "lookback_days": 0}
    first = sync("people", **settings)
    assert first.state["people"]["replication_key_value"] == f"{today(sandbox)}T00:00:00.000000Z"
    visits(sandbox, f"{today(sandbox)}T00:00:00Z", f"{today(sandbox)}T00:00:00Z")
    assert ids(sync("people", state={"bookmarks": first.state}, **settings)) == ["0", "1"]


@both_apis
def test_records_without_a_replication_value_are_sent_with_one_warning(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    visits(sandbox, None, "2026-01-05T10:00:00Z", None)
    output = sync("people", stream_options=KEY)
    assert ids(output) == ["0", "1", "2"]
    assert output.state["people"]["replication_key_value"] == "2026-01-05T10:00:00.000000Z"
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said == [
        "2 records of stream people have no seen_at: they were sent and do not advance the bookmark"
    ]


def test_a_wrong_record_count_leaves_the_bookmark_where_it_was(
    sandbox: Sandbox, sync: Sync
) -> None:
    visits(sandbox, "2026-01-10T12:00:00Z", "2026-01-11T00:00:00Z")
    sandbox.add_fault(
        Fault("listExportJobs", Effect.SHIFT, members={"record_count": 1}, times=None)
    )
    state = state_at("2026-01-10T00:00:00.000000Z")
    output = sync("people", stream_options=KEY, state=state, failure=RecordCountError)
    assert output.state["people"]["replication_key_value"] == "2026-01-10T00:00:00.000000Z"


@both_apis
def test_a_bookmark_of_another_key_does_not_count(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox, "2026-01-01T12:00:00Z")
    output = sync("people", stream_options=BY_DAY, state=state_at("2026-01-10T00:00:00Z"))
    assert ids(output) == ["0"]
    assert output.state["people"]["replication_key"] == "day"


@both_apis
def test_lenient_numbers_turn_whole_numbers_into_numbers(sandbox: Sandbox, sync: Sync) -> None:
    rows: list[list[str | None]] = [["1", "1e3"], ["2", "216.54"], ["3", "7.0"]]
    sandbox.add_entity("people", [("id", "string"), ("count", "integer")], rows)
    output = sync("people", stream_options={"people": {"lenient_numbers": True}})
    assert [record["count"] for record in output.records("people")] == [1000, 216.54, 7]


PIPELINES = ["messages", "records", "batches"]


def filter_by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server filter by another field than the replication key."""
    original = streams.date_range

    def date_range(*arguments: Any) -> Any:  # noqa: ANN401
        days = original(*arguments)
        return days and replace(days, field=days.field.replace("seen_at", "day"))

    monkeypatch.setattr(streams, "date_range", date_range)


def settings_of(pipeline: str, folder: Path) -> dict[str, Any]:
    match pipeline:
        case "batches":
            return {"batch_config": {"storage": {"root": str(folder)}}}
        case "records":
            return {"flattening_enabled": True, "flattening_max_depth": 1}
        case _:
            return {}


@both_apis
@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("near", [0, 2])
def test_a_filter_that_means_another_field_is_noticed(
    sandbox: Sandbox,
    sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    pipeline: str,
    near: int,
) -> None:
    """Some rows are less than a day before the requested days, as those of another time zone."""
    far = 100
    filter_by_day(monkeypatch)
    before = "2026-01-01T23:00:00Z", "2025-12-31T23:59:59Z"
    rows = [
        [str(number), before[number >= near], "2026-01-02", "x"] for number in range(near + far)
    ]
    sandbox.add_entity("people", FIELDS, rows)
    state = state_at("2026-01-02T00:00:00.000000Z")
    given = {"end_date": "2026-01-05", "lookback_days": 0, "stream_options": KEY}
    output = sync(
        "people",
        state=state,
        failure=None if near else DateRangeError,
        **given,
        **settings_of(pipeline, tmp_path / "out"),
    )
    assert ids(output) == []
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    if near:
        [warning] = warnings
        assert "100 of 102 rows have a seen_at that is more than a day outside" in warning
        assert "102 rows are not sent because they are before the first day, and 0" in warning
    else:
        assert warnings == []
        assert output.state["people"]["replication_key_value"] == "2026-01-02T00:00:00.000000Z"


@both_apis
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_rows_that_were_sent_before_are_counted_apart(
    sandbox: Sandbox,
    sync: Sync,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    pipeline: str,
) -> None:
    visits(sandbox, *["2026-01-05T05:00:00Z"] * 3, "2026-01-01T05:00:00Z")
    dates = {"start_date": "2026-01-01T12:00:00Z", "end_date": "2026-01-09", "window_days": 4}
    with caplog.at_level(logging.INFO):
        sync("people", stream_options=KEY, **dates, **settings_of(pipeline, tmp_path / "out"))
    assert "3 rows sent of 4, the others left out (1 before the first day)" in caplog.text
    assert "0 rows sent of 3, the others left out (3 sent before)" in caplog.text
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]
