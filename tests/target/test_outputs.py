"""What the target does if its outputs are gone, closed, full or stuck."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from target_demandbase.rejects import SingerFile
from tests.command_process import CommandProcess, written
from tests.target.command import until
from tests.target.conftest import Start, landed, people, person, state

pytestmark = pytest.mark.thorough

FULL = Path("/dev/full")
ONCE = pytest.mark.v1_only("an output is no part of an API")


@contextmanager
def running(
    config: dict[str, Any], folder: Path, *, out: Path | None, err: Path | None
) -> Iterator[CommandProcess]:
    """The command with these files as its outputs; ``None`` is one that is closed."""
    own = {"spool_dir": str(folder / "spool"), "rejects_path": str(folder / "rejects")}
    file = folder / "config.json"
    file.write_text(json.dumps({**config, "poll_interval_seconds": 1, **own}))
    process = CommandProcess("target-demandbase", "--config", str(file), out=out, err=err)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def feed(process: CommandProcess, *messages: dict[str, Any]) -> None:
    process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
    process.stdin.flush()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        (FULL, "No space left on device"),
        pytest.param(None, "it is closed", marks=ONCE),
        pytest.param(Path("pipe"), "its reader has ended", marks=ONCE),
    ],
    ids=["full", "closed", "ended"],
)
def test_a_state_that_cannot_be_written_ends_the_run(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path, out: Path | None, said: str
) -> None:
    reader = None
    if out == Path("pipe"):
        os.mkfifo(out)
        reader = os.open(out, os.O_RDWR)
    with running(config, tmp_path, out=out, err=tmp_path / "err") as run:
        feed(run, people(), person("a"))
        until(lambda: written(tmp_path / "err"))
        if reader is not None:
            os.close(reader)
        feed(run, state(1))
        run.stdin.close()
        assert run.wait(30) == 1
    errors = written(tmp_path / "err")
    what = "rows have landed, but the state could not be written to standard output"
    assert f"{what}: {said}" in errors.splitlines()[-1]
    for bad in ("Traceback", "Unexpected", "Exception ignored"):
        assert bad not in errors
    assert list(landed(sandbox)) == ["a"]
    # What no state covers is not sent again by the next run.
    with running(config, tmp_path, out=tmp_path / "out", err=tmp_path / "err") as run:
        feed(run, people(), person("a"), state(1))
        run.stdin.close()
        assert run.wait(30) == 0
    assert (tmp_path / "out").read_text() == "1\n"
    assert len(sandbox.import_jobs()) == 1


@pytest.mark.parametrize("err", [FULL, pytest.param(None, marks=ONCE)], ids=["full", "closed"])
def test_standard_error_changes_nothing_of_the_outcome(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path, err: Path | None
) -> None:
    out = tmp_path / "out"
    with running(config, tmp_path, out=out, err=err) as run:
        feed(run, people(), person("a"), state(1))
        run.stdin.close()
        assert run.wait(30) == 0
    assert out.read_text() == "1\n"
    assert list(landed(sandbox)) == ["a"]


@ONCE
@pytest.mark.parametrize("is_read", [True, False], ids=["read", "stuck"])
def test_a_signal_while_a_large_state_is_written_leaves_whole_lines_or_waits_no_longer(
    start: Start, tmp_path: Path, *, is_read: bool
) -> None:
    os.mkfifo(tmp_path / "out")
    with start() as run, (tmp_path / "out").open("rb") as reader:
        run.feed(people(), person("a"), state("x" * 3_000_000))
        select.select([reader], [], [], 30)
        run.process.send_signal(signal.SIGTERM)
        output = reader.read() if is_read else b""
        assert run.process.wait(30) == 143
        assert "Stopped by SIGTERM" in run.errors.splitlines()[-1]
    if is_read:
        assert output == json.dumps("x" * 3_000_000).encode() + b"\n"


@ONCE
def test_rows_that_a_full_disk_cuts_off_leave_no_half_line(start: Start, tmp_path: Path) -> None:
    rejected = [person(n, person_id=None, title="x" * 30_000) for n in range(9)]
    with start(200_000, on_reject="continue") as run:
        run.feed(people(), *rejected, state(1))
        assert run.process.wait(30) == 1
        assert "rejects_path" in run.errors.splitlines()[-1]
        assert run.states == []
    [path] = (tmp_path / "rejects").glob("rejects-*.jsonl")
    text = path.read_text(encoding="utf-8")
    kept = [json.loads(line) for line in text.splitlines()]
    assert text.endswith("\n")
    assert [message["type"] for message in kept] == ["SCHEMA", *["RECORD"] * (len(kept) - 1)]
    assert len(kept) > 5


def test_what_a_full_disk_did_not_take_follows_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SingerFile(tmp_path / "rejects.jsonl", "people")
    write = os.write

    def fill(descriptor: int, data: memoryview) -> int:
        monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        return write(descriptor, data[: len(data) - 10])

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(OSError, match="full"):
        file.add({}, [], {"n": 1})
    assert file.path.read_bytes().count(b"\n") == 1  # of the schema
    assert file.path.read_bytes().endswith(b"\n")
    monkeypatch.setattr(os, "write", write)
    file.add({}, [], {"n": 2})
    file.flush()
    lines = [json.loads(line) for line in file.path.read_text(encoding="utf-8").splitlines()]
    assert [line["type"] for line in lines] == ["SCHEMA", "RECORD", "RECORD"]
    assert [line["record"]["n"] for line in lines[1:]] == [1, 2]
