"""Machines that share a bucket share what the tap has asked Demandbase for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.config import connection, state
from demandbase_api.connection import ApiFiles
from demandbase_api.errors import DemandbaseError
from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.command_process import run_command
from tests.s3_server import BUCKET, s3_server
from tests.tap.command import running, until
from tests.tap.conftest import Wire, both_apis
from tests.tap.visits import KEY, visits

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent

Sync = Callable[..., Any]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_server() as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        yield f"s3://{BUCKET}/runs"


@both_apis
def test_a_job_that_a_machine_has_begun_is_not_created_again_by_another(
    sandbox: Sandbox, sync: Sync, wire: Wire, bucket: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"state_dir": bucket, "job_reuse_hours": 6}
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=500, times=None))
    sync("campaigns", spool_dir=str(tmp_path / "one"), failure=DemandbaseError, **settings)
    sandbox.clear_faults()
    output = sync("campaigns", spool_dir=str(tmp_path / "two"), **settings)
    assert len(output.records("campaigns")) == 20
    assert len(sandbox.requests(wire.create)) == 1
    assert not list(tmp_path.rglob("*.json"))


@both_apis
def test_runs_at_once_on_two_machines_share_a_job(
    sandbox: Sandbox, config: dict[str, Any], wire: Wire, bucket: str, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    settings = {**config, "entities": ["campaigns"], "state_dir": bucket}
    sandbox.add_fault(Fault("signedFile", Effect.STALL, bytes=100, seconds=15))
    with running(sandbox, one, settings={**settings, "spool_dir": str(one / "spool")}) as first:
        until(lambda: sandbox.requests("signedFile"))
        settings["spool_dir"] = str(other / "spool")
        with running(sandbox, other, settings=settings) as second:
            assert second.process.wait(60) == 0, second.errors
            assert "Adopted the export job" in second.errors
            assert second.records("campaigns") == 20
        assert first.process.poll() is None
        assert first.process.wait(60) == 0, first.errors
        assert first.records("campaigns") == 20
    assert len(sandbox.requests(wire.create)) == len(sandbox.export_jobs()) == 1


def test_the_reports_of_a_machine_are_listed_on_another(
    sync: Sync, config: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    sync("campaigns", state_dir=bucket, spool_dir=str(tmp_path / "one"))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**config, "state_dir": bucket}), encoding="utf-8")
    done = run_command("demandbase", "runs", "--config", str(file), "--json")
    [line] = json.loads(done.stdout)
    assert (line["plugin"], line["rows_sent"], line["jobs"]) == ("tap-demandbase", 20, 1)


def test_calls_and_fields_of_uapi_are_counted_and_kept_for_all_machines(
    sandbox: Sandbox, sync: Sync, bucket: str, tmp_path: Path
) -> None:
    credentials = {
        "api": "uapi", "api_url": sandbox.uapi_url, "request_timeout_seconds": 60,
        "client_id": sandbox.client_id, "client_secret": sandbox.client_secret,
    }  # fmt: skip
    asked = []
    for machine in ("one", "two", "three"):
        settings = {**credentials, "state_dir": bucket, "spool_dir": str(tmp_path / machine)}
        sync("accounts", job_reuse_hours=0, **settings)
        asked.append(len(sandbox.requests("fetchFields")))
    assert asked[0] == asked[2] > 0
    name = ApiFiles.name(connection(settings, RetryPolicy(), "tests"), "calls")
    calls = json.loads(state(settings).store().get(name) or b"{}")["calls"]
    assert calls["LIST_FIELDS"] == asked[0]
    assert calls["CREATE_EXPORT"] == len(sandbox.requests("createExportJob")) == 3


PIPE = """
demandbase state get --config=settings.json "$ID" > state.json
tap-demandbase --config=settings.json --config=task.json --state=state.json |
  tee -a rows.jsonl | grep --line-buffered STATE | demandbase state put --config=settings.json "$ID"
"""


@both_apis
def test_a_backfill_by_tasks_at_the_same_time_has_the_rows_of_one_run(
    sandbox: Sandbox, config: dict[str, Any], wire: Wire, bucket: str, tmp_path: Path
) -> None:
    days = [date(2021, 1, 1) + timedelta(days=number) for number in range(0, 1461, 5)]
    visits(sandbox, *(f"{day}T{hour}:00:00Z" for day in days for hour in ("00", "23")))
    own = {"state_dir": bucket, "entities": ["people"], "stream_options": KEY, "window_days": 150}
    settings = {name: value for name, value in {**config, **own}.items() if name != "spool_dir"}

    def start(name: str, first: str, last: str) -> subprocess.Popen[bytes]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        dates = {"start_date": first, "end_date": last}
        (folder / "task.json").write_text(json.dumps(dates), encoding="utf-8")
        return subprocess.Popen(
            ["/bin/bash", "-eo", "pipefail", "-c", PIPE], cwd=folder, start_new_session=True,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ID": name},
        )  # fmt: skip

    def rows(name: str) -> list[str]:
        lines = (tmp_path / name / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        messages = map(json.loads, lines)
        return [json.dumps(each["record"]) for each in messages if each["type"] == "RECORD"]

    assert start("whole", "2021-01-01", "2024-12-31").wait() == 0
    tasks = [(f"year-{year}", f"{year}-01-01", f"{year}-12-31") for year in range(2021, 2025)]
    sandbox.add_fault(Fault(wire.create, Effect.STALL, seconds=600))
    running = {task: start(*task) for task in tasks}
    until(lambda: sum(each.poll() is not None for each in running.values()) == 3, seconds=300)
    [(stuck, process)] = [each for each in running.items() if each[1].poll() is None]
    os.killpg(process.pid, signal.SIGKILL)
    assert {each.wait() for each in running.values()} == {0, -signal.SIGKILL}
    assert start(*stuck).wait() == 0
    assert Counter(row for name, *_ in tasks for row in rows(name)) == Counter(rows("whole"))
    assert len(rows("whole")) == 2 * len(days)
    assert len(sandbox.export_jobs()) == len(sandbox.requests(wire.create))
