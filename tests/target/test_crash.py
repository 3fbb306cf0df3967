"""Sudden death and signals, with the real command; replies that are lost."""

from __future__ import annotations

import csv
import json
import re
import signal
import time
from pathlib import Path

import pytest
from singer_sdk import Target

from demandbase_api.connect import connect_import
from demandbase_api.connection import Connection
from demandbase_api.errors import UnsettledInsertError
from demandbase_api.models import ColumnMapping, ImportOperation, ImportRequest
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.target.command import running, until
from tests.target.conftest import Load, record, schema, state

CREATE, UPLOAD, LIST = "createImportJob", "uploadImportFile", "listImportJobs"
MESSAGES = (schema(), *(record(domain=f"n{n}.example", name=f"N{n}") for n in range(4)), state(1))


@pytest.mark.parametrize("operation", [UPLOAD, LIST])
@pytest.mark.parametrize("kind", ["upsert", "insert"])
def test_a_run_that_was_killed_is_taken_up_by_the_next(
    sandbox: Sandbox, tmp_path: Path, operation: str, kind: str
) -> None:
    # The server does it, and the reply does not come before the end.
    sandbox.add_fault(Fault(operation, Effect.STALL, seconds=60))
    with running(sandbox, tmp_path, operation=kind) as run:
        run.feed(*MESSAGES)
        until(lambda: sandbox.requests(operation))
        run.process.kill()
        run.process.wait()
        assert run.states == []
    sandbox.clear_faults()
    with running(sandbox, tmp_path, operation=kind) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
        assert "Taking up the import job" in run.errors
    jobs = sandbox.import_jobs()
    assert [job["status"] for job in jobs] == ["completed"]
    assert len(sandbox.requests(CREATE)) == 1
    assert len(sandbox.requests(UPLOAD)) == 1
    landed = [row["domain"] for row in sandbox.rows("accounts") if "n" in str(row["domain"])[:1]]
    assert sorted(map(str, landed)).count("n0.example") == 1
    assert list((tmp_path / "spool").rglob("*.json")) == []


@pytest.mark.parametrize("kind", ["upsert", "insert"])
def test_a_job_whose_creation_was_never_answered_is_left_alone_and_named(
    sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.STALL, seconds=60))
    with running(sandbox, tmp_path, operation=kind) as run:
        run.feed(*MESSAGES)
        until(lambda: sandbox.requests(CREATE))
    sandbox.clear_faults()
    [stray] = sandbox.import_jobs()
    with running(sandbox, tmp_path, operation=kind) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
        assert f"look at {stray['id']} in Demandbase" in run.errors
    assert sorted(job["status"] for job in sandbox.import_jobs()) == ["completed", "pending"]
    assert len(sandbox.requests(UPLOAD)) == 1


def test_another_runs_job_that_waits_for_its_file_is_never_used_or_cancelled(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    other = ImportRequest(
        "accounts", ImportOperation.UPSERT, "domain", (ColumnMapping("domain", "domain"),)
    )
    connection = Connection(sandbox.url, sandbox.token, user_agent="other")
    theirs = connect_import(connection).submit(other, "theirs.csv").id
    sandbox.add_fault(Fault(CREATE, Effect.DROP_AFTER))
    assert load(*MESSAGES).states == [1]
    jobs = {job["id"]: job["status"] for job in sandbox.import_jobs()}
    assert jobs.pop(theirs) == "pending"
    assert sorted(jobs.values()) == ["completed", "pending"]
    assert theirs in caplog.text


def test_what_came_to_its_end_is_not_taken_up_again(sandbox: Sandbox, load: Load) -> None:
    assert load(*MESSAGES).states == [1]
    assert load(*MESSAGES).states == [1]
    assert len(sandbox.import_jobs()) == 2


def test_an_insert_whose_fate_is_open_stops_the_next_run(
    sandbox: Sandbox, tmp_path: Path, load: Load
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STALL, seconds=60))
    with running(sandbox, tmp_path, operation="insert") as run:
        run.feed(*MESSAGES)
        until(lambda: sandbox.requests(LIST))
    sandbox.clear_faults()
    job = sandbox.import_jobs()[0]["id"]
    other = (schema(), record(domain="n0.example"), record(domain="n9.example"), state(2))
    with pytest.raises(UnsettledInsertError, match=job):
        load(*other, operation="insert", spool_dir=str(tmp_path / "spool"))
    assert len(sandbox.import_jobs()) == 1
    # An upsert of the same rows harms nobody.
    assert load(*other, spool_dir=str(tmp_path / "spool")).states == [2]


@pytest.mark.parametrize("operation", [CREATE, UPLOAD])
@pytest.mark.parametrize("effect", [Effect.DROP_AFTER, Effect.DROP_BEFORE, Effect.STATUS])
def test_a_lost_reply_repeats_nothing_that_was_done(
    sandbox: Sandbox, load: Load, operation: str, effect: Effect
) -> None:
    sandbox.add_fault(Fault(operation, effect, status=502))
    assert load(*MESSAGES).states == [1]
    # A job that was created without an answer has no file and so no effect.
    [job] = [job for job in sandbox.import_jobs() if "file_name" in job]
    assert job["status"] == "completed"
    is_stray = (operation, effect) == (CREATE, Effect.DROP_AFTER)
    assert len(sandbox.import_jobs()) == (2 if is_stray else 1)
    done_at_first = (operation, effect) == (UPLOAD, Effect.DROP_AFTER)
    assert len(sandbox.requests(operation)) == (1 if done_at_first else 2)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_staging_sends_nothing_and_keeps_the_rows(
    sandbox: Sandbox, tmp_path: Path, number: int, code: int
) -> None:
    with running(sandbox, tmp_path) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.staged_files)
        run.process.send_signal(number)
        assert run.process.wait(10) == code
        assert run.states == []
        assert "Traceback" not in run.errors
        [kept] = (tmp_path / "spool").glob("undelivered-*/accounts.jsonl")
        messages = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        assert messages == list(MESSAGES[: len(messages)])
        count = len(messages) - 1  # the signal may have come between two of them
        assert f"{count} records of stream accounts were not sent; they are in {kept}" in run.errors
    assert not sandbox.import_jobs()
    assert kept.stat().st_mode & 0o077 == 0
    assert "n3.example" not in run.errors


def test_a_signal_while_polling_lets_no_state_out(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    with running(sandbox, tmp_path) as run:
        run.feed(*MESSAGES)
        until(lambda: len(sandbox.requests(LIST)) > 1)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(10) == 143
        assert run.states == []
        assert "Stopped by SIGTERM" in run.errors
    # It could not be cancelled any more, and the ledger knows it.
    assert [job["status"] for job in sandbox.import_jobs()] == ["processing"]
    assert len(list((tmp_path / "spool").rglob("*.json"))) == 1


def test_a_job_that_still_waits_for_its_file_is_cancelled(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.DELAY, seconds=60))
    with running(sandbox, tmp_path) as run:
        run.feed(*MESSAGES)
        until(sandbox.import_jobs)
        time.sleep(0.1)  # until it uploads
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(10) == 143
    assert [job["status"] for job in sandbox.import_jobs()] == ["cancelled"]
    [kept] = (tmp_path / "spool").glob("undelivered-*/accounts.jsonl")
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 5


def test_the_sdks_own_handler_would_send_what_is_staged_and_end_as_if_all_were_well() -> None:
    # What TargetDemandbase._handle_termination is there for; where this fails, look at it anew.
    drained: list[bool] = []

    class Drained(Target):
        name = "target-drained"

        def drain_all(self, *, is_endofpipe: bool = False) -> None:  # type: ignore[misc]
            drained.append(is_endofpipe)

    with pytest.raises(SystemExit) as ended:
        Drained()._handle_termination(signal.SIGTERM, None)  # noqa: SLF001
    assert (drained, ended.value.code) == ([True], 0)


def test_a_silent_input_keeps_no_state_back(sandbox: Sandbox, tmp_path: Path) -> None:
    with running(sandbox, tmp_path, batch_size_rows=4) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.states == [1])
        assert run.process.poll() is None


def test_a_silent_input_does_not_silence_the_progress(tmp_path: Path) -> None:
    with (
        Sandbox(SandboxOptions(pending_seconds=0, processing_seconds=3600)) as slow,
        running(slow, tmp_path, batch_size_rows=4) as run,
    ):
        run.feed(*MESSAGES, end=False)
        until(lambda: re.search(r"processing for [1-4]\d s, 0 of 4 rows", run.errors))


def test_a_dry_run_reads_all_and_changes_nothing(sandbox: Sandbox, load: Load) -> None:
    done = load(*MESSAGES, record(domain=None), dry_run=True, on_reject="continue")
    assert done.states == []
    assert {request.method for request in sandbox.requests()} == {"GET"}
    [path] = done.folder.glob("dry-run-*/*.csv")
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert rows[:2] == [["domain", "name"], ["n0.example", "N0"]]
    assert path.stat().st_mode & 0o077 == 0
    [report] = done.folder.glob("dry-run-*/accounts-mapping.txt")
    assert "entity_map:" in report.read_text(encoding="utf-8")
    assert len(done.rejects) == 1
