"""Entries of the journal: who may use them, and when they are removed."""

from __future__ import annotations

import errno
import io
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
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from demandbase_api.errors import JournalError, SpoolError
from demandbase_api.jobs.import_journal import ImportFile, JournalEntry, Phase
from tests.api.state_folders import import_journal

ENTRY = JournalEntry("f00d", "s", "accounts", "upsert", 3, "2026-01-02T03:04:05+00:00")
_OTHER_RUN = """
import sys
from pathlib import Path
from demandbase_api.jobs.import_journal import JournalEntry
from tests.api.state_folders import import_journal
journal = import_journal(Path(sys.argv[1]), "other")
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
    first = import_journal(tmp_path, "r1")
    first.put(ENTRY.now(Phase.CREATED, "job-1"))
    first.close()
    found = import_journal(tmp_path, "r2").find("f00d")
    assert found is not None
    assert (found.phase, found.job_id, found.owner) == (Phase.CREATED, "job-1", "r1")


def test_taking_an_entry_over_leaves_one(tmp_path: Path) -> None:
    first = import_journal(tmp_path, "r1")
    entry = first.put(ENTRY)
    first.close()
    second = import_journal(tmp_path, "r2")
    second.put(entry.now(Phase.CREATED, "job-1"))
    assert [path.name for path in tmp_path.glob("*.json")] == ["f00d.r2.json"]
    assert second.left_behind() == []


def test_the_entry_of_a_running_run_for_the_same_file_stays(tmp_path: Path) -> None:
    with other_run(tmp_path) as other:
        journal = import_journal(tmp_path, "r1")
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
    journal = import_journal(tmp_path, "r1")
    journal.put(ENTRY)
    assert not lock.exists()
    journal.forget("f00d")
    journal.close()
    assert not tmp_path.exists()


def test_the_lock_of_a_running_run_stays(tmp_path: Path) -> None:
    with other_run(tmp_path):
        lock = tmp_path / "other.alive"
        os.utime(lock, (0, 0))
        import_journal(tmp_path, "r1").put(ENTRY)
        assert lock.exists()


def test_runs_that_end_do_not_remove_the_folder_of_one_that_starts(tmp_path: Path) -> None:
    folder = tmp_path / "journal"

    def runs(name: str) -> None:
        for number in range(40):
            journal = import_journal(folder, f"{name}{number}")
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
    journal = import_journal(tmp_path, "r2")
    for read in (partial(journal.alike, "f00d"), journal.left_behind):
        with pytest.raises(JournalError, match=f"{path} cannot be read: .*{problem}"):
            read()


def test_what_a_running_run_writes_is_its_own(tmp_path: Path) -> None:
    with other_run(tmp_path):
        (tmp_path / "f00d.other.json").write_bytes(b"")
        assert import_journal(tmp_path, "r2").left_behind() == []


def test_unknown_members_of_an_entry_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "f00d.r1.json").write_text(json.dumps({**WRITTEN, "colour": [1]}))
    assert import_journal(tmp_path, "r2").left_behind() == [replace(ENTRY, owner="r1")]


def test_an_entry_that_vanishes_while_it_is_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_journal(tmp_path, "r1").put(ENTRY)
    [path] = tmp_path.glob("*.json")
    journal = import_journal(tmp_path, "r2")
    monkeypatch.setattr(Path, "read_bytes", lambda each: each.unlink() or each.open("rb"))
    assert journal.alike("f00d") == []
    assert not path.exists()


def test_an_import_that_a_person_gave_up_is_known_by_its_job_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_journal(tmp_path, "r1").put(ENTRY.now(Phase.UPLOADED, "job-1"))
    [path] = tmp_path.glob("*.json")
    given_up = path.rename(tmp_path / f"{path.name}.given-up")
    journal = import_journal(tmp_path, "r2")
    assert journal.left_behind() == []
    assert journal.given_up() == {"job-1"}
    (tmp_path / "f00d.r3.json.given-up").write_text("unreadable")
    without_id = json.dumps({**WRITTEN, "job_id": None})
    (tmp_path / "f00d.r4.json.given-up").write_text(without_id)
    (tmp_path / "f00d.r5.json.given-up").symlink_to(tmp_path / "removed")
    for age, known in ((86_399, {"job-1"}), (86_401, set())):
        monkeypatch.setattr(time, "time", lambda age=age: given_up.stat().st_mtime + age)
        assert journal.given_up() == known


def test_one_entry_of_twins_is_dropped_and_all_are_forgotten(tmp_path: Path) -> None:
    for owner in ("r1", "r2", "r3"):
        (tmp_path / f"f00d.{owner}.json").write_text(json.dumps({**WRITTEN, "owner": owner}))
    journal = import_journal(tmp_path, "r3")
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
    import_journal(tmp_path, "r1", "https://a.example").put(ENTRY)
    assert import_journal(tmp_path, "r2", "https://b.example").left_behind() == []
    [entry] = import_journal(tmp_path, "r2", "https://a.example").left_behind()
    assert entry.origin == "https://a.example"


def test_the_newest_entry_of_a_file_is_found_and_the_oldest_comes_first(tmp_path: Path) -> None:
    for owner, second in (("r1", 5), ("r2", 7), ("r3", 6)):
        began_at = f"2026-01-02T03:04:0{second}+00:00"
        members = json.dumps({**WRITTEN, "owner": owner, "began_at": began_at})
        (tmp_path / f"f00d.{owner}.json").write_text(members)
    journal = import_journal(tmp_path, "r4")
    found = journal.find("f00d")
    assert found is not None
    assert found.owner == "r2"
    assert [entry.owner for entry in journal.alike("f00d")] == ["r1", "r3", "r2"]
    assert journal.find("f00") is None


def test_an_entry_of_this_run_is_adopted_in_place(tmp_path: Path) -> None:
    journal = import_journal(tmp_path, "r1")
    entry = journal.put(ENTRY)
    assert journal.adopt(entry, "f00d") == entry
    assert journal.alike("f00d") == [entry]


def test_an_entry_keeps_its_job_in_other_phases() -> None:
    entry = ENTRY.now(Phase.CREATED, "job-1").now(Phase.UPLOADED)
    assert (entry.phase, entry.job_id) == (Phase.UPLOADED, "job-1")
    assert entry.now(Phase.CREATED, "job-2").job_id == "job-2"


def test_entries_and_locks_are_private_and_end_with_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = import_journal(folder, "r1")
    journal.put(ENTRY)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"f00d.r1.json": 0o600, "r1.alive": 0o600}
    journal.close()
    journal.close()
    assert [path.name for path in folder.iterdir()] == ["f00d.r1.json"]
    journal.put(ENTRY)
    assert (folder / "r1.alive").is_file()
    journal.close()


def test_a_run_locks_its_file_once_and_from_any_thread(tmp_path: Path) -> None:
    journal = import_journal(tmp_path, "r1")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(journal.put, ENTRY).result()
    other = import_journal(tmp_path, "r2")
    journal.put(ENTRY)
    assert other.left_behind() == []
    journal.close()
    assert [entry.owner for entry in other.left_behind()] == ["r1"]


@pytest.mark.parametrize(("age", "stays"), [(60, True), (61, False)])
def test_a_lock_that_may_be_about_to_be_taken_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int, *, stays: bool
) -> None:
    lock = tmp_path / "starts.alive"
    lock.write_text("")
    monkeypatch.setattr(time, "time", lambda: lock.stat().st_mtime + age)
    import_journal(tmp_path, "r1").put(ENTRY)
    assert lock.exists() == stays
    assert (tmp_path / "r1.alive").exists()


def test_an_entry_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    import_journal(tmp_path, "r1").put(ENTRY)
    assert len(synced) == 2  # the file and its folder


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = import_journal(tmp_path / "file" / "folder", "r1")
    with pytest.raises(SpoolError):
        journal.put(ENTRY)
    journal.close()


def test_what_is_no_file_is_an_unreadable_entry(tmp_path: Path) -> None:
    (tmp_path / "f00d.r1.json").mkdir()
    with pytest.raises(JournalError, match=r"cannot be read: .*directory"):
        import_journal(tmp_path, "r2").left_behind()


def test_each_job_of_a_file_has_a_name_of_its_own() -> None:
    file = ImportFile("s.1-f00d.csv", "f00d", "s", 3, io.BytesIO)
    began = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    assert file.job_name("f00d", began) == "s.1-f00d-20260102T030405000006.csv"
    assert file.job_name("f00d-2", began) == "s.1-f00d-2-20260102T030405000006.csv"
    again = file.again(2)
    assert (again.name, again.fingerprint) == ("s.1-f00d-2.csv", "f00d-2")
    assert again.job_name("f00d-2", began) == "s.1-f00d-2-20260102T030405000006.csv"
    assert not again.is_replay


def test_an_entry_that_must_not_be_read_and_vanishes_is_not_called_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f00d.r1.json").write_text("")

    def read_bytes(path: Path) -> bytes:
        path.unlink()
        raise PermissionError(errno.EACCES, "not allowed")

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(JournalError, match="cannot be read: not allowed"):
        import_journal(tmp_path, "r2").left_behind()


def test_an_entry_that_another_run_has_removed_is_adopted_and_dropped(tmp_path: Path) -> None:
    import_journal(tmp_path, "r1").put(ENTRY)
    journal = import_journal(tmp_path, "r2")
    [entry] = journal.left_behind()
    journal.drop(entry)
    journal.drop(entry)
    adopted = journal.adopt(entry, "f00d-2")
    assert journal.alike("f00d") == [adopted]
