"""The summary at the end of a run, and the report that is kept."""

from __future__ import annotations

import errno
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import DemandbaseError
from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.errors import QuotaStopError
from tests.tap.conftest import QuickTap, Sync, Wire, both_apis

FILE = "signedFile"


@pytest.fixture
def state_dir(config: dict[str, Any], tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    config["state_dir"] = str(folder)
    return folder


def reports(state_dir: Path) -> list[dict[str, Any]]:
    paths = (state_dir / "tap-demandbase-reports").glob("report-*.json")
    in_order = sorted(paths, key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) for path in in_order]


@both_apis
def test_a_run_ends_with_what_each_stream_delivered(
    sandbox: Sandbox, sync: Sync, state_dir: Path, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        sync("accounts", "export_jobs")
    [report] = reports(state_dir)
    accounts, jobs = report["streams"]["accounts"], report["streams"]["export_jobs"]
    [job] = accounts["jobs"]
    assert accounts["outcome"] == jobs["outcome"] == "complete"
    assert accounts["rows_sent"] == job["rows_read"] == 200
    assert jobs["rows_sent"] == 1
    assert jobs["jobs"] == []
    assert accounts["bytes"] == job["bytes"] > 10_000
    assert job["id"] == sandbox.export_jobs()[0]["id"]
    assert (job["adopted"], job["days"]) == (False, None)
    assert accounts["seconds"] >= job["waited_seconds"] > 0
    assert report["started_at"].endswith("Z")
    assert f"Stream accounts: 200 rows sent, 1 new job, {job['bytes']:,} bytes, " in caplog.text
    assert "Stream export_jobs: 1 row sent, " in caplog.text
    if wire.is_v1:  # it has no daily limits
        assert "calls_left" not in report
    else:
        assert report["calls_left"]["create_export"] == 59
        assert "left today, as counted in state_dir: 59 to create an export job" in caplog.text


@both_apis
def test_an_adopted_job_is_counted_as_such(
    sandbox: Sandbox, sync: Sync, state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.STATUS, status=500, times=None))
    sync("campaigns", job_reuse_hours=6, failure=DemandbaseError)
    sandbox.clear_faults()
    with caplog.at_level(logging.INFO):
        sync("campaigns", job_reuse_hours=6)
    failed, complete = (report["streams"]["campaigns"] for report in reports(state_dir))
    assert failed["outcome"] == "failed"
    assert "could not be downloaded" in failed["error"]
    assert (complete["outcome"], complete["rows_sent"]) == ("complete", 20)
    assert [job["adopted"] for job in failed["jobs"] + complete["jobs"]] == [False, True]
    assert "Stream campaigns: 20 rows sent, 1 adopted job, " in caplog.text


def test_windows_and_their_days_are_in_the_report(sync: Sync, state_dir: Path) -> None:
    options = {"accounts": {"replication_key": "updated_at"}}
    output = sync("accounts", stream_options=options, window_days=300, start_date="2025-01-01")
    [report] = reports(state_dir)
    figures = report["streams"]["accounts"]
    assert figures["windows"] == len(figures["jobs"]) > 1
    assert figures["rows_sent"] == len(output.records("accounts"))
    days = [job["days"] for job in figures["jobs"]]
    assert days[0][0] == "2025-01-01"
    assert [first for first, _ in days[1:]] == [last for _, last in days[:-1]]


def test_rows_are_those_that_stream_maps_let_through(sync: Sync, state_dir: Path) -> None:
    output = sync("accounts", stream_maps={"accounts": {"__filter__": "account_id < 'A'"}})
    [report] = reports(state_dir)
    figures = report["streams"]["accounts"]
    assert figures["rows_sent"] == len(output.records("accounts")) < 200
    assert figures["jobs"][0]["rows_read"] == 200


def test_rows_of_batch_files_are_counted(sync: Sync, state_dir: Path, tmp_path: Path) -> None:
    sync("accounts", batch_config={"storage": {"root": str(tmp_path / "out")}})
    [report] = reports(state_dir)
    assert report["streams"]["accounts"]["rows_sent"] == 200


def test_a_run_that_ends_early_says_what_was_not_begun(
    sandbox: Sandbox, sync: Sync, state_dir: Path
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=None))
    sync("accounts", "people", failure=QuotaStopError)
    [report] = reports(state_dir)
    outcomes = {name: it["outcome"] for name, it in report["streams"].items()}
    assert outcomes == {"accounts": "failed", "people": "not begun"}


def test_old_reports_are_removed(
    sync: Sync, state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = state_dir / "tap-demandbase-reports"
    folder.mkdir(parents=True)
    (folder / "report-20200101T000000Z-abcdef.json").touch()
    with caplog.at_level(logging.INFO):
        sync("campaigns", keep_days=7)
    assert len(reports(state_dir)) == 1
    assert "older than keep_days (7)" in caplog.text


def test_a_report_that_cannot_be_kept_does_not_fail_the_run(
    sync: Sync, state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state_dir.mkdir()
    (state_dir / "tap-demandbase-reports").touch()
    assert len(sync("campaigns").records("campaigns")) == 20
    assert "The report of this run cannot be kept" in caplog.text


@both_apis
def test_a_job_has_its_phases_in_order(sync: Sync, state_dir: Path) -> None:
    sync("accounts")
    [report] = reports(state_dir)
    assert report["outcome"] == "complete"
    assert "error" not in report
    [job] = report["streams"]["accounts"]["jobs"]
    assert job["status"] == "completed"
    kinds = [each["phase"] for each in job["phases"]]
    assert kinds[0] in {"waiting", "running"}
    assert "running" in kinds
    assert kinds[-1] in {"downloading", "reading"}
    moments = [moment for each in job["phases"] for moment in (each["begin"], each["end"])]
    assert moments == sorted(moments)
    assert 0 <= moments[0] < moments[-1] <= report["seconds"]
    first, *_, last = report["rows_over_time"]
    assert (first, last[1]) == ([0.0, 0], 200)


@both_apis
def test_jobs_that_delivered_nothing_are_in_the_report(
    sandbox: Sandbox, sync: Sync, state_dir: Path, wire: Wire
) -> None:
    sandbox.add_fault(Fault(wire.create, Effect.JOB_FAILS, times=None))
    error = sync("campaigns", failure=DemandbaseError).error
    [report] = reports(state_dir)
    assert report["outcome"] == "failed"
    assert str(error) in report["error"]
    jobs = report["streams"]["campaigns"]["jobs"]
    assert [(job["status"], job["rows_read"]) for job in jobs] == [("failed", 0)] * 2
    assert {job["id"] for job in jobs} == {job["id"] for job in sandbox.export_jobs()}
    assert all(job["phases"] for job in jobs)


def test_the_settings_are_in_the_report_without_secrets(
    sandbox: Sandbox, sync: Sync, state_dir: Path
) -> None:
    sync("campaigns", lookback_days=7)
    [report] = reports(state_dir)
    assert report["settings"]["access_token"] == "***"
    assert report["settings"]["lookback_days"] == 7
    assert (report["plugin"], report["api"]) == ("tap-demandbase", "v1")
    assert sandbox.token not in json.dumps(report)


def test_old_reports_make_room_for_the_new_one(
    sync: Sync, state_dir: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = state_dir / "tap-demandbase-reports"
    folder.mkdir(parents=True)
    old = folder / "report-20200101T000000Z-abcdef.json"
    old.touch()

    def fill(*_: object) -> None:
        assert not old.exists()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tap_demandbase.tap.write_report", fill)
    assert len(sync("campaigns").records("campaigns")) == 20
    assert "The report of this run cannot be kept in state_dir: " in caplog.text
    assert "no space is left" in caplog.text


def test_a_run_that_ends_before_its_streams_are_known_has_a_report(
    config: dict[str, Any], state_dir: Path
) -> None:
    catalog = QuickTap(config=config).catalog_dict
    tap = QuickTap(config={**config, "access_token": "expired"}, catalog=catalog)
    with pytest.raises(DemandbaseError, match="did not accept the access token"):
        tap.sync_all()
    [report] = reports(state_dir)
    assert (report["outcome"], report["streams"]) == ("failed", {})
    assert "did not accept the access token" in report["error"]
