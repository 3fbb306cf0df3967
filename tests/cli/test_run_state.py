"""States of runs in ``state_dir``: what a target has printed is kept, whatever happens then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.config import state as state_place
from tests.command_process import CommandProcess, run_command
from tests.s3_server import BUCKET, S3Server, s3_server

ID = "acme-accounts"


def state(number: int) -> dict[str, Any]:
    return {"bookmarks": {"accounts": {"replication_key_value": f"2026-01-{number:02}"}}}


def line(number: int) -> str:
    return json.dumps(state(number)) + "\n"


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    """Variables that name the place of states; no credentials are needed."""
    return {"TAP_DEMANDBASE_STATE_DIR": str(tmp_path / "state_dir")}


def put(
    place: dict[str, str], text: str, *options: str, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = run_command("demandbase", "state", "put", ID, *options, text=text, **place)
    assert done.returncode == code, done
    assert not done.stdout
    return done


def kept(place: dict[str, str]) -> Any:  # noqa: ANN401
    done = run_command("demandbase", "state", "get", ID, **place)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_the_last_state_of_a_target_is_that_of_the_next_run(place: dict[str, str]) -> None:
    assert kept(place) == {}
    assert not put(place, line(1) + line(2)).stderr
    assert kept(place) == state(2)
    put(place, "")  # the next run has acknowledged nothing
    assert kept(place) == state(2)
    put(place, json.dumps({"type": "STATE", "value": state(3)}) + "\n")
    assert kept(place) == state(3)


def test_each_run_has_a_state_of_its_own(place: dict[str, str], tmp_path: Path) -> None:
    put(place, line(1))
    assert [path.name for path in (tmp_path / "state_dir" / "state").iterdir()] == [f"{ID}.json"]
    other = run_command("demandbase", "state", "get", "globex-accounts", **place)
    assert other.stdout == "{}\n"


def test_half_a_state_is_left_out(place: dict[str, str]) -> None:
    done = put(place, line(1) + line(2)[:-1])
    assert "not complete" in done.stderr
    assert kept(place) == state(1)


def test_other_output_of_a_target_is_no_state_and_not_shown(place: dict[str, str]) -> None:
    done = put(place, f"Loaded ada@example.com\n\n[1]\n{line(1)}null\n")
    assert kept(place) == state(1)
    assert done.stderr == (
        "Warning: The target prints lines that are not a state: they are left out.\n"
    )


def test_a_state_is_kept_before_the_target_ends(place: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM, which ends all processes of a task, loses no state that the target then prints."""
    process = CommandProcess(
        "demandbase", "state", "put", ID, out=tmp_path / "out", err=tmp_path / "err",
        environment=place,
    )  # fmt: skip

    def prints(text: str) -> None:
        os.write(process.stdin.fileno(), text.encode())

    prints(line(1) + line(2)[:20])
    _wait_for(place, state(1))
    process.terminate()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    prints(line(2)[20:])
    _wait_for(place, state(2))
    prints(line(3)[:-5])
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    process.stdin.close()
    assert kept(place) == state(2)


def _wait_for(place: dict[str, str], expected: dict[str, Any]) -> None:
    states = state_place({"state_dir": place["TAP_DEMANDBASE_STATE_DIR"]}).singer_states()
    until = time.monotonic() + 20
    while (found := states.get(f"{ID}.json")) is None or json.loads(found) != expected:
        assert time.monotonic() < until, found
        time.sleep(0.02)


def test_a_place_that_cannot_be_written_ends_the_pipe(
    place: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "state_dir").write_text("a file")
    done = put(place, line(1), code=1)
    assert len(done.stderr.splitlines()) == 1
    assert "state_dir" in done.stderr
    assert run_command("demandbase", "state", "get", ID, **place).returncode == 1


def test_a_state_that_cannot_be_kept_is_said_and_leaves_the_last_one(place: dict[str, str]) -> None:
    put(place, line(1))
    command = Path(sys.executable).with_name("demandbase")
    long = json.dumps({**state(2), "more": "-" * 5000}) + "\n"
    done = subprocess.run(
        ["/bin/bash", "-c", f"ulimit -f 1; exec {command} state put {ID}"],
        input=long, env={**os.environ, **place}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert said.startswith("A state of the run could not be kept, so its rows will come again. ")
    assert "set state_dir to" in said
    assert kept(place) == state(1)


def test_a_kept_state_is_changed_by_a_pipe(place: dict[str, str]) -> None:
    put(place, line(1))
    found = run_command("demandbase", "state", "get", ID, **place)
    changed = run_command("demandbase", "state", "-", "--reset", "accounts", text=found.stdout)
    put(place, changed.stdout)
    assert kept(place) == {"bookmarks": {}}


@pytest.mark.parametrize("text", ["", "../x", ".hidden", "x" * 201])
def test_an_id_is_a_plain_name(place: dict[str, str], text: str) -> None:
    done = run_command("demandbase", "state", "put", text, **place)
    assert done.returncode == 2
    assert "begins with a letter or digit" in done.stderr


@pytest.mark.parametrize("prefix", ["TAP", "TARGET"])
def test_the_plugin_that_is_configured_names_the_place(tmp_path: Path, prefix: str) -> None:
    place = {
        f"{prefix}_DEMANDBASE_STATE_DIR": str(tmp_path / "own"),
        f"{prefix}_DEMANDBASE_ACCESS_TOKEN": "token",
    }
    put(place, line(1))
    assert (tmp_path / "own" / "state" / f"{ID}.json").exists()


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.mark.slow
def test_a_bucket_keeps_a_state_when_the_api_key_changes(server: S3Server) -> None:
    place = {**server.variables, "TAP_DEMANDBASE_STATE_DIR": f"s3://{BUCKET}/plugins"}
    keys = [
        {"TAP_DEMANDBASE_CLIENT_ID": name, "TAP_DEMANDBASE_CLIENT_SECRET": "secret"}
        for name in ("first", "second")
    ]
    assert kept(place | keys[0]) == {}
    put(place | keys[0], line(1) + line(2))
    assert kept(place | keys[1]) == state(2)


@pytest.mark.slow
def test_a_missing_bucket_ends_the_pipe_before_the_run(server: S3Server) -> None:
    place = {**server.variables, "TAP_DEMANDBASE_STATE_DIR": "s3://missing/plugins"}
    for word in ("get", "put"):
        done = run_command("demandbase", "state", word, ID, **place)
        assert done.returncode == 1
        assert "there is no such bucket" in done.stderr
