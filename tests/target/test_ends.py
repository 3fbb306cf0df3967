"""How runs end that are told to, or that find a disk or a folder unusable."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.target.command import Run, running, until
from tests.target.conftest import ACCOUNT, record, schema, state

KEY = "k.example"
LOOSE = {**ACCOUNT, "engagement_score": {"type": ["string", "null"]}}


def kept(folder: Path) -> list[dict[str, Any]]:
    [path] = (folder / "spool").glob("undelivered-*/accounts.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def records(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["record"] for each in messages if each["type"] == "RECORD"]


def rejects(folder: Path) -> list[dict[str, Any]]:
    [path] = (folder / "rejects").glob("rejects-*.jsonl")
    return records([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def stop(run: Run, code: int = 143) -> None:
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(10) == code, run.errors
    assert run.states == []
    assert "Traceback" not in run.errors


FULL = 200_000


def test_rows_that_are_kept_come_in_their_order(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_fault(Fault("uploadImportFile", Effect.DELAY, seconds=60, after=1))
    old = record(domain=KEY, name="old")
    new = record(domain=KEY, name="new")
    with running(sandbox, tmp_path, batch_size_rows=1, max_concurrent_jobs=2) as run:
        run.feed(schema(), record(domain="a.example"), old, new, end=False)
        until(lambda: len(sandbox.requests("createImportJob")) > 1)
        stop(run)
    names = [each.get("name") for each in records(kept(tmp_path)) if each["domain"] == KEY]
    assert names in (["old", "new"], ["old"])  # the second may not have been read yet


def test_a_signal_while_old_columns_are_sent_keeps_all_of_their_rows(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("uploadImportFile", Effect.DELAY, seconds=60))
    wider = {**ACCOUNT, "segment": {"type": ["string", "null"]}}
    with running(sandbox, tmp_path) as run:
        run.feed(schema(), record(domain="a.example"), record(domain="b.example", name="B"),
                 schema(wider), record(domain="c.example"), end=False)  # fmt: skip
        until(sandbox.import_jobs)
        stop(run)
    assert [each["domain"] for each in records(kept(tmp_path))] == ["a.example", "b.example"]


def test_rows_that_may_have_arrived_are_not_told_of_as_unsent(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.NEVER_ENDS))
    sandbox.add_fault(Fault("uploadImportFile", Effect.STALL, seconds=60))
    with running(sandbox, tmp_path) as run:
        run.feed(schema(), record(domain="a.example"), state(1))
        until(lambda: [job["status"] for job in sandbox.import_jobs()] == ["processing"])
        stop(run)
        assert "can no longer be cancelled" in run.errors
        assert "were not sent" not in run.errors
    assert not list((tmp_path / "spool").glob("undelivered-*"))


def test_a_signal_on_a_full_disk_still_ends_the_run_as_it_should(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.NEVER_ENDS))
    big = [record(domain=f"d{n}.example", notes="x" * 50_000) for n in range(3)]
    with running(sandbox, tmp_path, FULL) as run:
        run.feed(schema(), *big, end=False)
        until(lambda: run.staged_files)
        stop(run)
        assert '"records_read":' in run.errors
        # Three records fit; beside their schema they do not.
    assert not sandbox.import_jobs()


def test_a_full_disk_ends_the_run_in_one_sentence(sandbox: Sandbox, tmp_path: Path) -> None:
    rows = [record(domain=f"d{n}.example", notes="x" * 50_000) for n in range(9)]
    with running(sandbox, tmp_path, FULL) as run:
        run.feed(schema(), *rows, state(1))
        assert run.process.wait(30) == 1
        assert "spool_dir" in run.errors.splitlines()[-1]
        assert run.states == []


@pytest.mark.parametrize("messages", [[], [record(domain="a.example"), state(1)]])
def test_a_folder_for_rejects_that_cannot_be_used_shows_before_anything_is_sent(
    sandbox: Sandbox, tmp_path: Path, messages: list[dict[str, Any]]
) -> None:
    (tmp_path / "rejects").write_text("no folder")
    with running(sandbox, tmp_path) as run:
        run.feed(schema(), *messages)
        assert run.process.wait(30) == 1
        assert "rejects_path" in run.errors.splitlines()[-1]
        assert run.states == []
    assert not sandbox.import_jobs()


def test_what_was_rejected_is_kept_though_a_signal_ends_the_run(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("listFieldMappings", Effect.DELAY, seconds=0))
    rows = [record(domain=None, name=str(n)) for n in range(5)]
    with running(sandbox, tmp_path) as run:
        run.feed(schema(), *rows, record(domain="a.example"), end=False)
        until(lambda: run.staged_files)
        stop(run)
    assert [each["name"] for each in rejects(tmp_path)] == ["0", "1", "2", "3", "4"]


def test_figures_that_do_not_add_up_lose_no_rejected_row(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_fault(
        Fault("listImportJobs", Effect.SHIFT, members={"total_rows": 1}, times=None)
    )  # fmt: skip
    bad = record(domain="bad.example", engagement_score="viel")
    good = record(domain="good.example", engagement_score="1")
    with running(sandbox, tmp_path, on_reject="continue") as run:
        run.feed(schema(LOOSE), record(domain=None), good, bad, state(1))
        assert run.process.wait(30) == 1
        assert "total_rows is 3, but should be 2" in run.errors
        assert run.states == []
    assert [each["domain"] for each in rejects(tmp_path)] == [None, "bad.example"]


def test_a_large_cell_beside_a_rejected_one_is_no_trouble(sandbox: Sandbox, tmp_path: Path) -> None:
    bad = record(domain="bad.example", notes="x" * 200_000, engagement_score="viel")
    with running(sandbox, tmp_path, on_reject="continue") as run:
        run.feed(schema(LOOSE), bad, state(1))
        assert run.process.wait(30) == 0, run.errors
    assert [each["domain"] for each in rejects(tmp_path)] == ["bad.example"]


def test_a_slow_upload_does_not_silence_the_progress(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.NEVER_ENDS))
    sandbox.add_fault(Fault("uploadImportFile", Effect.DELAY, seconds=30, after=1))
    with running(sandbox, tmp_path, batch_size_rows=1, max_concurrent_jobs=2) as run:
        run.feed(schema(), record(domain="a.example"), record(domain="b.example"), end=False)
        until(lambda: " s, 0 of 1 rows" in run.errors)


def test_rows_are_staged_while_a_file_goes_up(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_fault(Fault("uploadImportFile", Effect.DELAY, seconds=60))
    with running(sandbox, tmp_path, batch_size_rows=1) as run:
        run.feed(schema(), record(domain="a.example"), end=False)
        until(sandbox.import_jobs)
        run.feed(record(domain="b.example"), end=False)
        until(lambda: run.staged_files >= 4)  # rows and records of either
        stop(run)
    names = [each["domain"] for each in records(kept(tmp_path))]
    assert names in (["a.example"], ["a.example", "b.example"])  # its file may still be empty


def test_a_signal_while_a_file_is_halved_keeps_all_of_it(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_fault(Fault("uploadImportFile", Effect.TOO_LARGE, bytes=100, times=None))
    rows = [record(domain=f"d{n}.example", notes="x" * 50) for n in range(20_000)]
    with running(sandbox, tmp_path) as run:
        run.feed(schema(), *rows)
        until(lambda: "is sent in two halves" in run.errors)
        stop(run)
    assert len(records(kept(tmp_path))) >= 20_000 - 1  # but for what was refused alone


def test_a_signal_while_superseded_rows_are_left_out_keeps_the_others(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.DELAY, seconds=60))
    rows = [record(domain=f"d{n % 15_000}.example", name=str(n)) for n in range(20_000)]
    with running(sandbox, tmp_path) as run:
        run.feed(schema(), *rows)
        until(lambda: "completed processing" in run.errors)
        stop(run)
    names = {each["domain"]: each["name"] for each in records(kept(tmp_path))}
    assert names == {row["record"]["domain"]: row["record"]["name"] for row in rows}


def test_odd_names_are_told_of_and_end_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    odd = {**ACCOUNT, 'we"ird': {"type": "string"}, "tab\there": {"type": "string"}}
    cells: dict[str, Any] = {'we"ird': "x", "a\\b": 1}
    rows = [record(domain=f"d{n}.example", **cells) for n in range(40)]
    with running(sandbox, tmp_path, unknown_fields="drop") as run:
        run.feed(schema(odd), *rows, state(1))
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
