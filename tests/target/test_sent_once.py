"""Each file gets to its job once and in order, whatever the job shows and whatever else runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import JournalError, PossibleDuplicatesError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import StillRunningError
from tests.target.command import killed_at, running, until
from tests.target.conftest import Load, Start, landed, people, person, state
from tests.target.people_files import CREATE, LIST, MESSAGES, UPLOAD, ended

pytestmark = pytest.mark.thorough

GET = "getImportJob"


def fileless(api: str) -> dict[str, Any]:
    """Arguments of a fault that makes a job show no file."""
    if api == "v1":
        return {"members": {"status": "pending"}, "nulls": ("file_name",)}
    return {"members": {"state": "new"}}


def shows_no_file(sandbox: Sandbox, api: str, *, times: int | None) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.ALTER, times=times, **fileless(api)))
    sandbox.add_fault(Fault(GET, Effect.ALTER, times=times, **fileless(api)))
    sandbox.add_fault(Fault(LIST, Effect.ALTER, times=times, items={}, **fileless(api)))


@pytest.mark.parametrize(
    "members",
    [
        {"v1": {"status": "validating"}, "uapi": {"state": "processing"}},
        {"v1": {"file_name": ""}, "uapi": {"dataImportName": ""}},
        {"v1": {"status": "queued", "file_name": "x.csv"}, "uapi": {"state": "queued"}},
    ],
)
def test_a_new_job_gets_its_file_whatever_it_shows(
    sandbox: Sandbox, load: Load, api: str, members: dict[str, dict[str, str]]
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.ALTER, members=members[api]))
    assert load(*MESSAGES).states == [1]
    assert len(sandbox.requests(UPLOAD)) == len(sandbox.import_jobs()) == 1


@pytest.mark.parametrize("more", [(), (person("more"),)])
def test_a_file_that_was_uploaded_is_waited_for_by_the_next_run_though_its_job_shows_none(
    sandbox: Sandbox, load: Load, config: dict[str, Any], api: str, tmp_path: Path,
    more: tuple[dict[str, Any], ...],
) -> None:  # fmt: skip
    with killed_at(sandbox, LIST, tmp_path, MESSAGES, **config):
        pass
    shows_no_file(sandbox, api, times=2)
    done = load(*MESSAGES[:-1], *more, state(2), spool_dir=str(tmp_path / "spool"))
    assert done.states == [2]
    assert len(sandbox.requests(UPLOAD)) == len(sandbox.import_jobs()) == 1 + len(more)
    assert ended(sandbox) == ["completed"] * (1 + len(more))


@pytest.mark.v1_only("uapi has no inserts but activities, and cannot cancel")
@pytest.mark.parametrize("shown", ["at once", "after the job could not be cancelled"])
def test_an_insert_whose_upload_was_not_answered_is_not_sent_again_if_the_server_got_it(
    sandbox: Sandbox, load: Load, api: str, shown: str
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.DROP_AFTER))
    if shown != "at once":
        sandbox.add_fault(Fault(GET, Effect.ALTER, times=6, **fileless(api)))
    assert load(*MESSAGES, operation="insert").states == [1]
    assert len(sandbox.requests(UPLOAD)) == len(sandbox.import_jobs()) == 1
    assert len(sandbox.requests("cancelImportJob")) == (shown != "at once")


@pytest.mark.v1_only("uapi has no inserts but activities, and cannot cancel")
@pytest.mark.parametrize("status", [408, 425, 504])
def test_an_insert_whose_upload_did_not_arrive_is_sent_in_a_new_job(
    sandbox: Sandbox, load: Load, status: int
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.STATUS, status=status))
    assert load(*MESSAGES, operation="insert").states == [1]
    assert sorted(job["status"] for job in sandbox.import_jobs()) == ["cancelled", "completed"]
    assert [str(row["person_id"]) for row in sandbox.rows("people")].count("n0") == 1


@pytest.mark.parametrize("status", [404, 408, 425, 504])
def test_an_upload_that_did_not_arrive_is_tried_again(
    sandbox: Sandbox, load: Load, status: int
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.STATUS, status=status, times=2))
    assert load(*MESSAGES).states == [1]
    assert len(sandbox.requests(UPLOAD)) == 3
    assert ended(sandbox) == ["completed"]


def test_newer_rows_wait_for_an_upload_that_a_killed_run_began(
    sandbox: Sandbox, load: Load, config: dict[str, Any], api: str, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    with killed_at(sandbox, UPLOAD, tmp_path, MESSAGES, **config):
        pass
    shows_no_file(sandbox, api, times=2)
    spool = str(tmp_path / "spool")
    with pytest.raises(StillRunningError, match="To give it up, use"):
        load(people(), person(1), state(2), spool_dir=spool, job_timeout_seconds=60)
    assert len(sandbox.import_jobs()) == 1


@pytest.mark.parametrize("skew", [-2 * 86_400, 2 * 86_400])
def test_newer_rows_wait_for_those_of_another_machine(
    sandbox: Sandbox, load: Load, tmp_path: Path, skew: float
) -> None:
    sandbox.clock.skew(skew)
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    load(*MESSAGES, spool_dir=str(tmp_path / "theirs"), job_timeout_seconds=60,
         failure=StillRunningError)  # fmt: skip
    with pytest.raises(StillRunningError, match="another machine may have created it"):
        load(people(), person(1), state(2), job_timeout_seconds=60)
    assert len(sandbox.import_jobs()) == 1
    sandbox.clock.advance(90_000)  # after a day it is not waited for any longer
    assert load(people(), person(1), state(2), job_timeout_seconds=60).states == [2]


@pytest.mark.slow
def test_a_run_waits_for_another_that_uses_its_folder(
    sandbox: Sandbox, config: dict[str, Any], start: Start, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    settings = {**config, "batch_size_rows": 1, "spool_dir": str(tmp_path / "spool")}
    with start(batch_size_rows=1) as first:
        first.feed(people(), person(1, title="old"), state("old"), end=False)
        until(lambda: first.states == ["old"])
        with running(sandbox, second, **settings) as other:
            other.feed(people(), person(1, title="new"), state("new"))
            until(lambda: "Waiting for another run that imports into people" in other.errors)
            first.feed(person(1, title="mid"), state("mid"))
            assert first.process.wait(30) == 0, first.errors
            assert other.process.wait(30) == 0, other.errors
            assert (first.states[-1], other.states) == ("mid", ["new"])
    assert landed(sandbox)["1"]["title"] == "new"
    assert not list((tmp_path / "spool").rglob("target-demandbase-ledger/*"))


@pytest.mark.parametrize("content", [b"", b'{"fingerprint": "f00d"}'])
def test_an_unreadable_entry_of_the_journal_ends_the_run_before_anything_is_sent(
    sandbox: Sandbox, load: Load, tmp_path: Path, content: bytes
) -> None:
    entry = tmp_path / "spool" / "target-demandbase-ledger" / "f00d.r1.json"
    entry.parent.mkdir(parents=True)
    entry.write_bytes(content)
    with pytest.raises(JournalError, match=f"{entry} cannot be read"):
        load(*MESSAGES)
    assert not sandbox.import_jobs()


def test_an_import_that_never_ends_names_its_entry_and_can_be_given_up(
    sandbox: Sandbox, load: Load, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    for messages in (MESSAGES, MESSAGES, (people(), person(9), state(2))):
        with pytest.raises(StillRunningError, match="To give it up") as caught:
            load(*messages, job_timeout_seconds=60)
    [path] = (tmp_path / "spool").rglob("target-demandbase-ledger/*.json")
    entry = json.loads(path.read_text())
    assert f"“demandbase journal forget {entry['job_id']}”" in str(caught.value)
    path.rename(f"{path}.given-up")
    assert load(*MESSAGES).states == [1]
    assert len(sandbox.import_jobs()) == 2


@pytest.mark.v1_only("uapi has no operation but its own; for activities see test_uapi.py")
def test_an_insert_that_may_be_in_ends_the_run_and_names_its_job(
    sandbox: Sandbox, load: Load, tmp_path: Path
) -> None:
    with killed_at(sandbox, UPLOAD, tmp_path, MESSAGES, operation="insert"):
        pass
    [job] = sandbox.import_jobs()
    sandbox.add_fault(Fault(GET, Effect.STATUS, status=404, times=None))
    with pytest.raises(PossibleDuplicatesError, match=f"{job['id']} was sent 4 rows"):
        load(*MESSAGES, operation="insert", spool_dir=str(tmp_path / "spool"))
    sandbox.clear_faults()
    done = load(*MESSAGES, operation="insert", spool_dir=str(tmp_path / "spool"))
    assert done.states == [1]
    assert len(sandbox.import_jobs()) == 1
