"""Signals and sudden death, with the real command."""

from __future__ import annotations

import json
import os
import select
import signal
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from demandbase_sandbox.faults import JobFaults
from tests.tap.command import running, until
from tests.tap.conftest import Wire, both_apis

pytestmark = pytest.mark.thorough

CREATE, LIST, FILE = "createExportJob", "listExportJobs", "signedFile"

KEPT = {"tap-demandbase-jobs", "tap-demandbase-reports"}
"""Folders that outlive a run."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_cancels_the_jobs_and_sets_the_exit_code(
    sandbox: Sandbox, tmp_path: Path, number: int, code: int
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS, match={"entity_type": "campaigns"}))
    with running(sandbox, tmp_path) as run:
        until(lambda: run.records("accounts") == 200 and len(sandbox.requests(CREATE)) == 2)
        until(lambda: len(sandbox.requests(LIST)) > 3)
        assert run.end(number)[0] == code
        assert run.state is not None
        assert run.state["bookmarks"] == {"accounts": {}, "campaigns": {}}
        # After the lines about the jobs.
        assert "Stopped by SIG" in run.errors.splitlines()[-1]
        assert "Traceback" not in run.errors
    statuses = {job["entity_type"]: job["status"] for job in sandbox.export_jobs()}
    assert statuses == {"accounts": "completed", "campaigns": "cancelled"}
    assert {path.name for path in (tmp_path / "spool").iterdir()} == KEPT


@pytest.mark.parametrize("api", ["uapi"])
def test_a_signal_leaves_a_job_that_cannot_be_cancelled_to_the_next_run(
    sandbox: Sandbox, tmp_path: Path, config: dict[str, Any]
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.STALL, bytes=10_000, times=None))
    with running(sandbox, tmp_path, settings=config) as run:
        until(sandbox.export_jobs)
        code, seconds = run.end(signal.SIGTERM)
        assert code == 143
        assert seconds < 10
        assert "Traceback" not in run.errors
    sandbox.clear_faults()
    with running(sandbox, tmp_path, settings=config) as run:
        assert run.process.wait(30) == 0, run.errors
        assert (run.records("accounts"), run.records("campaigns")) == (200, 20)
    assert len(sandbox.export_jobs()) == 2


def test_a_test_by_meltano_buys_nothing_that_is_lost(sandbox: Sandbox, tmp_path: Path) -> None:
    """``meltano config tap-demandbase test`` ends the tap after the first RECORD."""
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS, match={"entity_type": "campaigns"}))
    os.mkfifo(tmp_path / "out")
    with running(sandbox, tmp_path) as run:
        with (tmp_path / "out").open("rb") as reader:
            # Like Meltano, the test stops reading, and waits with the pipe open.
            assert any(json.loads(line)["type"] == "RECORD" for line in reader)
            until(lambda: len(sandbox.export_jobs()) == 2)
            assert run.end(signal.SIGTERM)[0] == 143
        assert "Traceback" not in run.errors
    (tmp_path / "out").unlink()
    jobs = {job["entity_type"]: job["status"] for job in sandbox.export_jobs()}
    assert jobs == {"accounts": "completed", "campaigns": "cancelled"}
    sandbox.clear_faults()
    sandbox.clear_requests()
    with running(sandbox, tmp_path) as run:
        assert run.process.wait(30) == 0, run.errors
        assert (run.records("accounts"), run.records("campaigns")) == (200, 20)
    assert len(sandbox.requests(CREATE)) == 1  # the completed one is adopted


@pytest.mark.slow
def test_a_job_whose_creation_was_under_way_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    sandbox.add_fault(Fault(CREATE, Effect.STALL, seconds=60))
    with running(sandbox, tmp_path) as run:
        until(sandbox.export_jobs)
        code, seconds = run.end(signal.SIGTERM)
    assert code == 143
    assert seconds < 10
    # Over v1, nothing proves that it is not the job of another client.
    [job] = sandbox.export_jobs()
    assert job["status"] == "processing"
    assert f"The export job {job['id']} for accounts may still run" in run.errors


def test_a_reused_job_outlives_the_signal(sandbox: Sandbox, tmp_path: Path) -> None:
    reused = sandbox.tenant.exports.create({"entity_type": "accounts"}, JobFaults(never_ends=True))
    with running(sandbox, tmp_path) as run:
        until(lambda: len(sandbox.requests(LIST)) > 3)
        assert run.end(signal.SIGTERM)[0] == 143
        assert "Adopted the export job" in run.errors
    assert sandbox.tenant.exports.get(reused.id).status == "processing"


@pytest.mark.slow
def test_a_server_that_stays_silent_does_not_keep_the_tap_from_ending(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.STALL, bytes=100, seconds=60, times=None))
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS, match={"entity_type": "campaigns"}))
    sandbox.add_fault(Fault("cancelExportJob", Effect.DELAY, seconds=60, times=None))
    with running(sandbox, tmp_path) as run:
        until(lambda: sandbox.requests(FILE))
        code, seconds = run.end(signal.SIGTERM)
        assert code == 143
        assert seconds < 10
        assert run.records("accounts") == 0
        assert "may still run" in run.errors


def test_a_signal_while_a_large_state_is_written_leaves_whole_lines(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "out")
    state = {"bookmarks": {"accounts": {"large": "x" * 3_000_000}}}
    pipe = tmp_path / "out"
    with running(sandbox, tmp_path, state=state) as run, pipe.open("rb") as reader:
        select.select([reader], [], [], 30)
        run.process.send_signal(signal.SIGTERM)
        output = reader.read()
        assert run.process.wait(30) == 143
    assert json.loads(output)["value"] == state
    assert output.endswith(b"\n")


@both_apis
@pytest.mark.parametrize("phase", ["created", "polled", "downloading", "between"])
def test_a_run_that_was_killed_and_started_again_creates_no_second_job(
    sandbox: Sandbox, tmp_path: Path, config: dict[str, Any], wire: Wire, phase: str
) -> None:
    both = {"accounts": 200, "campaigns": 20}
    if phase == "created":
        sandbox.add_fault(Fault(CREATE, Effect.STALL, after=1, seconds=60))
    elif phase == "polled":
        sandbox.add_fault(Fault(wire.list_jobs, Effect.STALL, after=1, seconds=60))
    elif phase == "downloading":
        sandbox.add_fault(Fault(FILE, Effect.STALL, bytes=1000, seconds=60))
    else:
        sandbox.add_fault(Fault(FILE, Effect.STALL, after=1, bytes=100, seconds=60, times=None))
    with running(sandbox, tmp_path, settings=config) as run:
        # If one job may run at a time, the second waits until the first has been polled.
        jobs = 1 if phase == "polled" and not wire.is_v1 else 2
        until(lambda: len(sandbox.export_jobs()) == jobs)
        if phase == "between":
            until(lambda: run.records("accounts") == 200 and run.state)
        else:
            until(lambda: sandbox.requests(FILE if phase == "downloading" else wire.list_jobs))
        assert run.end(signal.SIGKILL)[0] == -signal.SIGKILL
        state = run.state
    sandbox.clear_faults()
    with running(sandbox, tmp_path, state=state, settings=config) as run:
        assert run.process.wait(30) == 0, run.errors
        second = {stream: run.records(stream) for stream in both}
    assert len(sandbox.requests(CREATE)) == len(sandbox.export_jobs()) == 2
    assert second == both
    journal = (tmp_path / "spool" / "tap-demandbase-jobs").iterdir()
    assert not any(json.loads(path.read_text())["jobs"] for path in journal)
    names = {path.name for path in (tmp_path / "spool").glob("tap-demandbase-*")}
    assert names == KEPT
