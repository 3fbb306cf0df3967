"""Entries of the journal: who may use them, and when they are removed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest

from demandbase_api.errors import JournalError
from demandbase_api.jobs.import_journal import ImportJournal, JournalEntry, Phase

ENTRY = JournalEntry("f00d", "s", "accounts", "upsert", 3, "2026-01-02T03:04:05+00:00")
_OTHER_RUN = """
import sys
from pathlib import Path
from demandbase_api.jobs.import_journal import ImportJournal, JournalEntry
journal = ImportJournal(Path(sys.argv[1]), "other")
journal.put(JournalEntry("f00d", "s", "accounts", "upsert", 3, "2026-01-02T03:04:06+00:00"))
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another run, still running, that has sent the same file."""
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER_RUN, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_an_entry_is_there_for_the_next_run(tmp_path: Path) -> None:
    first = ImportJournal(tmp_path, "r1")
    first.put(ENTRY.now(Phase.CREATED, "job-1"))
    first.close()
    found = ImportJournal(tmp_path, "r2").find("f00d")
    assert found is not None
    assert (found.phase, found.job_id, found.owner) == (Phase.CREATED, "job-1", "r1")


def test_taking_an_entry_over_leaves_one(tmp_path: Path) -> None:
    first = ImportJournal(tmp_path, "r1")
    entry = first.put(ENTRY)
    first.close()
    second = ImportJournal(tmp_path, "r2")
    second.put(entry.now(Phase.CREATED, "job-1"))
    assert [path.name for path in tmp_path.glob("*.json")] == ["f00d.r2.json"]
    assert second.left_behind() == []


def test_the_entry_of_a_running_run_for_the_same_file_stays(tmp_path: Path) -> None:
    with other_run(tmp_path) as other:
        journal = ImportJournal(tmp_path, "r1")
        assert journal.find("f00d") is None
        journal.put(ENTRY)
        journal.forget("f00d")
        assert [path.name for path in tmp_path.glob("*.json")] == ["f00d.other.json"]
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert [entry.owner for entry in journal.left_behind()] == ["other"]


def test_the_lock_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    with other_run(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    (tmp_path / "f00d.other.json").unlink()
    lock = tmp_path / "other.alive"
    an_hour_ago = time.time() - 3600
    os.utime(lock, (an_hour_ago, an_hour_ago))
    journal = ImportJournal(tmp_path, "r1")
    journal.put(ENTRY)
    assert not lock.exists()
    journal.forget("f00d")
    journal.close()
    assert not tmp_path.exists()


def test_the_lock_of_a_running_run_stays(tmp_path: Path) -> None:
    with other_run(tmp_path):
        lock = tmp_path / "other.alive"
        os.utime(lock, (0, 0))
        ImportJournal(tmp_path, "r1").put(ENTRY)
        assert lock.exists()


def test_runs_that_end_do_not_remove_the_folder_of_one_that_starts(tmp_path: Path) -> None:
    folder = tmp_path / "journal"

    def runs(name: str) -> None:
        for number in range(40):
            journal = ImportJournal(folder, f"{name}{number}")
            journal.put(ENTRY)
            journal.forget(ENTRY.fingerprint)
            journal.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(runs, "abcd"))


WRITTEN = {**asdict(ENTRY), "owner": "r1"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty"),
        (b"{", "truncated"),
        (b"[]", "array"),
        (b"\xff", "malformed"),
        (json.dumps({**WRITTEN, "phase": "later"}).encode(), "enum"),
        (json.dumps({**WRITTEN, "began_at": "2026-01-02T03:04:05"}).encode(), "no zone"),
        *(
            (json.dumps({key: WRITTEN[key] for key in WRITTEN if key != name}).encode(), name)
            for name in ("fingerprint", "stream", "entity", "operation", "rows", "began_at")
        ),
    ],
)
def test_an_unreadable_entry_ends_the_run_and_is_named(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "f00d.r1.json"
    path.write_bytes(content)
    journal = ImportJournal(tmp_path, "r2")
    for read in (partial(journal.alike, "f00d"), journal.left_behind):
        with pytest.raises(JournalError, match=f"{path} cannot be read: .*{problem}"):
            read()


def test_what_a_running_run_writes_is_its_own(tmp_path: Path) -> None:
    with other_run(tmp_path):
        (tmp_path / "f00d.other.json").write_bytes(b"")
        assert ImportJournal(tmp_path, "r2").left_behind() == []


def test_unknown_members_of_an_entry_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "f00d.r1.json").write_text(json.dumps({**WRITTEN, "colour": [1]}))
    assert ImportJournal(tmp_path, "r2").left_behind() == [replace(ENTRY, owner="r1")]


def test_an_entry_that_vanishes_while_it_is_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ImportJournal(tmp_path, "r1").put(ENTRY)
    [path] = tmp_path.glob("*.json")
    journal = ImportJournal(tmp_path, "r2")
    monkeypatch.setattr(Path, "read_bytes", lambda each: each.unlink() or each.open("rb"))
    assert journal.alike("f00d") == []
    assert not path.exists()


def test_an_import_that_a_person_gave_up_is_known_by_its_job(tmp_path: Path) -> None:
    ImportJournal(tmp_path, "r1").put(ENTRY.now(Phase.UPLOADED, "job-1"))
    [path] = tmp_path.glob("*.json")
    given_up = path.rename(tmp_path / f"{path.name}.given-up")
    journal = ImportJournal(tmp_path, "r2")
    assert journal.left_behind() == []
    assert journal.given_up() == {"job-1"}
    os.utime(given_up, (0, 0))
    assert journal.given_up() == frozenset()


def test_one_entry_of_twins_is_dropped_and_all_are_forgotten(tmp_path: Path) -> None:
    for owner in ("r1", "r2", "r3"):
        (tmp_path / f"f00d.{owner}.json").write_text(json.dumps({**WRITTEN, "owner": owner}))
    journal = ImportJournal(tmp_path, "r3")
    first, second = journal.left_behind()
    journal.drop(first)
    assert [entry.owner for entry in journal.alike("f00d")] == ["r2", "r3"]
    adopted = journal.adopt(second, "f00d-2")
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [
        "f00d-2.r3.json", "f00d.r3.json",
    ]  # fmt: skip
    assert [entry.fingerprint for entry in journal.alike("f00d-2")] == ["f00d", "f00d-2"]
    journal.forget("f00d")
    assert journal.alike("f00d") == [adopted]
    assert journal.find("f00d-2") == adopted


def test_entries_of_jobs_at_another_api_are_none(tmp_path: Path) -> None:
    ImportJournal(tmp_path, "r1", "https://a.example").put(ENTRY)
    assert ImportJournal(tmp_path, "r2", "https://b.example").left_behind() == []
    [entry] = ImportJournal(tmp_path, "r2", "https://a.example").left_behind()
    assert entry.origin == "https://a.example"
