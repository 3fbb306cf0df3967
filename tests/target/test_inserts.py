"""Inserts, which no second run may repeat: what is open, what is known, what may come back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import JobFailedError, PossibleDuplicatesError
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from target_demandbase.errors import ReconciliationError, RejectedRowsError
from tests.target.command import killed_at, running, until
from tests.target.conftest import ACCOUNT, Load, Result, record, schema, state
from tests.target.replay import replayed

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.v1_only(
        "uapi has no operation but its own; activities, which it always adds, are in test_uapi.py"
    ),
]

LOOSE = {**ACCOUNT, "engagement_score": {"type": ["string", "null"]}}
GOOD = record(domain="good.example", engagement_score="1")
BAD = record(domain="bad.example", engagement_score="viel")


def insert(load: Load, *messages: dict[str, Any], **options: Any) -> Result:  # noqa: ANN401
    return load(*messages, operation="insert", **options)


def rows_of(sandbox: Sandbox, *domains: str) -> list[str]:
    return sorted(
        str(row["domain"]) for row in sandbox.rows("accounts") if row["domain"] in domains
    )


def test_rejected_rows_can_be_inserted_again_once_they_are_corrected(
    sandbox: Sandbox, load: Load
) -> None:
    done = insert(load, schema(LOOSE), GOOD, BAD, state(1), failure=RejectedRowsError)
    insert(load, *replayed(done.folder, "viel", "7.5"))
    assert rows_of(sandbox, "good.example", "bad.example") == ["bad.example", "good.example"]


def test_a_rejected_row_that_comes_back_as_it_was_is_sent_anew(
    sandbox: Sandbox, load: Load
) -> None:
    done = insert(load, schema(LOOSE), BAD, state(1), failure=RejectedRowsError)
    insert(load, *replayed(done.folder), failure=RejectedRowsError)
    assert len(sandbox.import_jobs()) == 2


def test_the_same_rows_from_the_source_are_not_inserted_a_second_time(
    sandbox: Sandbox, load: Load
) -> None:
    messages = (schema(LOOSE), GOOD, BAD, state(1))
    insert(load, *messages, failure=RejectedRowsError)
    done = insert(load, *messages, failure=RejectedRowsError)
    assert len(sandbox.import_jobs()) == 1
    assert [row["domain"] for row in done.rejects] == ["bad.example"]


def test_other_rows_from_the_source_stop_even_after_a_replay(sandbox: Sandbox, load: Load) -> None:
    done = insert(load, schema(LOOSE), GOOD, BAD, state(1), failure=RejectedRowsError)
    insert(load, *replayed(done.folder, "viel", "7.5"))
    more = record(domain="more.example", engagement_score="1")
    insert(load, schema(LOOSE), GOOD, BAD, more, state(2), failure=PossibleDuplicatesError)
    assert rows_of(sandbox, "more.example") == []


@pytest.mark.parametrize(
    "figures", [{}, {"success_count": 0, "error_count": 0, "processed_rows": 1}]
)
def test_after_a_failed_insert_the_next_run_stops_and_names_the_job(
    sandbox: Sandbox, load: Load, figures: dict[str, int]
) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.JOB_FAILS, rows=1, message="no luck"))
    for call in ("listImportJobs", "getImportJob"):
        sandbox.add_fault(
            Fault(call, Effect.ALTER, items={} if call.startswith("list") else None,
                  members=figures, times=None)
        )  # fmt: skip
    messages = (schema(LOOSE), GOOD, record(domain="b.example", engagement_score="1"), state(1))
    done = insert(load, *messages, on_reject="continue", failure=JobFailedError)
    assert done.states == []
    [job] = sandbox.import_jobs()
    for again in (messages, messages[:-2]):
        with pytest.raises(PossibleDuplicatesError, match=f"{job['id']} .* failed after it may"):
            insert(load, *again, on_reject="continue")
    assert len(sandbox.import_jobs()) == 1
    assert rows_of(sandbox, "good.example") == ["good.example"]


def test_an_insert_whose_figures_disagree_is_read_again_by_the_next_run(
    sandbox: Sandbox, load: Load
) -> None:
    for call in ("listImportJobs", "getImportJob"):
        sandbox.add_fault(Fault(call, Effect.SHIFT, members={"success_count": -1}, times=None))
    messages = (schema(LOOSE), GOOD, state(1))
    with pytest.raises(ReconciliationError, match="next run reads the job again"):
        insert(load, *messages, on_reject="continue")
    insert(load, *messages, failure=ReconciliationError)
    sandbox.clear_faults()
    assert insert(load, *messages).states == [1]
    assert len(sandbox.import_jobs()) == 1


@pytest.mark.parametrize("entity", ["accounts", "activities"])
def test_rows_that_may_be_in_already_say_so(
    sandbox: Sandbox, load: Load, entity: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Activities are always added, whatever the operation.
    key, other, operation = (
        ("domain", "name", "insert")
        if entity == "accounts"
        else ("activity_id", "activity_type", "upsert")
    )
    columns = dict.fromkeys((key, other), ACCOUNT["name"])
    rows = [record(entity, **{key: f"k{n}.example", other: "Email"}) for n in range(4)]
    members = {"errors": [{"error_type": "odd", "message": "no"}], "total": 1}
    sandbox.add_fault(Fault("getImportErrors", Effect.ALTER, members=members, times=None))
    for call in ("listImportJobs", "getImportJob"):
        figures = {"success_count": 3, "error_count": 1}
        sandbox.add_fault(
            Fault(call, Effect.ALTER, items={} if call.startswith("list") else None,
                  members=figures, times=None)
        )  # fmt: skip
    messages = (schema(columns, entity, key), *rows, state(1))
    with pytest.raises(RejectedRowsError, match="Each of them may be in already: look it up"):
        load(*messages, operation=operation)
    # The next run does not add the rows a second time; a state says that they are known.
    done = load(*messages, operation=operation, on_reject="continue")
    assert len(sandbox.import_jobs()) == 1
    assert (done.states, done.report["streams"][entity]["rows_rejected"]) == ([1], 1)
    assert len(done.rejects) == 4
    assert all("may be in already" in row["_reject_reason"] for row in done.rejects)
    assert "Each of them may be in already" in caplog.text


def test_a_failed_insert_that_processed_no_row_is_sent_again(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.JOB_FAILS, rows=0, message="no luck"))
    messages = (schema(LOOSE), GOOD, state(1))
    insert(load, *messages, failure=JobFailedError)
    assert insert(load, *messages).states == [1]
    assert rows_of(sandbox, "good.example") == ["good.example"]


def test_rows_that_come_twice_in_one_run_are_sent_twice(sandbox: Sandbox, load: Load) -> None:
    done = insert(load, schema(LOOSE), GOOD, GOOD, batch_size_rows=1, on_reject="continue")
    assert len(sandbox.import_jobs()) == 2
    assert [row["_reject_type"] for row in done.rejects] == ["duplicate"]


@pytest.mark.parametrize("path", ["fast", "slow"])
def test_rows_of_one_match_key_are_all_inserted_or_kept(
    sandbox: Sandbox, load: Load, path: str
) -> None:
    # A map that changes nothing makes records take the slow path.
    maps = {"stream_maps": {"accounts": {"name": "name"}}} if path == "slow" else {}
    rows = [record(domain="one.example", name=f"Name {n}", notes="x") for n in range(3)]
    done = insert(load, schema(LOOSE), *rows, state(1), on_reject="continue", **maps)
    [job] = sandbox.import_jobs()
    assert sandbox.uploaded(job["id"]).count(b"one.example") == 3
    assert rows_of(sandbox, "one.example") == ["one.example"]
    assert {"Name 1", "Name 2"} <= {row["name"] for row in done.rejects}
    assert done.report["streams"]["accounts"]["rows_deduplicated"] == 0


@pytest.mark.parametrize("operation", ["insert", "upsert", "update"])
@pytest.mark.parametrize("on_null", ["blank", "omit"])
def test_a_record_without_a_required_field_spoils_no_job(
    load: Load, operation: str, on_null: str
) -> None:
    properties = {
        name: {"type": ["null", "string"]} for name in ("opportunity_id", "name", "stage")
    }
    done = load(
        schema(properties, "opportunities", "opportunity_id"),
        record("opportunities", opportunity_id="o1", name="Deal"),
        record("opportunities", opportunity_id="o2", stage="won"),
        state(1),
        operation=operation, on_null=on_null, on_reject="continue",
    )  # fmt: skip
    assert done.states == [1]
    kept = {row["opportunity_id"]: row["_reject_type"] for row in done.rejects}
    if operation == "update":  # which needs no required field, and finds no record
        assert kept == {"o1": "not_found", "o2": "not_found"}
    else:
        assert kept == {"o2": "missing_required"}


def test_without_its_journal_a_run_continues(load: Load, tmp_path: Path) -> None:
    insert(load, schema(LOOSE), GOOD, BAD, state(1), failure=RejectedRowsError)
    [entry] = (tmp_path / "spool").rglob("*.json")
    with pytest.raises(PossibleDuplicatesError, match=entry.name):
        insert(load, schema(LOOSE), record(domain="x.example"), state(2))
    entry.unlink()
    assert insert(load, schema(LOOSE), record(domain="x.example"), state(2)).states == [2]


@pytest.mark.parametrize("other", ["accounts", "people"])
def test_another_run_that_works_forgets_no_insert_that_is_open(
    sandbox: Sandbox, load: Load, tmp_path: Path, other: str
) -> None:
    messages = (schema(LOOSE), GOOD, state(1))
    with killed_at(sandbox, "listImportJobs", tmp_path, messages, operation="insert"):
        pass
    spool = str(tmp_path / "spool")
    if other == "accounts":
        load(schema(LOOSE), record(domain="x.example"), spool_dir=spool)
    else:
        people = {"email": {"type": "string"}}
        load(schema(people, other, "email"), record(other, email="a@a.example"), spool_dir=spool)
    assert insert(load, *messages, spool_dir=spool).states == [1]
    assert rows_of(sandbox, "good.example") == ["good.example"]
    assert len([job for job in sandbox.import_jobs() if job["operation"] == "insert"]) == 1


@pytest.mark.parametrize("spread", [{"batch_size_rows": 1}, {}])
def test_jobs_that_took_every_row_do_not_keep_the_rejected_ones_from_coming_back(
    sandbox: Sandbox, load: Load, spread: dict[str, int]
) -> None:
    lone = record(domain="lone.example")  # other columns, so another job
    done = insert(
        load, schema(LOOSE), GOOD, lone, BAD, state(1), failure=RejectedRowsError, **spread
    )
    insert(load, *replayed(done.folder, "viel", "7.5"))
    found = rows_of(sandbox, "good.example", "lone.example", "bad.example")
    assert found == ["bad.example", "good.example", "lone.example"]


def test_an_insert_that_is_open_at_another_address_is_none_of_this_ones(
    sandbox: Sandbox, tmp_path: Path, load: Load
) -> None:
    messages = (schema(LOOSE), GOOD, state(1))
    with killed_at(sandbox, "listImportJobs", tmp_path, messages, operation="insert"):
        pass
    with Sandbox(SandboxOptions(pending_seconds=0, processing_seconds=0)) as other:
        done = insert(
            load, schema(LOOSE), record(domain="x.example"), state(2),
            api_url=other.url, access_token=other.token, spool_dir=str(tmp_path / "spool"),
        )  # fmt: skip
    assert done.states == [2]


ACTIVITY = {"activity_type": {"type": "string"}, "subject": {"type": "string"}}


def activities(sandbox: Sandbox) -> int:
    return sum(row["subject"] == "same" for row in sandbox.rows("activities"))


def test_equal_batches_of_one_run_are_inserted_as_often_as_they_came(
    sandbox: Sandbox, tmp_path: Path, load: Load
) -> None:
    row = record("activities", activity_type="email", subject="same")
    messages = ({**schema(ACTIVITY, "activities"), "key_properties": []}, *[row] * 6, state(1))
    settings: dict[str, Any] = {"operation": "insert", "batch_size_rows": 3}
    sandbox.add_fault(Fault("uploadImportFile", Effect.STALL, seconds=60, after=1))
    with running(sandbox, tmp_path, **settings) as run:
        run.feed(*messages)
        until(lambda: len(sandbox.requests("uploadImportFile")) > 1)
    sandbox.clear_faults()
    done = load(*messages, spool_dir=str(tmp_path / "spool"), **settings)
    assert done.states == [1]
    assert activities(sandbox) == 6


def test_an_insert_that_a_signal_cancelled_is_sent_by_the_next_run(
    sandbox: Sandbox, tmp_path: Path, load: Load
) -> None:
    sandbox.add_fault(Fault("uploadImportFile", Effect.DELAY, seconds=60))
    with running(sandbox, tmp_path, operation="insert") as run:
        run.feed(schema(LOOSE), GOOD, state(1))
        until(sandbox.import_jobs)
        run.process.terminate()
        assert run.process.wait(10) == 143
    sandbox.clear_faults()
    more = record(domain="more.example", engagement_score="1")
    done = insert(load, schema(LOOSE), GOOD, more, state(2), spool_dir=str(tmp_path / "spool"))
    assert done.states == [2]
    assert rows_of(sandbox, "good.example", "more.example") == ["good.example", "more.example"]


@pytest.mark.slow
def test_nothing_is_sent_after_a_signal(sandbox: Sandbox, tmp_path: Path) -> None:
    # The job is created while the run ends already.
    sandbox.add_fault(Fault("createImportJob", Effect.DELAY, seconds=2))
    sandbox.add_fault(Fault("listImportJobs", Effect.DELAY, seconds=4, after=1))
    with running(sandbox, tmp_path, operation="insert") as run:
        run.feed(schema(LOOSE), GOOD, state(1))
        until(lambda: run.staged_files)
        time.sleep(0.5)
        run.process.terminate()
        assert run.process.wait(10) == 143
        assert "1 records of stream accounts were not sent" in run.errors
    assert sandbox.requests("uploadImportFile") == []
    assert rows_of(sandbox, "good.example") == []


@pytest.mark.parametrize("can_cancel", [True, False])
def test_an_insert_whose_upload_was_interrupted_is_in_the_way_until_it_is_cancelled(
    sandbox: Sandbox, tmp_path: Path, load: Load, *, can_cancel: bool
) -> None:
    sandbox.add_fault(Fault("uploadImportFile", Effect.DELAY, seconds=60))
    with running(sandbox, tmp_path, operation="insert") as run:
        run.feed(schema(LOOSE), GOOD, state(1))
        until(sandbox.import_jobs)
        time.sleep(0.2)  # until it uploads
    sandbox.clear_faults()
    other = (schema(LOOSE), record(domain="other.example", engagement_score="1"), state(2))
    spool = str(tmp_path / "spool")
    if not can_cancel:
        sandbox.add_fault(Fault("cancelImportJob", Effect.STATUS, status=500, times=6))
        [job] = sandbox.import_jobs()
        with pytest.raises(PossibleDuplicatesError, match=f"{job['id']} .* does not show whether"):
            insert(load, *other, spool_dir=spool)
    assert insert(load, *other, spool_dir=spool).states == [2]
    assert rows_of(sandbox, "good.example", "other.example") == ["other.example"]
