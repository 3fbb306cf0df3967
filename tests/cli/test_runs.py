from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from demandbase_cli.settings import Settings
from demandbase_sandbox import Sandbox
from tests.cli.conftest import Demandbase, Load
from tests.sandbox_time import SandboxTime
from tests.target.conftest import people, person


def sync_accounts(sandbox: Sandbox, config_file: str) -> None:
    """Run the tap over one stream."""
    tap = Settings([config_file]).tap()
    catalog = tap.catalog_dict
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] == "accounts"
    tap = Settings([config_file]).tap(catalog)
    tap.setup_mapper()
    tap.clock = SandboxTime(sandbox)
    tap.sync_all()


def test_the_runs_of_both_plugins_are_listed_and_described(
    demandbase: Demandbase, load: Load, sandbox: Sandbox, config_file: str
) -> None:
    assert "No run has left a report" in demandbase("runs").out
    sync_accounts(sandbox, config_file)
    load(people(), person(1), person(2))
    lines = {line["plugin"]: line for line in demandbase("runs", "--json").json}
    target, tap = lines["target-demandbase"], lines["tap-demandbase"]
    assert (target["rows_sent"], target["jobs"], target["says"]) == (2, 1, "ok")
    assert tap["rows_sent"] > 0
    assert tap["jobs"] == 1
    words = demandbase("runs").words
    assert "Run Plugin Started Seconds Streams Rows sent Jobs Says" in words
    found = demandbase("runs", tap["run"], "--json").json
    assert found["plugin"] == "tap-demandbase"
    [job] = found["streams"]["accounts"]["jobs"]
    shown = demandbase("runs", tap["run"]).words
    assert f"accounts {job['id']}" in shown
    assert "accounts complete" in shown
    assert "Stream Outcome Rows sent Windows Bytes Seconds ─" in shown
    shown = demandbase("runs", target["run"]).words
    assert "Stream Rows sent Rejected ─" in shown  # what only the tap has is left out


def test_a_run_that_is_not_kept_is_named(demandbase: Demandbase, load: Load) -> None:
    load(people(), person(1))
    [line] = demandbase("runs", "--json").json
    assert demandbase("runs", line["run"][:6], "--json").json["run"] == line["run"]
    assert "19990101 is no run that is kept" in demandbase("runs", "19990101", code=1).err
    load(people(), person(2))
    assert "beginning of several runs" in demandbase("runs", "2", code=1).err


def test_runs_of_a_disk_that_is_gone_are_not_listed(
    demandbase: Demandbase, load: Load, config: dict[str, Any]
) -> None:
    load(people(), person(1))
    assert len(demandbase("runs", "--json").json) == 1
    for folder in ("state_dir", "rejects_path"):
        shutil.rmtree(config[folder])
    assert demandbase("runs", "--json").json == []


@pytest.mark.parametrize(
    "text",
    [
        '{"run": 1}',
        "",
        '{"run": "r", "started_at": "2026-01-02T03:04:05Z", "seconds": 1, "streams": 7}',
    ],
)
def test_a_damaged_report_is_left_out(
    demandbase: Demandbase, load: Load, config: dict[str, Any], api: str, text: str
) -> None:
    if api == "uapi":
        pytest.skip("reports do not depend on the API")
    load(people(), person(1))
    path = Path(config["rejects_path"]) / "report-20260102T030405Z-abcdef.json"
    path.write_text(text)
    for command in ("runs", "rejects"):
        done = demandbase(command, "--json")
        assert f"The report {path} is damaged" in done.err
    assert len(demandbase("runs", "--json").json) == 1


def test_only_the_reports_that_are_shown_are_read(
    demandbase: Demandbase, load: Load, config: dict[str, Any]
) -> None:
    load(people(), person(1))
    folder = Path(config["rejects_path"])
    [report] = folder.glob("report-*.json")
    text = report.read_text()
    for number in range(300):
        path = folder / f"report-20260102T030405Z-{number:06x}.json"
        path.write_text("{" if number < 200 else text)
    done = demandbase("runs", "--last", "100", "--json")
    assert (len(done.json), done.err) == (100, "")


def test_rejected_rows_are_counted_without_values(
    demandbase: Demandbase, load: Load, config: dict[str, Any]
) -> None:
    assert "No row was rejected" in demandbase("rejects").out
    load(people(), person(1), person(2, lead_score="Secret"), on_reject="continue")
    found = demandbase("rejects", "--json").json
    [line] = found["rejected"]
    assert (line["stream"], line["rows"]) == ("people", 1)
    [file] = found["files"]
    assert file["rows"] == 1
    shown = demandbase("rejects", line["run"])
    assert f"1 row, rejected: {file['file']}\n" in shown.out
    assert "Secret" not in shown.out + json.dumps(found)
    [report] = Path(config["rejects_path"]).glob("report-*.json")
    report.unlink()  # as of a run that was killed
    again = demandbase("rejects", "--json")
    assert again.json["rejected"][0]["rows"] == 1
    assert "Secret" not in again.out


def test_the_reasons_of_a_run_without_a_report_show_no_value(
    demandbase: Demandbase, config: dict[str, Any]
) -> None:
    folder = Path(config["rejects_path"])
    folder.mkdir()
    record = {"name": "Secret", "_reject_field": "Secret Name", "_reject_type": "\x1b[2J"}
    line = json.dumps({"type": "RECORD", "stream": "s\x1b", "record": record})
    path = folder / "rejects-20260102T030405Z-abcdef-s.jsonl"
    path.write_text(f"{line}\n{line[:30]}\n")
    assert "Secret" not in demandbase("rejects").out
    [found] = demandbase("rejects", "--json").json["rejected"]
    assert (found["field"], found["reason"], found["rows"]) == ("***", "***", 1)
