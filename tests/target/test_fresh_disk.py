"""Runs that are killed and continued on another disk: rows that are added land once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from demandbase_api.errors import PossibleDuplicatesError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase import batching
from tests.target.activities import TEXT, Activities, once
from tests.target.command import killed_at, running, until
from tests.target.conftest import Load, Start, landed, people, person, record, schema, state
from tests.target.people_files import CREATE, LIST, MESSAGES, UPLOAD, ended

pytestmark = pytest.mark.thorough


@pytest.fixture
def source(sandbox: Sandbox, api: str, config: dict[str, Any]) -> Activities:
    return Activities(sandbox, api, config)


@pytest.mark.parametrize("call", [CREATE, UPLOAD, LIST])
@pytest.mark.parametrize("batches", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_run_that_was_killed_is_continued_without_its_disk(
    sandbox: Sandbox, load: Load, source: Activities, tmp_path: Path, call: str, batches: int
) -> None:
    messages = source.messages(3 * batches)
    with killed_at(sandbox, call, tmp_path, messages, **source.settings) as run:
        assert run.states == []
    sandbox.clock.advance(60)
    done = load(*messages, **source.settings, spool_dir=str(tmp_path / "fresh"))
    assert done.states == [1]
    assert source.landed == once(3 * batches)
    report = done.report["streams"]["activities"]
    assert report["rows_sent"] == 3 * batches
    assert len(report["jobs"]) == batches


@pytest.mark.parametrize("disk", ["spool", "fresh"])
@pytest.mark.parametrize(
    ("states", "size", "first"),
    [
        (range(2, 21, 2), 7, 8),  # a batch ends at a state
        ((3, 14, 20), 10, 0),  # in the middle of the first batch, which is full without another
    ],
)
def test_a_run_that_was_killed_between_batches_is_continued_from_its_last_state(
    sandbox: Sandbox, load: Load, source: Activities, tmp_path: Path, disk: str,
    states: Sequence[int], size: int, first: int,
) -> None:  # fmt: skip
    settings = {**source.settings, "batch_size_rows": size}

    def messages(first: int) -> list[dict[str, Any]]:
        found = [source.head]
        for number in range(first, 20):
            found.append(source.row(number))
            if number + 1 in states:
                found.append(state(number + 1))
        return found

    sandbox.add_fault(Fault(UPLOAD, Effect.STALL, seconds=60, after=2 if first else 1))
    with running(sandbox, tmp_path, **settings) as run:
        run.feed(*messages(0))
        until(lambda: len(sandbox.requests(UPLOAD)) > (2 if first else 1))
    sandbox.clear_faults()
    assert max([0, *run.states]) == first
    assert source.landed.total() > first
    done = load(*messages(first), **settings, spool_dir=str(tmp_path / disk))
    assert done.states[-1] == 20
    assert source.landed == once(20)


@pytest.mark.v1_only("uapi inserts activities only")
@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 2, 3, 4, 5))]
)
def test_a_run_can_continue_from_each_state_with_the_same_files(
    sandbox: Sandbox, load: Load, source: Activities, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    accounts = {**schema(stream="accounts", key="domain"), "key_properties": []}
    messages = [source.head, accounts]
    for number in range(60):
        share = 0.5 if seed % 2 else (0.9 if number < 30 else 0.1)
        is_activity = chance.random() < share
        account = record(domain=f"d{number}.example", name="n")
        messages.append(source.row(number) if is_activity else account)
        if chance.random() < (0.1 if seed % 3 else 0.6):
            messages.append(state(len(messages) + 1))
    messages.append(state(len(messages) + 1))
    settings = {**source.settings, "batch_size_rows": 7, "max_concurrent_jobs": 1}

    def sent(messages: list[dict[str, Any]]) -> tuple[list[Any], list[bytes]]:
        sandbox.reset()
        done = load(*messages, **settings, spool_dir=str(tmp_path / str(len(messages))))
        jobs = reversed(sandbox.import_jobs())
        return done.states, [file for job in jobs for file in sandbox.uploaded_files(job["id"])]

    states, files = sent(messages)
    assert states[-1] == len(messages)
    assert len(states) > 3
    for value in states[:-1]:
        _, later = sent([source.head, accounts, *messages[value:]])
        assert sorted(later) == sorted(set(files).intersection(later))


def test_a_slow_source_gets_its_states_though_its_batches_are_old_before_they_are_full(
    load: Load, source: Activities, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = count()
    clock = SimpleNamespace(monotonic=lambda: next(minutes) * 60.0)
    monkeypatch.setattr(batching, "time", clock)
    messages = [source.head]
    for number in range(40):
        messages.append(source.row(number))
        if number % 3 == 0:
            messages.append(state(number + 1))
    done = load(*messages, **{**source.settings, "batch_size_rows": 1000})
    assert len(done.states) > 1
    assert source.landed == once(40)


def test_the_last_state_is_written_though_rows_follow_it(load: Load, source: Activities) -> None:
    rows = [source.row(number) for number in range(8)]
    done = load(source.head, rows[0], state(1), *rows[1:], **source.settings)
    assert done.states == [1]


@pytest.mark.slow
@pytest.mark.parametrize(("disk", "times"), [("spool", 1), ("fresh", 2)])
def test_rows_whose_job_the_list_does_not_show_are_added_again_only_without_the_disk(
    sandbox: Sandbox, load: Load, source: Activities, tmp_path: Path, disk: str, times: int
) -> None:
    with killed_at(sandbox, LIST, tmp_path, source.messages(3), **source.settings):
        pass
    sandbox.add_fault(Fault(LIST, Effect.LAG, seconds=3600, times=None))
    done = load(*source.messages(3), **source.settings, spool_dir=str(tmp_path / disk))
    assert done.states == [1]
    assert source.landed == Counter({f"row {number}": times for number in range(3)})


def test_rows_that_are_written_by_key_are_sent_again_without_the_disk_and_double_nothing(
    sandbox: Sandbox, load: Load, config: dict[str, Any], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    with killed_at(sandbox, LIST, tmp_path, MESSAGES, **config) as run:
        assert run.states == []
    assert load(*MESSAGES, spool_dir=str(tmp_path / "fresh")).states == [1]
    assert ended(sandbox) == ["completed", "completed"]
    assert "sending them again doubles nothing" in caplog.text
    numbers = [str(row["person_id"]) for row in sandbox.rows("people")]
    assert [numbers.count(f"n{number}") for number in range(4)] == [1, 1, 1, 1]


@pytest.mark.slow
def test_two_runs_that_share_no_folder_do_not_wait_for_each_other(
    sandbox: Sandbox, config: dict[str, Any], start: Start, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    with start(batch_size_rows=1) as first:
        first.feed(people(), person(1, title="old"), state("old"), end=False)
        until(lambda: first.states == ["old"])
        with running(sandbox, second, **config) as other:
            other.feed(people(), person(1, title="new"), state("new"))
            assert other.process.wait(30) == 0, other.errors
            assert "Waiting for another run" not in other.errors
        first.feed(person(1, title="late"), state("late"))
        assert first.process.wait(30) == 0, first.errors
    assert landed(sandbox)["1"]["title"] == "late"


def test_rows_that_a_terminated_run_had_on_its_disk_come_again(
    sandbox: Sandbox, start: Start, load: Load, tmp_path: Path
) -> None:
    with start() as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.staged_files)
        run.process.terminate()
        assert run.process.wait(10) == 143
        assert run.states == []
    assert load(*MESSAGES, spool_dir=str(tmp_path / "fresh")).states == [1]
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


@pytest.mark.v1_only("uapi has no row errors")
def test_the_rows_that_the_server_rejected_are_kept_by_the_run_that_follows(
    sandbox: Sandbox, load: Load, source: Activities, tmp_path: Path
) -> None:
    messages = source.messages(3)
    messages[0]["schema"]["properties"]["duration_seconds"] = TEXT
    for message, duration in zip(messages[1:4], ("1", "viel", "2"), strict=True):
        message["record"]["duration_seconds"] = duration
    settings = {**source.settings, "on_reject": "continue"}
    with killed_at(sandbox, LIST, tmp_path, messages, **settings):
        pass
    done = load(*messages, **settings, spool_dir=str(tmp_path / "fresh"))
    assert done.states == [1]
    assert source.landed == Counter({"row 0": 1, "row 2": 1})
    assert [row["subject"] for row in done.rejects] == ["row 1"]
    assert len(sandbox.import_jobs()) == 1


def test_rows_that_a_run_delivered_are_added_again_if_they_come_again_on_the_same_disk(
    load: Load, source: Activities
) -> None:
    for number in (1, 2, 3):
        assert load(*source.messages(3, number), **source.settings).states == [number]
        assert source.landed == Counter({f"row {n}": number for n in range(3)})


def test_without_the_disk_equal_rows_are_added_again_after_a_day(
    sandbox: Sandbox, load: Load, source: Activities, tmp_path: Path
) -> None:
    for number, (hours, times) in enumerate(((0, 1), (23, 1), (1.1, 2))):
        sandbox.clock.advance(hours * 3600)
        folder = str(tmp_path / str(number))
        assert load(*source.messages(3), **source.settings, spool_dir=folder).states == [1]
        assert set(source.landed.values()) == {times}


def test_a_failed_import_stops_the_same_rows_without_the_disk_too(
    sandbox: Sandbox, load: Load, source: Activities, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.JOB_FAILS, rows=1))
    messages = source.messages(3)
    with killed_at(sandbox, LIST, tmp_path, messages, **source.settings):
        pass
    with pytest.raises(PossibleDuplicatesError, match="until the job is 24 hours old"):
        load(*messages, **source.settings, spool_dir=str(tmp_path / "fresh"))
    assert source.landed == once(1)


def test_a_server_that_changes_the_names_of_files_is_told_of(
    sandbox: Sandbox, load: Load, source: Activities, caplog: pytest.LogCaptureFixture
) -> None:
    name = {"file_name": "f.csv", "dataImportName": "f.csv"}
    sandbox.add_fault(Fault(LIST, Effect.ALTER, items={}, members=name, times=None))
    sandbox.add_fault(Fault("getImportJob", Effect.ALTER, members=name, times=None))
    assert load(*source.messages(9), **source.settings).states == [1]
    assert caplog.text.count("does not return the name of the file of the import job") == 1
    assert caplog.text.count("keep state_dir between runs") == 1
