"""Two runs that use one folder import into an entity one after the other."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demandbase_api.errors import OtherRunError, SpoolError, StoppedError
from demandbase_api.jobs.import_lock import EntityLocks
from demandbase_api.state.folder_store import FolderLocks
from tests.api.fake_exports import FakeClock
from tests.api.state_folders import entity_locks

ORIGIN = "https://a.example"
_OTHER_RUN = """
import sys
from pathlib import Path
from demandbase_api.clock import SystemClock
from tests.api.state_folders import entity_locks
locks = entity_locks(Path(sys.argv[1]), sys.argv[2], SystemClock(), 60)
locks.acquire("accounts", lambda: None)
print("locked", flush=True)
sys.stdin.read()
"""


def locks(folder: Path, clock: FakeClock | None = None, origin: str = ORIGIN) -> EntityLocks:
    return entity_locks(folder, origin, clock or FakeClock(), 60.0)


def go_on() -> None:
    pass


def test_a_run_waits_for_the_other_and_says_so_every_ten_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first, clock = locks(tmp_path), FakeClock()
    first.acquire("accounts", go_on)
    began = clock.time

    def end_after_35_seconds() -> None:
        if clock.time - began >= 35:
            first.close()

    second = locks(tmp_path, clock)
    second.acquire("accounts", end_after_35_seconds)
    assert clock.time - began == 35
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"Waiting for another run that imports into accounts for {seconds} s: its rows come first"
        for seconds in (0, 10, 20, 30)
    ]
    with pytest.raises(OtherRunError, match="still imports into accounts after 60 s") as caught:
        locks(tmp_path).acquire("accounts", go_on)
    assert caught.value.exit_code == 75
    second.acquire("accounts", go_on)  # its own already
    second.close()
    assert not list(tmp_path.iterdir())


def test_a_wait_shows_at_once_though_each_try_takes_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first, clock = locks(tmp_path), FakeClock()
    first.acquire("accounts", go_on)
    second = locks(tmp_path, clock)
    attempt = FolderLocks.acquire

    def trying(each: FolderLocks, name: str) -> bool:
        clock.time += 0.001
        return attempt(each, name)

    monkeypatch.setattr(FolderLocks, "acquire", trying)
    second.acquire("accounts", first.close)
    assert "for 0 s: its rows come first" in caplog.text


def test_a_wait_ends_with_the_run(tmp_path: Path) -> None:
    first, second = locks(tmp_path), locks(tmp_path)
    first.acquire("accounts", go_on)

    def stop() -> None:
        raise StoppedError("The run ends.")

    with pytest.raises(StoppedError):
        second.acquire("accounts", stop)


def test_other_entities_and_other_apis_are_not_waited_for(tmp_path: Path) -> None:
    clock = FakeClock()
    every = [locks(tmp_path), locks(tmp_path, clock), locks(tmp_path, clock, "https://b.example")]
    for each, entity in zip(every, ("accounts", "people", "accounts"), strict=True):
        each.acquire(entity, go_on)
    assert not clock.sleeps
    for each in every:
        each.close()


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER_RUN, str(tmp_path), ORIGIN],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(OtherRunError):
            locks(tmp_path).acquire("accounts", go_on)
        other.kill()
        other.wait()
    after = locks(tmp_path)
    after.acquire("accounts", go_on)
    after.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError):
        locks(tmp_path / "file" / "folder").acquire("accounts", go_on)


def test_a_wait_does_not_exceed_its_time(tmp_path: Path) -> None:
    first, clock = locks(tmp_path), FakeClock()
    first.acquire("accounts", go_on)
    with pytest.raises(OtherRunError, match=f"also uses {tmp_path}, .* after 1 s"):
        entity_locks(tmp_path, ORIGIN, clock, 1.25).acquire("accounts", go_on)
    assert clock.sleeps == [0.5, 0.5, 0.25]


def test_a_lock_is_private_and_released_by_any_thread(tmp_path: Path) -> None:
    first, clock = locks(tmp_path), FakeClock()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(first.acquire, "accounts", go_on).result()
    [path] = tmp_path.iterdir()
    assert path.name.startswith("accounts-")
    assert len(path.name) == len("accounts-01234567.lock")
    assert path.stat().st_mode & 0o777 == 0o600
    first.acquire("accounts", go_on)
    with path.open("rb") as same:
        first.close()
        fcntl.flock(same, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if it is still locked
    locks(tmp_path, clock).acquire("accounts", go_on)
    assert not clock.sleeps
