"""Sudden death and signals, with the real command; replies that are lost; slow jobs."""

from __future__ import annotations

import csv
import json
import re
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from singer_sdk import Target

from demandbase_api.connect import connect
from demandbase_api.connection import Connection
from demandbase_api.models import ColumnMapping, ImportOperation, ImportRequest
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import StillRunningError
from tests.target.command import killed_at, until
from tests.target.conftest import Load, Start, landed, person, state
from tests.target.people_files import CREATE, LIST, MESSAGES, UPLOAD, ended, files

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("operation", [CREATE, UPLOAD, LIST])
def test_a_run_that_was_killed_is_resumed_by_the_next(
    sandbox: Sandbox,
    config: dict[str, Any],
    api: str,
    tmp_path: Path,
    start: Start,
    operation: str,
) -> None:
    # The server does it, and the reply does not come before the end.
    with killed_at(sandbox, operation, tmp_path, MESSAGES, **config) as run:
        assert run.states == []
    with start() as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
        # Only a job that has a name can be found if the response to its creation was lost.
        is_stray = api == "v1" and operation == CREATE
        assert ("Resuming the import job" in run.errors) != is_stray
    assert ended(sandbox) == ["completed"]
    assert len(sandbox.requests(UPLOAD)) == 1
    assert len(sandbox.requests(CREATE)) == len(sandbox.import_jobs()) == (2 if is_stray else 1)
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}
    assert not list((tmp_path / "spool").rglob("target-demandbase-ledger/*"))


@pytest.mark.v1_only("uapi has no operation but its own")
@pytest.mark.parametrize("operation", [UPLOAD, LIST])
def test_an_insert_that_was_killed_is_resumed_by_the_next_run(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path, start: Start, operation: str
) -> None:
    with killed_at(sandbox, operation, tmp_path, MESSAGES, operation="insert", **config):
        pass
    with start(operation="insert") as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
    assert ended(sandbox) == ["completed"]
    assert len(sandbox.requests(CREATE)) == len(sandbox.requests(UPLOAD)) == 1
    assert [str(row["person_id"]) for row in sandbox.rows("people")].count("n0") == 1


@pytest.mark.v1_only("a job of uapi has a name from its creation on, by which it is found")
@pytest.mark.parametrize("kind", ["upsert", "insert"])
def test_a_job_whose_creation_was_never_answered_is_left_alone_and_named(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path, start: Start, kind: str
) -> None:
    with killed_at(sandbox, CREATE, tmp_path, MESSAGES, operation=kind, **config):
        pass
    [stray] = sandbox.import_jobs()
    with start(operation=kind) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
        assert f"check {stray['id']} in Demandbase" in run.errors
    assert sorted(job["status"] for job in sandbox.import_jobs()) == ["completed", "pending"]
    assert len(sandbox.requests(UPLOAD)) == 1


@pytest.mark.v1_only("a job of uapi has a name from its creation on, which identifies it")
def test_another_runs_job_that_waits_for_its_file_is_never_used_or_cancelled(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    other = ImportRequest(
        "people",
        ImportOperation.UPSERT,
        "person_id",
        tuple(ColumnMapping(name, name) for name in ("person_id", "email")),
    )
    connection = Connection(sandbox.url, sandbox.token, user_agent="other")
    theirs = connect(connection).imports.submit(other, "theirs.csv").id
    sandbox.add_fault(Fault(CREATE, Effect.DROP_AFTER))
    assert load(*MESSAGES).states == [1]
    jobs = {job["id"]: job["status"] for job in sandbox.import_jobs()}
    assert jobs.pop(theirs) == "pending"
    assert sorted(jobs.values()) == ["completed", "pending"]
    assert theirs in caplog.text


def test_what_came_to_its_end_is_not_resumed(sandbox: Sandbox, load: Load) -> None:
    assert load(*MESSAGES).states == [1]
    assert load(*MESSAGES).states == [1]
    assert len(sandbox.import_jobs()) == 2


@pytest.mark.v1_only("a job of uapi has a name from its creation on, and is found by it")
def test_a_lost_creation_is_a_warning_even_if_no_job_is_listed(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=503))
    assert load(*MESSAGES).states == [1]
    assert "was lost" in caplog.text
    assert "none is in the job list" in caplog.text


@pytest.mark.parametrize("operation", [CREATE, UPLOAD])
@pytest.mark.parametrize("effect", [Effect.DROP_AFTER, Effect.DROP_BEFORE, Effect.STATUS])
def test_a_lost_reply_repeats_nothing_that_was_done(
    sandbox: Sandbox, load: Load, api: str, operation: str, effect: Effect
) -> None:
    sandbox.add_fault(Fault(operation, effect, status=502))
    assert load(*MESSAGES).states == [1]
    # On v1, a job that was created without an answer has no file and so no effect.
    assert ended(sandbox) == ["completed"]
    is_lost = effect is Effect.DROP_AFTER and operation == CREATE
    assert len(sandbox.import_jobs()) == (2 if is_lost and api == "v1" else 1)
    was_done = effect is Effect.DROP_AFTER and (operation == UPLOAD or api == "uapi")
    assert len(sandbox.requests(operation)) == (1 if was_done else 2)
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_staging_sends_nothing_and_keeps_the_rows(
    sandbox: Sandbox, start: Start, tmp_path: Path, number: int, code: int
) -> None:
    with start() as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.staged_files)
        time.sleep(0.2)  # until rows are in them
        run.process.send_signal(number)
        assert run.process.wait(10) == code
        assert run.states == []
        assert "Traceback" not in run.errors
        [kept] = (tmp_path / "spool").glob("undelivered-*/people.jsonl")
        messages = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        assert messages == list(MESSAGES[: len(messages)])
        count = len(messages) - 1  # the signal may have come between two of them
        assert f"{count} records of stream people were not sent; they are in {kept}" in run.errors
        assert "n3@a.example" not in run.errors
    assert not sandbox.import_jobs()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_signal_while_polling_lets_no_state_out(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    with start() as run:
        run.feed(*MESSAGES)
        until(lambda: len(sandbox.requests(LIST)) > 1)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(10) == 143
        assert run.states == []
        assert "Stopped by SIGTERM" in run.errors
    # It could not be cancelled any more, and the journal has it.
    assert [job["status"] for job in sandbox.import_jobs()] == ["processing"]
    assert len(list((tmp_path / "spool").rglob("target-demandbase-ledger/*.json"))) == 1


def test_a_run_that_a_signal_ended_while_its_job_ran_is_resumed_by_the_next(
    sandbox: Sandbox, start: Start
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STALL, seconds=60, after=1))
    with start() as run:
        run.feed(*MESSAGES)
        until(lambda: len(sandbox.requests(LIST)) > 1)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(15) == 143
        assert run.states == []
    sandbox.clear_faults()
    with start() as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
    assert len(sandbox.requests(UPLOAD)) == 1


@pytest.mark.v1_only("uapi cannot cancel")
def test_a_job_that_still_waits_for_its_file_is_cancelled(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.DELAY, seconds=60))
    with start() as run:
        run.feed(*MESSAGES)
        until(sandbox.import_jobs)
        time.sleep(0.1)  # until it uploads
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(10) == 143
    assert [job["status"] for job in sandbox.import_jobs()] == ["cancelled"]
    [kept] = (tmp_path / "spool").glob("undelivered-*/people.jsonl")
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 5


def test_the_sdks_own_handler_would_send_what_is_staged_and_end_as_if_all_were_well() -> None:
    # What TargetDemandbase._handle_termination is there for; where this fails, check it again.
    drained: list[bool] = []

    class Drained(Target):
        name = "target-drained"

        def drain_all(self, *, is_endofpipe: bool = False) -> None:  # type: ignore[misc]
            drained.append(is_endofpipe)

    with pytest.raises(SystemExit) as ended:
        Drained()._handle_termination(signal.SIGTERM, None)  # noqa: SLF001
    assert (drained, ended.value.code) == ([True], 0)


def test_a_job_that_takes_too_long_is_resumed_by_the_next_run(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    for _ in range(2):
        with pytest.raises(StillRunningError, match="the next run resumes that job") as caught:
            load(*MESSAGES, job_timeout_seconds=60)
        assert caught.value.exit_code == 75
    assert len(sandbox.import_jobs()) == 1


@pytest.mark.parametrize("has_setting", [False, True])
def test_an_import_is_resumed_after_its_journal_has_moved(
    sandbox: Sandbox,
    load: Load,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_setting: bool,
) -> None:
    old, new = tmp_path / "tmp", tmp_path / "singer-demandbase"
    monkeypatch.setattr(tempfile, "tempdir", str(old))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    settings: dict[str, Any] = {"spool_dir": str(old)}
    moved = {**settings, "state_dir": str(new)} if has_setting else {"spool_dir": None}
    for each in (settings, moved):
        load(*MESSAGES, failure=StillRunningError, job_timeout_seconds=60, **each)
    assert len(sandbox.import_jobs()) == 1
    assert not list(old.rglob("target-demandbase-ledger/*.json"))
    [entry] = new.glob("target-demandbase-ledger/*.json")
    files = {path for path in new.rglob("*") if path.is_file()}
    assert {path.stat().st_mode & 0o777 for path in (entry, *files)} == {0o600}


@pytest.mark.slow
def test_a_silent_input_keeps_no_state_back(start: Start) -> None:
    with start(batch_size_rows=4) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.states == [1])
        assert run.process.poll() is None


@pytest.mark.slow
def test_a_silent_input_does_not_silence_the_progress(sandbox: Sandbox, start: Start) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    with start(batch_size_rows=4) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: re.search(r"people: processing for [1-4]\d s", run.errors))


def test_a_dry_run_reads_all_and_changes_nothing(sandbox: Sandbox, load: Load) -> None:
    done = load(*MESSAGES, person(9, person_id=None), dry_run=True, on_reject="continue")
    assert done.states == []
    calls = {seen.operation for seen in sandbox.requests() if seen.method != "GET"}
    assert calls <= {"createToken"}
    [path] = done.folder.glob("dry-run-*/*.csv")
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 5
    assert rows[1] == ["n0", "n0@a.example", "Ada", "Lovelace", "T0"]
    assert path.stat().st_mode & 0o077 == 0
    [report] = done.folder.glob("dry-run-*/people-mapping.txt")
    assert "Stream people → entity people" in report.read_text(encoding="utf-8")
    assert len(done.rejects) == 1


def test_what_a_dry_run_writes_is_what_is_sent(sandbox: Sandbox, load: Load) -> None:
    done = load(*MESSAGES, dry_run=True)
    assert not files(sandbox)
    [path] = done.folder.glob("dry-run-*/*.csv")
    load(*MESSAGES)
    assert [path.read_bytes()] == [sandbox.uploaded(job["id"]) for job in sandbox.import_jobs()]


@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_earlier_job_that_cannot_be_read_does_not_fail_a_run_without_its_rows(
    sandbox: Sandbox,
    config: dict[str, Any],
    load: Load,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    with killed_at(sandbox, UPLOAD, tmp_path, MESSAGES, **config):
        pass
    [job] = sandbox.import_jobs()
    sandbox.add_fault(Fault("getImportJob", Effect.STATUS, status=status, times=None))
    done = load(state(2), spool_dir=str(tmp_path / "spool"))
    assert done.states == [2]
    assert f"The journal entry of the import job {job['id']} of an earlier run stays" in caplog.text
    sandbox.clear_faults()
    assert load(*MESSAGES, spool_dir=str(tmp_path / "spool")).states == [1]
