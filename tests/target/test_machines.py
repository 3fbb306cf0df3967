"""Two machines that share nothing but a bucket: a run goes on where one on the other was killed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import StateError
from demandbase_api.jobs.import_journal import Phase
from demandbase_api.state import leases
from demandbase_api.state.objects import BucketObjects
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.config import import_journal
from target_demandbase.errors import StillRunningError
from target_demandbase.rejects import RejectsError
from tests.command_process import run_command
from tests.s3_server import BUCKET, S3Server, s3_server
from tests.soak_machines import soak_machines
from tests.target.activities import Activities, once
from tests.target.command import Run, killed_at, running, until
from tests.target.conftest import PERSON, Load, landed, people, person, state
from tests.target.people_files import LIST, MESSAGES, UPLOAD, ended

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as running_server:
        yield running_server


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a bucket that the commands can use."""
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/runs"


@pytest.mark.parametrize("operation", [UPLOAD, LIST])
def test_a_run_that_was_killed_is_resumed_on_another_machine(
    sandbox: Sandbox, config: dict[str, Any], bucket: str, tmp_path: Path, operation: str
) -> None:
    settings = {**config, "state_dir": bucket}
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    with killed_at(sandbox, operation, one, MESSAGES, **settings) as run:
        assert run.states == []
    (other / "state.json").write_text(json.dumps(settings), encoding="utf-8")
    begun = run_command("demandbase", "journal", "--config", str(other / "state.json"), "--json")
    assert json.loads(begun.stdout)["imports"] == []  # it may still run
    with running(sandbox, other, **settings) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(120) == 0, run.errors
        assert run.states == [1]
        assert "Waiting for another run that imports into people" in run.errors
        assert "Resuming the import job" in run.errors
    assert ended(sandbox) == ["completed"]
    assert len(sandbox.requests(UPLOAD)) == len(sandbox.import_jobs()) == 1
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}
    assert not list((one / "spool").rglob("*.json"))
    done = run_command("demandbase", "journal", "--config", str(other / "state.json"), "--json")
    assert json.loads(done.stdout) == {"exports": [], "imports": []}


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in this process takes one that is silent for two seconds for dead."""
    monkeypatch.setattr(leases, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.25)


@pytest.mark.usefixtures("short_turns")
def test_rows_that_are_added_arrive_once_though_the_list_shows_no_job_of_a_machine(
    sandbox: Sandbox, load: Load, config: dict[str, Any], api: str, bucket: str, tmp_path: Path
) -> None:
    source = Activities(sandbox, api, config)
    settings = {**source.settings, "state_dir": bucket}
    with killed_at(sandbox, UPLOAD, tmp_path, source.messages(9), **settings) as run:
        assert run.states == []
    sandbox.add_fault(Fault(LIST, Effect.LAG, seconds=3600, times=None))
    done = load(*source.messages(9), **settings, spool_dir=str(tmp_path / "other"))
    assert done.states == [1]
    assert source.landed == once(9)


@pytest.mark.usefixtures("short_turns")
def test_newer_rows_wait_for_those_of_a_machine_that_is_gone(
    sandbox: Sandbox, load: Load, config: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    settings = {**config, "state_dir": bucket}
    sandbox.add_fault(Fault("createImportJob", Effect.NEVER_ENDS))
    with killed_at(sandbox, UPLOAD, tmp_path, MESSAGES, **settings):
        pass
    sandbox.add_fault(Fault(LIST, Effect.LAG, seconds=3600, times=None))
    with pytest.raises(StillRunningError, match="To give it up"):
        load(people(), person(1), state(2), **settings, spool_dir=str(tmp_path / "other"))
    assert len(sandbox.import_jobs()) == 1


def test_runs_on_two_machines_take_turns_and_the_later_rows_land_last(
    sandbox: Sandbox, config: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    settings = {**config, "state_dir": bucket, "batch_size_rows": 1}
    with running(sandbox, one, **settings) as first, running(sandbox, other, **settings) as second:
        first.feed(people(), person(1, title="old"), state("old"), end=False)
        until(lambda: first.states == ["old"])
        second.feed(people(), person(1, title="new"), state("new"))
        until(lambda: "Waiting for another run that imports into people" in second.errors)
        first.feed(person(1, title="late"), state("late"))
        assert first.process.wait(60) == 0, first.errors
        assert second.process.wait(60) == 0, second.errors
        assert (first.states[-1], second.states) == ("late", ["new"])
    assert landed(sandbox)["1"]["title"] == "new"


@pytest.mark.parametrize("problem", ["no such bucket", "cannot be reached"])
def test_a_bucket_that_cannot_be_used_ends_the_run_before_anything_is_sent(
    sandbox: Sandbox,
    config: dict[str, Any],
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
) -> None:
    if problem == "cannot be reached":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    url = bucket.replace(BUCKET, "no-such-bucket")
    with running(sandbox, tmp_path, **config, state_dir=url) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(60) == 1
        assert run.errors.strip().splitlines()[-1].count(problem) == 1
        assert "Traceback" not in run.errors
    assert not sandbox.import_jobs()
    file = str(tmp_path / "check.json")
    Path(file).write_text(json.dumps({**config, "state_dir": url}), encoding="utf-8")
    tap = run_command("tap-demandbase", "--config", file)
    assert tap.stderr.count(problem) == 1
    for side in ("--imports", "--exports"):
        found = run_command("demandbase", "check", side, "--config", file, "--json")
        assert (found.returncode, tap.returncode) == (1, 1)
        assert problem in found.stdout + found.stderr
    assert not sandbox.requests("createExportJob")


BAD = person(9, lead_score="viel")
"""A record that the target rejects over both APIs."""


@contextmanager
def finished(sandbox: Sandbox, folder: Path, *messages: Any, **settings: Any) -> Iterator[Run]:  # noqa: ANN401
    folder.mkdir()
    with running(sandbox, folder, **settings) as run:
        run.feed(*messages)
        run.process.wait(120)
        yield run


def commands(folder: Path, **settings: Any) -> Callable[..., Any]:  # noqa: ANN401
    """Returns what a command prints as JSON on a machine of its own."""
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps({**settings, "spool_dir": str(folder / "spool")}), encoding="utf-8")

    def run(*arguments: str) -> Any:  # noqa: ANN401
        done = run_command("demandbase", *arguments, "--config", str(file), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_rejected_rows_and_reports_are_there_on_other_machines(
    sandbox: Sandbox, config: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    settings = {**config, "state_dir": bucket, "on_reject": "continue"}
    one, rejects = tmp_path / "one", tmp_path / "one" / "rejects"
    with finished(sandbox, one, *MESSAGES[:-1], BAD, MESSAGES[-1], **settings) as run:
        assert run.process.poll() == 0, run.errors
        assert run.states == [1]
        assert f"are kept in {bucket}" in run.errors
    assert list(rejects.iterdir()) == []
    demandbase = commands(
        tmp_path / "other", **settings, rejects_path=str(tmp_path / "other" / "rejects")
    )
    [line] = demandbase("runs")
    assert (line["plugin"], line["rows_sent"]) == ("target-demandbase", 4)
    found = demandbase("rejects")
    assert [each["rows"] for each in found["rejected"]] == [1]
    [file] = found["files"]
    assert file["file"].startswith(f"{bucket}/")
    assert (file["rows"], file["is"]) == (1, "rejected")
    again = demandbase("rejects", "latest", "--replay", "--yes")
    assert again["rows_rejected"] == 1
    assert "replayed-" in again["files"][0]["file"]
    assert len(demandbase("runs")) == 2
    assert [each["is"] for each in demandbase("rejects")["files"]] == [
        "rejected", "rejected, and sent again since",
    ]  # fmt: skip
    assert demandbase("rejects", "--prune", "--yes")["files_left"] == 1
    if config.get("api") == "uapi":
        counted = {call["call"]: call["used"] for call in demandbase("quota")["calls"]}
        assert counted["create an import job"] == len(sandbox.requests("createImportJob"))


def test_rows_that_a_terminated_run_has_not_sent_are_in_the_bucket(
    sandbox: Sandbox, config: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    settings = {**config, "state_dir": bucket}
    with running(sandbox, tmp_path, **settings) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.staged_files)
        time.sleep(0.5)  # until rows are in them
        run.process.terminate()
        assert run.process.wait(60) == 143
        assert f"were not sent; they are in {bucket}" in run.errors
    assert not list((tmp_path / "spool").rglob("*.jsonl"))
    demandbase = commands(tmp_path / "other", **settings)
    [file] = demandbase("rejects")["files"]
    assert (file["is"], file["rows"]) == ("not sent", 4)


def test_a_signal_ends_a_run_whose_bucket_has_failed(
    config: dict[str, Any], sandbox: Sandbox, server: S3Server, bucket: str, tmp_path: Path
) -> None:
    settings = {**config, "state_dir": bucket, "batch_size_rows": 2}
    with running(sandbox, tmp_path, **settings) as run:
        sandbox.add_fault(Fault(UPLOAD, Effect.DELAY, seconds=3))
        run.feed(*MESSAGES[:4], end=False)
        until(lambda: sandbox.requests(UPLOAD))
        server.stop()
        run.process.terminate()
        assert run.process.wait(120) == 143
    assert run.errors.count("SIGTERM") >= 1
    [kept] = (tmp_path / "spool").rglob("*.jsonl")
    assert f"they are in {kept}" in run.errors


def test_a_bucket_that_fails_in_mid_run_holds_the_state_back_and_the_rows_are_named(
    config: dict[str, Any],
    sandbox: Sandbox,
    server: S3Server,
    bucket: str,
    tmp_path: Path,
) -> None:
    rejects = tmp_path / "rejects"
    with running(
        sandbox, tmp_path, **config, state_dir=bucket, on_reject="continue", batch_size_rows=1
    ) as run:
        sandbox.add_fault(Fault(LIST, Effect.DELAY, seconds=3))
        run.feed(people(), person(1), state(1), BAD, state(2), end=False)
        until(lambda: list(rejects.glob("*.jsonl")))
        server.stop()
        run.feed()
        assert run.process.wait(120) == 1
        assert run.states in ([], [1])
        assert "Traceback" not in run.errors
    [kept] = rejects.glob("*.jsonl")
    assert f"They are in {kept}" in run.errors
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.v1_only("uapi does not report which rows Demandbase rejects")
def test_the_journal_calls_rows_kept_only_once_the_bucket_has_them(
    sandbox: Sandbox,
    load: Load,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, Any],
    tmp_path: Path,
) -> None:
    def fail(objects: BucketObjects, *_: object) -> None:
        raise StateError(f"Cannot use {objects.url}.", "it is full")

    settings: dict[str, Any] = {
        "operation": "insert", "on_reject": "continue", "state_dir": bucket,
    }  # fmt: skip
    bad = person(9, lead_score="1", last_contacted_on="2026-02-31")
    text = {**PERSON, "last_contacted_on": {"type": ["string", "null"]}}
    messages = (people(text), person(1), bad, state(1))
    with monkeypatch.context() as failing:
        failing.setattr(BucketObjects, "copy_in", fail)
        assert load(*messages, failure=RejectsError, **settings).states == []
    journal = import_journal({**config, "state_dir": bucket}, "another")
    assert [entry.phase for entry in journal.left_behind()] == [Phase.UPLOADED]
    done = load(*messages, **settings)
    assert (done.states, len(sandbox.requests(UPLOAD))) == ([1], 1)
    demandbase = commands(tmp_path / "other", **config, state_dir=bucket)
    assert [each["rows"] for each in demandbase("rejects")["files"]] == [1]


@pytest.fixture
def silent() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("runs_over", ["v1", "uapi"])
def test_runs_that_are_killed_on_one_machine_lose_and_double_nothing(runs_over: str) -> None:
    figures = soak_machines(12, seed=20261130, api=runs_over)
    assert figures.problems == []
    assert figures.ends["killed"] > 1
    assert len(figures.kinds) > 1
