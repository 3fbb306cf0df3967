"""Streams that must not be empty: the setting fail_on_empty."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from tap_demandbase.errors import EmptyStreamError, StreamsFailedError
from tests.command_process import run_command
from tests.tap.conftest import Sync, Wire, both_apis

DATES = {"people": {"replication_key": "updated_at"}}
WINDOWS = {
    "start_date": "2026-01-01", "end_date": "2026-01-30", "window_days": 10,
    "stream_options": DATES,
}  # fmt: skip


@both_apis
def test_an_empty_stream_fails_and_the_others_are_delivered(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.put_rows("accounts", [])
    output = sync(
        "accounts", "people", fail_on_empty=["accounts", "people"], failure=StreamsFailedError
    )
    assert "Stream accounts: the run sent no row of it" in str(output.error)
    assert output.records("people")
    assert not sync("accounts", "people").records("accounts")


@both_apis
@pytest.mark.parametrize("kept", ["state", "journal"])
def test_the_next_run_exports_an_empty_stream_by_a_new_job(
    sandbox: Sandbox, sync: Sync, wire: Wire, tmp_path: Path, kept: str
) -> None:
    rows = sandbox.rows("accounts")
    settings = {"fail_on_empty": ["accounts"], "job_reuse_hours": 6}
    state = None
    if kept == "state":
        state = sync("accounts", state_dir=str(tmp_path / "a"), **settings).messages[-1]["value"]
        sandbox.clock.advance(60)
    sandbox.put_rows("accounts", [])
    failed = sync(
        "accounts",
        failure=EmptyStreamError,
        state=state,
        state_dir=str(tmp_path / "a"),
        **settings,
    )
    if kept == "state":
        state = failed.messages[-1]["value"]
    folder = tmp_path / ("b" if kept == "state" else "a")
    sandbox.put_rows("accounts", rows)
    sandbox.clear_requests()
    second = sync("accounts", state=state, state_dir=str(folder), **settings)
    assert len(second.records("accounts")) == len(rows)
    assert len(sandbox.requests(wire.create)) == 1


@both_apis
def test_the_bookmark_of_an_empty_stream_does_not_move(sandbox: Sandbox, sync: Sync) -> None:
    rows = sandbox.rows("people")
    sandbox.put_rows("people", [])
    settings = {**WINDOWS, "fail_on_empty": ["people"]}
    failed = sync("people", failure=EmptyStreamError, **settings)
    assert all("replication_key_value" not in it.get("people", {}) for it in failed.states)
    late = {**rows[0], "updated_at": "2026-01-25T00:00:00Z"}
    sandbox.put_rows("people", [late])
    state: dict[str, Any] = failed.messages[-1]["value"]
    output = sync("people", state=state, **settings)
    assert len(output.records("people")) == 1
    assert output.state["people"]["replication_key_value"].startswith("2026-01-")


@both_apis
def test_the_command_fails_with_the_stream_and_warns_of_names_it_does_not_export(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    sandbox.put_rows("opportunities", [])
    file = tmp_path / "config.json"
    own = {"entities": ["opportunities"], "fail_on_empty": ["opportunities", "oportunities"]}
    more = {"state_dir": str(tmp_path), "poll_interval_seconds": 1, "stream_options": {}}
    file.write_text(json.dumps({**config, **more, **own}), encoding="utf-8")
    done = run_command("tap-demandbase", f"--config={file}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "Stream opportunities: the run sent no row of it, and the setting fail_on_empty names it. "
        "Check the data in Demandbase and the filters in the settings, or remove the stream from "
        "fail_on_empty."
    )
    assert "exports nothing: oportunities (near: opportunities)" in done.stderr


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_empty_batch_files_fail_as_well(
    sandbox: Sandbox, sync: Sync, tmp_path: Path, kind: str
) -> None:
    sandbox.put_rows("accounts", [])
    batches = {"encoding": {"format": kind}, "storage": {"root": str(tmp_path)}}
    sync(
        "accounts", fail_on_empty=["accounts"], batch_config=batches, failure=EmptyStreamError
    )  # fmt: skip


@both_apis
def test_rows_that_stream_maps_leave_out_are_not_sent(sync: Sync) -> None:
    nothing = {"accounts": {"__filter__": "False"}}
    sync(
        "accounts", fail_on_empty=["accounts"], stream_maps=nothing, failure=EmptyStreamError
    )  # fmt: skip


def test_a_stream_that_stream_maps_remove_is_warned_about(
    sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    sync("accounts", "people", fail_on_empty=["accounts"], stream_maps={"accounts": None})
    assert "exports nothing: accounts" in caplog.text
