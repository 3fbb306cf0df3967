"""What outlives a run is where no other user of the machine can write."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
from pathlib import Path

import pytest

from demandbase_api.errors import SpoolError
from demandbase_api.state.folder import EXPORT_JOURNAL, IMPORT_JOURNAL, StateFolder, is_private

USER, OTHER = 1000, 1001
OLD = {
    "singer-demandbase/demandbase-calls-1.json": "demandbase-calls-1.json",
    "singer-demandbase/demandbase-fields-1.json": "demandbase-fields-1.json",
    "singer-demandbase/tap-demandbase-jobs/2.job.json": "tap-demandbase-jobs/2.job.json",
    "target-demandbase-ledger/3.run.json": "target-demandbase-ledger/3.run.json",
}
"""New paths of files by those of earlier versions in the system's temporary folder."""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, which everybody may write to."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "singer-demandbase"


def written(path: Path, text: str = "old") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("owner", [USER, OTHER, 0])
@pytest.mark.parametrize("permissions", [0o700, 0o755, 0o775, 0o757, 0o1777, 0o702])
def test_a_folder_is_private_if_others_cannot_write_to_it(owner: int, permissions: int) -> None:
    is_theirs = owner == OTHER or permissions in {0o757, 0o1777, 0o702}
    assert is_private(owner, stat.S_IFDIR | permissions, USER) is not is_theirs


@pytest.mark.parametrize("state_dir", [None, "state"])
@pytest.mark.parametrize("spool_dir", [None, "spool"])
def test_what_outlives_a_run_is_in_state_dir_or_spool_dir_or_the_home(
    tmp_path: Path, temporary: Path, home: Path, state_dir: str | None, spool_dir: str | None
) -> None:
    state, spool = (name and tmp_path / name for name in (state_dir, spool_dir))
    folder = StateFolder(state or None, spool or None).open()
    assert folder == (state or spool or home)
    assert mode(folder) == 0o700
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("why", ["writable", "foreign"])
def test_a_folder_that_others_can_write_to_gets_one_of_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o700)
    old = written(shared / "demandbase-calls-1.json")
    if why == "writable":
        shared.chmod(0o777)
    else:
        os.chown(shared, OTHER, -1) if os.geteuid() == 0 else pytest.skip("chown needs root")
    folder = StateFolder(spool_dir=shared).open()
    assert folder == shared / f"singer-demandbase-{os.geteuid()}"
    assert mode(folder) == 0o700
    assert (folder / old.name).read_text() == "old"
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)  # another user is not locked out
    assert StateFolder(spool_dir=shared).open().name in {"shared", f"singer-demandbase-{OTHER}"}


@pytest.mark.parametrize("trap", ["link", "writable", "file"])
def test_a_folder_that_another_user_has_planted_is_refused(tmp_path: Path, trap: str) -> None:
    shared, mine = tmp_path / "shared", tmp_path / "mine"
    for folder in (shared, mine):
        folder.mkdir(mode=0o700)
    shared.chmod(0o1777)
    planted = shared / f"singer-demandbase-{os.geteuid()}"
    match trap:
        case "link":
            planted.symlink_to(mine)
        case "file":
            planted.touch()
        case _:
            planted.mkdir()
            planted.chmod(0o777)
    with pytest.raises(SpoolError, match=f"{planted} belongs to another user.*state_dir"):
        StateFolder(spool_dir=shared).open()
    assert not list(mine.iterdir())


@pytest.mark.parametrize("home_folder", [None, "/dev/null"])
def test_without_a_home_the_folder_is_in_the_temporary_one(
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    home_folder: str | None,
) -> None:
    def fail(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", fail)
    if home_folder is not None:
        monkeypatch.setenv("HOME", home_folder)
    for _ in range(2):
        folder = StateFolder().open()
    assert folder == temporary / f"singer-demandbase-{os.geteuid()}"
    assert mode(folder) == 0o700
    assert caplog.text.count("Set state_dir to a folder") == 1


def test_a_folder_that_cannot_be_created_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match=r"what outlives a run: File exists.*set state_dir"):
        StateFolder(tmp_path / "file" / "state").open()


def open_all(state: StateFolder) -> None:
    """What both plugins do."""
    state.journal(EXPORT_JOURNAL)
    state.journal(IMPORT_JOURNAL)


def test_files_of_earlier_versions_are_taken_over_once(
    temporary: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for old in OLD:
        written(temporary / old, old)
    other = written(temporary / "singer-demandbase" / "other.json")
    open_all(StateFolder())
    for old, new in OLD.items():
        assert (home / new).read_text() == old
        assert mode(home / new) == 0o600
        assert mode((home / new).parent) == 0o700
        # Entries of a journal are moved: they would come back after they have been removed.
        assert (temporary / old).exists() is new.startswith("demandbase-")
    assert other.exists()
    assert caplog.text.count("were taken over into") == 4
    # What a run could not remove any more does not replace what has come since.
    for old, new in OLD.items():
        written(temporary / old)
        (home / new).write_text("new")
    open_all(StateFolder())
    assert {(home / new).read_text() for new in OLD.values()} == {"new"}
    assert not list(temporary.rglob("*/*.*.json"))
    assert caplog.text.count("were taken over into") == 4


def test_a_plugin_takes_over_its_own_journal_only(temporary: Path, home: Path) -> None:
    for old in OLD:
        written(temporary / old)
    StateFolder().journal(EXPORT_JOURNAL)
    assert (home / "tap-demandbase-jobs" / "2.job.json").exists()
    assert (temporary / "target-demandbase-ledger" / "3.run.json").exists()


def test_files_in_spool_dir_are_taken_over_into_state_dir(tmp_path: Path) -> None:
    spool, state = tmp_path / "spool", tmp_path / "state"
    for new in OLD.values():
        written(spool / new)
        (spool / new).write_bytes(b"\xff")  # damaged ones, too: they are reported where they are
    open_all(StateFolder(state, spool))
    assert all((state / new).read_bytes() == b"\xff" for new in OLD.values())
    # The same folder in another spelling.
    open_all(StateFolder(state, tmp_path / "spool" / ".." / "state"))
    assert all((state / new).exists() for new in OLD.values())


@pytest.mark.parametrize("how", ["folder", "file", "hard link", "owner", "pipe"])
def test_what_another_user_has_planted_is_not_moved(
    tmp_path: Path, temporary: Path, home: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    old, new = next(iter(OLD.items()))
    mine = written(tmp_path / "mine" / Path(old).name)
    planted = temporary / old
    if how == "folder":
        planted.parent.symlink_to(mine.parent)
    else:
        planted.parent.mkdir()
    match how:
        case "file":
            planted.symlink_to(mine)
        case "hard link":
            os.link(mine, planted)
        case "owner":
            planted.write_text("theirs")
        case "pipe":
            os.mkfifo(planted)
        case _:
            pass
    StateFolder().open()
    if how == "owner":
        (home / new).rename(planted)
        home.chmod(0o755)
        monkeypatch.setattr(os, "geteuid", lambda: OTHER)
        monkeypatch.setattr("demandbase_api.state.folder.is_private", lambda *_: True)
        StateFolder().open()
    assert not (home / new).exists()
    assert planted.exists()
    assert mine.read_text() == "old"


def test_an_entry_of_a_live_run_stays_until_the_run_has_ended(temporary: Path, home: Path) -> None:
    old, new = list(OLD.items())[-1]
    written(temporary / old)
    lock = written(temporary / "target-demandbase-ledger" / "run.alive")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        StateFolder().journal(IMPORT_JOURNAL)
        assert (temporary / old).exists()
    StateFolder().journal(IMPORT_JOURNAL)
    assert (home / new).exists()
    assert not (temporary / old).exists()
