"""Rejected rows: sent again, and removed."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import DemandbaseError
from demandbase_api.run_files import KeptRows, run_name
from demandbase_cli import replay
from demandbase_cli.settings import Settings
from demandbase_cli.signals import forwarding_signals
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.target import TargetDemandbase
from tests.cli.conftest import Demandbase, Load
from tests.sandbox_time import SandboxTime
from tests.target.conftest import people, person

WORDS = "Secret"

RUN_TARGET = replay._run_target  # noqa: SLF001 - quick_target replaces it


@pytest.fixture
def quick_target(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> list[Mapping[str, Any]]:
    """Run the target in this process: a process of its own takes a second to start.

    Returns:
        The settings that were changed, for each run.
    """
    changed = []

    def run_target(
        settings: Settings, changes: Mapping[str, Any], files: Sequence[KeptRows]
    ) -> int:
        changed.append(changes)
        target = TargetDemandbase(config={**settings.target_config, **changes})
        target.clock = SandboxTime(sandbox)
        text = ""
        for file in files:
            with file.open() as lines:
                text += lines.read().decode()
        logging.disable()  # what a process of its own writes
        try:
            with redirect_stderr(io.StringIO()):
                target.listen(io.StringIO(text))
        except DemandbaseError as error:
            return error.exit_code
        finally:
            logging.disable(logging.NOTSET)
        return 0

    monkeypatch.setattr(replay, "_run_target", run_target)
    return changed


@pytest.fixture
def run(demandbase: Demandbase, load: Load, api: str) -> str:
    """A run that has rejected one row: v1 rejects it itself, and for uapi the target does."""
    bad = {"lead_score": WORDS} if api == "v1" else {"email": ""}
    load(people(), person(1), person(2, **bad), on_reject="continue")
    [file] = demandbase("rejects", "--json").json["files"]
    assert (file["is"], file["rows"]) == ("rejected", 1)
    return str(file["run"])


def rows_in(folder: str, pattern: str) -> list[dict[str, Any]]:
    return [
        message["record"]
        for path in sorted(Path(folder).glob(pattern))
        for message in map(json.loads, path.read_text().splitlines())
        if message["type"] == "RECORD"
    ]


def corrected(folder: str) -> Path:
    """Correct the row of ``run`` in its file, as a person would."""
    [path] = Path(folder).glob("rejects-*")
    text = path.read_text().replace(f'"lead_score":"{WORDS}"', '"lead_score":5')
    path.write_text(text.replace('"email":""', '"email":"person2@example.com"'))
    return path


def put_rows(config: dict[str, Any], began: datetime, kind: str, **reasons: str) -> Path:
    """Write a file of one row as a run would that began at some time."""
    row = {**person(7)["record"], **reasons}
    head = people({name: {"type": ["string", "number", "null"]} for name in row})
    folder, name = Path(config["rejects_path"]), run_name(began)
    path = folder / f"{kind}-{name}-people.jsonl"
    if kind == "undelivered":
        path = Path(config["state_dir"]) / f"undelivered-{name}" / "people.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [head, {"type": "RECORD", "stream": "people", "record": row}]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


@pytest.mark.usefixtures("quick_target")
def test_corrected_rows_are_sent_again_and_their_file_is_marked_and_pruned(
    demandbase: Demandbase, sandbox: Sandbox, config: dict[str, Any], run: str
) -> None:
    folder = config["rejects_path"]
    path = corrected(folder)
    operation = "createImportJob"
    jobs = len(sandbox.requests(operation))
    assert jobs
    checked = demandbase("rejects", run, "--replay", "--dry-run", "--json").json
    assert checked["is_dry_run"]
    assert len(sandbox.requests(operation)) == jobs
    assert path.exists()
    found = demandbase("rejects", run, "--replay", "--yes", "--json")
    assert (found.json["rows_rejected"], found.json["files"][0]["rows"]) == (0, 1)
    assert WORDS not in found.out
    assert not path.exists()
    assert len(rows_in(folder, "replayed-*")) == 1
    assert "sent again already" in demandbase("rejects", run, "--replay", "--yes", code=1).err
    again = found.json["replayed_by"]
    assert demandbase("runs", again, "--json").json["streams"]["people"]["rows_sent"] == 1
    assert "1 row, rejected, and sent again since: " in demandbase("rejects", run).out
    assert "add --yes" in demandbase("rejects", "--prune", code=2).err
    done = demandbase("rejects", "--prune", "--yes")
    assert done.out.endswith("Removed 1 file with 1 row.\n")
    assert rows_in(folder, "*.jsonl") == []


def test_rows_that_are_rejected_again_are_kept_by_the_new_run(
    demandbase: Demandbase,
    config: dict[str, Any],
    run: str,
    config_file: str,
    quick_target: list[Mapping[str, Any]],
) -> None:
    # The limits of the settings would end the run before all rows are sent.
    Path(config_file).write_text(json.dumps({**config, "max_rejected_rows": 0}))
    before = rows_in(config["rejects_path"], "rejects-*")
    found = demandbase("rejects", run, "--replay", "--yes", "--json").json
    assert found["rows_rejected"] == 1
    # Nothing else: a dry run that the environment asks for is for the target to refuse.
    limits = {"max_rejected_rows": None, "max_rejected_percent": None}
    assert quick_target == [{"on_reject": "continue", **limits}]
    kept = rows_in(config["rejects_path"], "rejects-*")
    own = [
        {name: cell for name, cell in row.items() if not name.startswith("_reject")}
        for row in (*before, *kept)
    ]
    assert own[0] == own[1]
    assert rows_in(config["rejects_path"], "replayed-*") == before
    [line] = demandbase("rejects", found["replayed_by"], "--json").json["files"]
    assert line["is"] == "rejected"


@pytest.mark.usefixtures("quick_target")
def test_a_replay_has_the_objects_that_meltano_joins_by_dots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"people.mail": "email", "people.notes": "__NULL__"}
    monkeypatch.setenv("TARGET_DEMANDBASE_FIELD_MAPPINGS", json.dumps(given))
    passed: list[str] = []

    class Child(subprocess.Popen[bytes]):
        def __init__(self, _: object, env: dict[str, str], **options: Any) -> None:  # noqa: ANN401
            passed.append(env["TARGET_DEMANDBASE_FIELD_MAPPINGS"])
            super().__init__(["true"], env=env, **options)

    monkeypatch.setattr("demandbase_cli.replay.subprocess.Popen", Child)
    assert RUN_TARGET(Settings(), {}, []) == 0
    assert json.loads(passed[0]) == {"people": {"mail": "email", "notes": "__NULL__"}}


def test_a_replay_that_fails_leaves_the_file_as_it_was(
    demandbase: Demandbase, sandbox: Sandbox, config: dict[str, Any], run: str
) -> None:
    path = corrected(config["rejects_path"])
    before = path.read_bytes()
    sandbox.add_fault(Fault("*", Effect.STATUS, status=403, times=None))
    done = demandbase("rejects", run, "--replay", "--yes", code=1)
    assert f"Not all rows of run {run} were sent again" in done.err
    assert f"{path} is as it was" in done.err
    assert path.read_bytes() == before


def test_the_target_runs_as_the_command_that_it_is(
    demandbase: Demandbase, sandbox: Sandbox, config: dict[str, Any], run: str, api: str
) -> None:
    if api == "uapi":
        pytest.skip("a process of one API is enough")
    corrected(config["rejects_path"])
    before = len(sandbox.requests("createImportJob"))
    assert demandbase("rejects", run, "--replay", "--yes", "--json").json["rows_rejected"] == 0
    assert len(sandbox.requests("createImportJob")) == before + 1


def test_without_a_terminal_nothing_is_sent_unless_it_is_confirmed(
    demandbase: Demandbase, run: str
) -> None:
    assert "no terminal to ask at: add --yes" in demandbase("rejects", run, "--replay", code=2).err
    for words in (
        ("--replay",),
        (run, "--replay", "--prune"),
        (run, "--dry-run"),
        (run, "--older-than", "2d"),
    ):
        assert "See “demandbase rejects --help”" in demandbase("rejects", *words, code=2).err


@pytest.mark.usefixtures("quick_target")
@pytest.mark.parametrize("operation", ["upsert", "insert"])
def test_rows_that_demandbase_may_have_are_not_added_twice(
    demandbase: Demandbase, config: dict[str, Any], config_file: str, api: str, operation: str
) -> None:
    if api == "uapi" and operation == "insert":
        pytest.skip("uapi inserts no people")
    Path(config_file).write_text(json.dumps({**config, "operation": operation}))
    path = put_rows(
        config, datetime(2026, 1, 2, tzinfo=UTC), "rejects", _reject_type="uncorrelated"
    )
    os.utime(path, (0, 0))
    options = ("rejects", "2026", "--replay", "--dry-run")
    if operation == "upsert":
        assert demandbase(*options, "--json").json["rows_rejected"] == 0
        return
    found = demandbase(*options, code=1).err
    assert "1 row of stream people are uncorrelated: Demandbase has most of them" in found
    assert str(path) in found


def test_the_file_of_a_run_that_may_be_under_way_is_left_alone(
    demandbase: Demandbase, config: dict[str, Any]
) -> None:
    path = put_rows(config, datetime.now(UTC) - timedelta(days=2), "rejects")
    assert "may still be under way" in demandbase("rejects", "2", "--replay", "--yes", code=1).err
    demandbase("rejects", "--prune", "--older-than", "1d", "--yes")
    assert path.exists()
    os.utime(path, (time.time() - 4000, time.time() - 4000))
    demandbase("rejects", "--prune", "--older-than", "1d", "--yes")
    assert not path.exists()


def test_only_what_is_asked_for_is_pruned(demandbase: Demandbase, config: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    ages = {"old": timedelta(days=91), "young": timedelta(days=89)}
    kinds = ("rejects", "replayed", "undelivered")
    paths = {(kind, age): put_rows(config, now - ages[age], kind) for kind in kinds for age in ages}
    for path in paths.values():
        os.utime(path, (0, 0))
    listed = demandbase("rejects", "--json").json["files"]
    assert min(line["is"] for line in listed) == "not sent"
    assert len(demandbase("rejects", "--prune", "--yes", "--json").json["removed"]) == 2
    left = [key for key, path in paths.items() if path.exists()]
    assert left == [key for key in paths if key[0] != "replayed"]
    found = demandbase("rejects", "--prune", "--older-than", "90d", "--yes", "--json").json
    assert (len(found["removed"]), found["files_left"]) == (2, 2)
    left = [key for key, path in paths.items() if path.exists()]
    assert left == [("rejects", "young"), ("undelivered", "young")]
    assert not paths["undelivered", "old"].parent.exists()


def test_a_signal_is_left_to_the_child() -> None:
    script = "import signal, time; signal.signal(2, lambda *_: exit(7)); print(flush=True)"
    script += "; time.sleep(9)"
    with forwarding_signals() as children:
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        children.append(child)
        assert child.stdout is not None
        child.stdout.readline()
        signal.raise_signal(signal.SIGINT)
        assert child.wait(5) == 7
        child.stdout.close()
