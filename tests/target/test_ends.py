"""How runs end on a signal, or if a disk or a folder cannot be used."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.target.command import Run, until
from tests.target.conftest import PERSON, Start, people, person, state
from tests.target.people_files import CREATE, UPLOAD

pytestmark = pytest.mark.thorough

NARROW = {name: PERSON[name] for name in PERSON if name != "phone"}
LOOSE = {**PERSON, "lead_score": {"type": ["string", "null"]}}


def kept(folder: Path) -> list[dict[str, Any]]:
    paths = [*(folder / "spool").glob("undelivered-*/people.jsonl")]
    assert len(paths) <= 1
    return [
        json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()
    ]


def records(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["record"] for each in messages if each["type"] == "RECORD"]


def rejects(folder: Path) -> list[dict[str, Any]]:
    [path] = (folder / "rejects").glob("rejects-*.jsonl")
    return records([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def is_uploading(folder: Path) -> bool:
    journal = (folder / "spool" / "target-demandbase-ledger").glob("*.json")
    return any('"uploading"' in path.read_text(encoding="utf-8") for path in journal)


def stop(run: Run, code: int = 143) -> None:
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(30) == code, run.errors
    assert run.states == []
    assert "Traceback" not in run.errors


FULL = 200_000


@pytest.mark.v1_only("where nothing can be cancelled, the older of the two may land")
def test_rows_that_are_kept_come_in_their_order(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.DELAY, seconds=60, after=1))
    old = person("k", title="old")
    new = person("k", title="new")
    with start(batch_size_rows=1, max_concurrent_jobs=2) as run:
        run.feed(people(), person("a"), old, new, end=False)
        until(lambda: len(sandbox.requests(CREATE)) > 1)
        stop(run)
    names = [each.get("title") for each in records(kept(tmp_path)) if each["person_id"] == "nk"]
    assert names in (["old", "new"], ["old"])  # the second may not have been read yet


def test_a_signal_while_old_columns_are_sent_keeps_all_of_their_rows(
    sandbox: Sandbox, start: Start, api: str, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.DELAY, seconds=60))
    with start() as run:
        run.feed(people(NARROW), person("a"), person("b", title="B"),
                 people(), person("c"), end=False)  # fmt: skip
        until(sandbox.import_jobs)
        stop(run)
    names = [each["person_id"] for each in records(kept(tmp_path))]
    # Where nothing can be cancelled, what is on its way up may land, and is resumed.
    assert names in ((["na", "nb"],) if api == "v1" else (["na", "nb"], ["nb"]))


def test_rows_that_may_have_arrived_are_not_logged_as_unsent(
    sandbox: Sandbox, start: Start, api: str, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    sandbox.add_fault(Fault(UPLOAD, Effect.STALL, seconds=60))
    with start() as run:
        run.feed(people(), person("a"), state(1))
        until(lambda: [job["status"] for job in sandbox.import_jobs()] == ["processing"])
        stop(run)
        said = "can no longer be cancelled" if api == "v1" else "since this API cannot cancel it"
        assert said in run.errors
        assert "were not sent" not in run.errors
    assert not list((tmp_path / "spool").glob("undelivered-*"))


def test_a_signal_on_a_full_disk_still_ends_the_run_as_it_should(
    sandbox: Sandbox, start: Start
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    big = [person(n, title="x" * 50_000) for n in range(3)]
    with start(FULL) as run:
        run.feed(people(), *big, end=False)
        until(lambda: run.staged_files)
        stop(run)
        assert '"records_read":' in run.errors
        # Three records fit; with their schema they do not.
    assert not sandbox.import_jobs()


def test_a_full_disk_ends_the_run_in_one_sentence(start: Start) -> None:
    rows = [person(n, title="x" * 50_000) for n in range(9)]
    with start(FULL) as run:
        run.feed(people(), *rows, state(1))
        assert run.process.wait(30) == 1
        assert "spool_dir" in run.errors.splitlines()[-1]
        assert run.states == []


@pytest.mark.parametrize("messages", [[], [person("a"), state(1)]])
def test_a_folder_for_rejects_that_cannot_be_used_shows_before_anything_is_sent(
    sandbox: Sandbox, start: Start, tmp_path: Path, messages: list[dict[str, Any]]
) -> None:
    (tmp_path / "rejects").write_text("no folder")
    with start() as run:
        run.feed(people(), *messages)
        assert run.process.wait(30) == 1
        assert "rejects_path" in run.errors.splitlines()[-1]
        assert run.states == []
    assert not sandbox.import_jobs()


def test_what_was_rejected_is_kept_though_a_signal_ends_the_run(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("listFieldMappings", Effect.DELAY, seconds=0))
    rows = [person(n, person_id=None, title=str(n)) for n in range(5)]
    with start() as run:
        run.feed(people(), *rows, person("a"), end=False)
        until(lambda: run.staged_files)
        stop(run)
    assert [each["title"] for each in rejects(tmp_path)] == ["0", "1", "2", "3", "4"]


@pytest.mark.v1_only("uapi reports no row outcomes")
def test_a_large_value_in_a_rejected_row_is_no_trouble(start: Start, tmp_path: Path) -> None:
    bad = person("bad", title="x" * 200_000, lead_score="viel")
    with start(on_reject="continue") as run:
        run.feed(people(LOOSE), bad, state(1))
        assert run.process.wait(30) == 0, run.errors
    assert [each["person_id"] for each in rejects(tmp_path)] == ["nbad"]


@pytest.mark.slow
@pytest.mark.v1_only("what is waited for, ten seconds long, is no part of an API")
def test_a_slow_upload_does_not_silence_the_progress(start: Start, sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    sandbox.add_fault(Fault(UPLOAD, Effect.DELAY, seconds=30, after=1))
    with start(batch_size_rows=1, max_concurrent_jobs=2) as run:
        run.feed(people(), person("a"), person("b"), end=False)
        until(lambda: " s, 0 of 1 rows" in run.errors)


def test_rows_are_staged_while_a_file_goes_up(
    sandbox: Sandbox, start: Start, api: str, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.DELAY, seconds=60))
    with start(batch_size_rows=1) as run:
        run.feed(people(), person("a"), end=False)
        until(lambda: is_uploading(tmp_path))
        run.feed(person("b"), end=False)
        until(lambda: run.staged_files >= 4)  # rows and records of either
        stop(run)
    names = [each["person_id"] for each in records(kept(tmp_path))]
    # The second's file may still be empty; where nothing can be cancelled, the first may land.
    assert names in ((["na"], ["na", "nb"]) if api == "v1" else ([], ["nb"]))


def test_a_signal_while_a_file_is_halved_keeps_all_of_it(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.STATUS, status=413))
    sandbox.add_fault(Fault(CREATE, Effect.DELAY, seconds=60, after=1))
    rows = [person(n, title="x" * 50) for n in range(20_000)]
    with start() as run:
        run.feed(people(), *rows)
        until(lambda: "is sent in two halves" in run.errors)
        stop(run)
    assert len(records(kept(tmp_path))) == 20_000


def test_a_signal_while_superseded_rows_are_left_out_keeps_the_others(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.DELAY, seconds=60))
    rows = [person(n % 15_000, title=str(n)) for n in range(20_000)]
    with start() as run:
        run.feed(people(), *rows)
        until(lambda: "completed processing" in run.errors)
        stop(run)
    names = {each["person_id"]: each["title"] for each in records(kept(tmp_path))}
    assert names == {row["record"]["person_id"]: row["record"]["title"] for row in rows}


def test_odd_names_are_logged_and_end_nothing(start: Start) -> None:
    odd = {**PERSON, 'we"ird': {"type": "string"}, "tab\there": {"type": "string"}}
    cells: dict[str, Any] = {'we"ird': "x", "a\\b": 1}
    rows = [person(n, **cells) for n in range(40)]
    with start(unknown_fields="drop") as run:
        run.feed(people(odd), *rows, state(1))
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]


def test_the_report_of_a_stopped_run_has_the_job_that_was_under_way(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.DELAY, seconds=60))
    with start(batch_size_rows=1) as run:
        run.feed(people(), person("a"), person("b"), end=False)
        until(lambda: is_uploading(tmp_path))
        stop(run)
    [path] = (tmp_path / "rejects").glob("report-*.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["outcome"] == "interrupted"
    assert report["error"] == run.errors.splitlines()[-1].split(" | ")[-1]
    [job] = report["streams"]["people"]["jobs"]
    assert (job["id"], job["rows"], job["seconds"]) == (sandbox.import_jobs()[0]["id"], 1, None)
    assert job["adopted"] is False
    assert "uploading" in {each["phase"] for each in job["phases"]}
