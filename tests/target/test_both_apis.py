"""What holds whichever API is in use: streams, rows, states and guarantees are the same."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import ApiError, DemandbaseError, JobFailedError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import MappingError, RejectedRowsError, StillRunningError
from tests.target.command import killed_at, running, until
from tests.target.conftest import (
    PEOPLE_LABELS,
    PERSON,
    Load,
    both_apis,
    landed,
    people,
    person,
    record,
    schema,
    state,
)

pytestmark = both_apis

CREATE, UPLOAD, LIST = "createImportJob", "uploadImportFile", "listImportJobs"
MESSAGES = (people(), *(person(n, title=f"T{n}") for n in range(4)), state(1))
NASTY = 'quoted "twice", comma\r\nnext line 😀 =1+1'


def files(sandbox: Sandbox) -> list[list[dict[str, str]]]:
    """The rows of all files that were sent, by column, in the order of their jobs."""
    columns = {label: column for column, label in PEOPLE_LABELS.items()}
    found = []
    for job in reversed(sandbox.import_jobs()):
        for content in sandbox.uploaded_files(job["id"]):
            head, *rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
            names = [columns.get(name, name) for name in head]
            found.append([dict(zip(names, row, strict=True)) for row in rows])
    return found


def ended(sandbox: Sandbox) -> list[str]:
    """The states of jobs that were given a file."""
    return [job["status"] for job in sandbox.import_jobs() if sandbox.uploaded_files(job["id"])]


def test_rows_land_cell_by_cell_as_they_were_sent_and_state_follows(
    sandbox: Sandbox, load: Load
) -> None:
    cells = {"title": NASTY, "phone": " 1 ", "is_subscribed": True, "lead_score": 7,
             "last_contacted_on": "2026-01-02"}  # fmt: skip
    assert load(people(), person(1, **cells), state({"a": 1})).states == [{"a": 1}]
    sent = {**person(1)["record"], **cells, "is_subscribed": "true", "lead_score": "7"}
    assert files(sandbox) == [[sent]]
    row = landed(sandbox)["1"]
    assert {name: row[name] for name in sent} == sent


def test_many_rows_of_many_columns_land_like_the_source(sandbox: Sandbox, load: Load) -> None:
    draw = random.Random(7)  # noqa: S311 - test data
    rows: dict[int, dict[str, Any]] = {}
    messages = []
    for _ in range(300):
        number = draw.randrange(80)
        cells = {
            name: draw.choice([None, "", NASTY, str(draw.random())])
            for name in ("title", "phone")
            if draw.random() < 0.8
        }
        rows.setdefault(number, {}).update(cells)
        messages.append(person(number, **cells))
    assert load(people(), *messages, state(1), batch_size_rows=40).states == [1]
    found = landed(sandbox)
    assert found.keys() == {str(number) for number in rows}
    for number, cells in rows.items():
        assert {name: found[str(number)][name] for name in cells} == {
            name: cell or None for name, cell in cells.items()
        }


@pytest.mark.parametrize("last", ["person_id", "email"])
def test_the_key_may_stand_anywhere_among_the_columns(
    sandbox: Sandbox, load: Load, last: str
) -> None:
    columns = {name: PERSON[name] for name in PERSON if name != last} | {last: PERSON[last]}
    assert load(people(columns), person(1), person(2), state(1)).states == [1]
    assert landed(sandbox).keys() == {"1", "2"}


def test_null_empty_and_absent_are_three_things(sandbox: Sandbox, load: Load) -> None:
    load(people(), *(person(n, title="old") for n in range(4)))
    rows: list[dict[str, Any]] = [{"title": None}, {"title": ""}, {}, {"title": "x"}]
    load(people(), *(person(n, **row) for n, row in enumerate(rows)))
    titles = [landed(sandbox)[str(n)]["title"] for n in range(4)]
    assert titles == [None, None, "old", "x"]
    assert ["title" in file[0] for file in files(sandbox)[1:]] == [True, False]


def test_omit_never_sends_a_blank(sandbox: Sandbox, load: Load) -> None:
    rows: list[dict[str, Any]] = [{"title": None}, {"title": ""}, {}, {"title": "x"}]
    load(people(), *(person(n, **row) for n, row in enumerate(rows)), on_null="omit")
    assert "" not in [cell for file in files(sandbox) for row in file for cell in row.values()]
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


def test_the_last_row_of_a_record_wins_and_the_others_are_counted(
    sandbox: Sandbox, load: Load
) -> None:
    rows = [(1, "1"), (2, "1"), (1, "2"), (1, "3"), (3, "1")]
    done = load(people(), *(person(number, title=title) for number, title in rows))
    [file] = files(sandbox)
    assert [(row["person_id"], row["title"]) for row in file] == [
        ("n2", "1"), ("n1", "3"), ("n3", "1"),
    ]  # fmt: skip
    assert done.report["streams"]["people"]["rows_deduplicated"] == 2


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_last_row_of_a_record_wins_across_column_sets(
    sandbox: Sandbox, load: Load, jobs: int
) -> None:
    load(
        people(),
        person(1, title="one"), person(1, title="two", phone="2"), person(1, title="three"),
        max_concurrent_jobs=jobs,
    )  # fmt: skip
    assert (landed(sandbox)["1"]["title"], landed(sandbox)["1"]["phone"]) == ("three", "2")
    assert [len(file) for file in files(sandbox)] == [1, 1, 1]


def test_rows_of_one_record_keep_their_order_across_streams_of_one_entity(
    sandbox: Sandbox, load: Load
) -> None:
    def other(**cells: Any) -> dict[str, Any]:  # noqa: ANN401
        return {**person(1, **cells), "stream": "scores"}

    load(
        people(), {**people(), "stream": "scores"},
        person(1, title="one"), other(title="two", phone="2"), person(1, title="three"),
        entity_map={"scores": "people"},
    )  # fmt: skip
    assert landed(sandbox)["1"]["title"] == "three"


def test_batches_are_cut_by_rows_and_by_bytes(sandbox: Sandbox, load: Load) -> None:
    rows = [person(n, title="ü" * 100) for n in range(25)]
    load(people(), *rows, batch_size_rows=10)
    assert [len(file) for file in files(sandbox)] == [10, 10, 5]
    sandbox.reset()
    load(people(), *rows, max_file_bytes=1024)
    sizes = [len(sandbox.uploaded(job["id"])) for job in sandbox.import_jobs()]
    assert 800 < max(sizes) <= 1024
    assert sum(map(len, files(sandbox))) == 25


def test_a_file_that_is_found_too_large_is_sent_in_halves(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.STATUS, status=413))
    assert load(*MESSAGES).states == [1]
    assert [len(file) for file in files(sandbox)] == [2, 2]
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


@pytest.mark.parametrize("packed", [False, True])
def test_batch_messages_are_like_records(
    sandbox: Sandbox, load: Load, tmp_path: Path, *, packed: bool
) -> None:
    rows = [person(n % 3, title=None if n == 1 else f"T{n}") for n in range(5)]
    rows.append(person(9, person_id=None))
    load(people(), *rows, on_reject="continue")
    by_record = files(sandbox)
    sandbox.reset()
    path = tmp_path / "batch.jsonl"
    text = "".join(json.dumps(row["record"]) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    encoding = {"format": "jsonl", **({"compression": "gzip"} if packed else {})}
    message = {"type": "BATCH", "stream": "people", "encoding": encoding,
               "manifest": [path.as_uri()]}  # fmt: skip
    done = load(people(), message, on_reject="continue")
    assert files(sandbox) == by_record
    assert len(done.rejects) == 1


@pytest.mark.parametrize("operation", [CREATE, UPLOAD, LIST])
def test_a_run_that_was_killed_is_taken_up_by_the_next(
    sandbox: Sandbox, config: dict[str, Any], api: str, tmp_path: Path, operation: str
) -> None:
    with killed_at(sandbox, operation, tmp_path, MESSAGES, **config) as run:
        assert run.states == []
    with running(sandbox, tmp_path, **config) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
    assert ended(sandbox) == ["completed"]
    assert len(sandbox.requests(UPLOAD)) == 1
    # Only where a job bears a name can one be found whose creation was never answered.
    is_stray = api == "v1" and operation == CREATE
    assert len(sandbox.import_jobs()) == (2 if is_stray else 1)
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}
    assert not list((tmp_path / "spool" / "target-demandbase-ledger").glob("*"))


@pytest.mark.parametrize("operation", [CREATE, UPLOAD])
@pytest.mark.parametrize("effect", [Effect.DROP_AFTER, Effect.DROP_BEFORE, Effect.STATUS])
def test_a_lost_reply_repeats_nothing_that_was_done(
    sandbox: Sandbox, load: Load, api: str, operation: str, effect: Effect
) -> None:
    sandbox.add_fault(Fault(operation, effect, status=502))
    assert load(*MESSAGES).states == [1]
    assert ended(sandbox) == ["completed"]
    was_done = effect is Effect.DROP_AFTER and (operation == UPLOAD or api == "uapi")
    assert len(sandbox.requests(operation)) == (1 if was_done else 2)
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_staging_sends_nothing_and_keeps_the_rows(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path, number: int, code: int
) -> None:
    with running(sandbox, tmp_path, **config) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.staged_files)
        run.process.send_signal(number)
        assert run.process.wait(10) == code
        assert run.states == []
        assert "Traceback" not in run.errors
        [kept] = (tmp_path / "spool").glob("undelivered-*/people.jsonl")
        messages = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        assert messages == list(MESSAGES[: len(messages)])
        assert "n3@a.example" not in run.errors
    assert not sandbox.import_jobs()


def test_a_signal_while_a_job_runs_lets_no_state_out_and_the_next_run_goes_on(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STALL, seconds=60, after=0))
    with running(sandbox, tmp_path, **config) as run:
        run.feed(*MESSAGES)
        until(lambda: sandbox.requests(LIST))
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(15) == 143
        assert run.states == []
        assert "Stopped by SIGTERM" in run.errors
    sandbox.clear_faults()
    with running(sandbox, tmp_path, **config) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
    assert len(sandbox.requests(UPLOAD)) == 1


def test_a_job_that_takes_too_long_is_taken_up_by_the_next_run(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    with pytest.raises(StillRunningError) as caught:
        load(*MESSAGES, job_timeout_seconds=60)
    assert caught.value.exit_code == 75
    with pytest.raises(StillRunningError, match="the next run takes that job up"):
        load(*MESSAGES, job_timeout_seconds=60)
    assert len(sandbox.import_jobs()) == 1


def test_a_dry_run_makes_no_call_that_changes_anything(sandbox: Sandbox, load: Load) -> None:
    done = load(*MESSAGES, person(9, person_id=None), dry_run=True, on_reject="continue")
    assert done.states == []
    calls = {seen.operation for seen in sandbox.requests() if seen.method != "GET"}
    assert calls <= {"createToken"}
    assert not sandbox.import_jobs()
    [path] = done.folder.glob("dry-run-*/*.csv")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5
    [report] = done.folder.glob("dry-run-*/people-mapping.txt")
    assert "entity_map:" in report.read_text(encoding="utf-8")
    assert len(done.rejects) == 1


def test_what_a_dry_run_writes_is_what_is_sent(sandbox: Sandbox, load: Load) -> None:
    done = load(*MESSAGES, dry_run=True)
    [path] = done.folder.glob("dry-run-*/*.csv")
    load(*MESSAGES)
    assert [path.read_bytes()] == [sandbox.uploaded(job["id"]) for job in sandbox.import_jobs()]


def test_the_settings_that_the_mapping_report_gives_lead_to_the_same(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    load(*MESSAGES)
    assert "person_id (string) → " in caplog.text
    assert "Settings for meltano.yml:" in caplog.text
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


def test_deletions_are_counted_and_never_sent(sandbox: Sandbox, load: Load) -> None:
    gone = "2026-01-01T00:00:00Z"
    done = load(
        people(), person(1), person(2, _sdc_deleted_at=gone),
        {"type": "ACTIVATE_VERSION", "stream": "people", "version": 1},
        person(3, _sdc_deleted_at=gone),
    )  # fmt: skip
    assert landed(sandbox).keys() == {"1"}
    assert done.report["streams"]["people"]["deletions_skipped"] == 2


def test_a_row_that_cannot_be_sent_is_kept_with_its_reason_and_can_be_sent_again(
    sandbox: Sandbox, load: Load
) -> None:
    bad = person(2, title="Ada Secret")
    del bad["record"]["person_id"]
    done = load(people(), person(1), bad, person(3), state(1), failure=RejectedRowsError)
    assert done.states == []
    [kept] = done.rejects
    assert kept["title"] == "Ada Secret"
    assert "person_id" in kept["_reject_reason"]
    assert landed(sandbox).keys() == {"1", "3"}
    [path] = done.folder.glob("rejects-*.jsonl")
    messages = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    messages[1]["record"]["person_id"] = "n2"
    load(*messages)
    assert landed(sandbox)["2"]["title"] == "Ada Secret"


def test_with_continue_the_state_goes_out_and_the_limits_hold(load: Load) -> None:
    rows = [person(n, person_id=None) if n < 2 else person(n) for n in range(5)]
    assert load(people(), *rows, state(1), on_reject="continue").states == [1]
    settings = {"on_reject": "continue", "max_rejected_rows": 1}
    assert load(people(), *rows, state(1), failure=RejectedRowsError, **settings).states == []


def test_states_go_out_in_order_each_behind_its_rows(sandbox: Sandbox, load: Load) -> None:
    messages = [people()]
    for number in range(7):
        messages += [person(number), state(number)]
    done = load(*messages, batch_size_rows=2, max_concurrent_jobs=3)
    assert done.states == sorted(done.states)
    assert done.states[-1] == 6
    assert len(done.states) > 1
    assert [row["person_id"] for file in files(sandbox) for row in file] == [
        f"n{number}" for number in range(7)
    ]


def test_a_state_never_passes_a_job_that_failed(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.JOB_FAILS, after=2, times=None))
    messages = [people()]
    for number in range(6):
        messages += [person(number), state(number)]
    done = load(*messages, batch_size_rows=1, failure=JobFailedError)
    assert done.states[-1] == 1
    sandbox.clear_faults()
    assert load(*messages, batch_size_rows=1).states[-1] == 5
    assert landed(sandbox).keys() == set("012345")


def test_the_quota_ends_the_run_as_one_that_may_work_later(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=429))
    with pytest.raises(DemandbaseError) as caught:
        load(*MESSAGES)
    assert getattr(caught.value, "exit_code", 1) == 75


@pytest.mark.parametrize("operation", [CREATE, UPLOAD, LIST])
def test_no_failure_shows_a_value_or_a_credential(
    sandbox: Sandbox,
    config: dict[str, Any],
    tmp_path: Path,
    operation: str,
) -> None:
    sandbox.add_fault(
        Fault(operation, Effect.STATUS, status=400, body='{"message": "row 1: Ada Secret"}')
    )
    with running(sandbox, tmp_path, **config) as run:
        run.feed(people(), person(1, title="Ada Secret", last_name="Secret"), state(1))
        assert run.process.wait(30) == 1
        assert run.states == []
        assert "CRITICAL" in run.errors.splitlines()[-1]
        # Only the answers to calls that carry records may quote them.
        quoted = ["Secret"] if operation == UPLOAD else []
        for secret in (*quoted, "n1@a.example", sandbox.token, sandbox.client_secret):
            assert secret not in run.errors
    assert sandbox.requests(operation)


def test_a_column_that_fits_nothing_fails_before_any_record(sandbox: Sandbox, load: Load) -> None:
    columns = {**PERSON, "nick": {"type": "string"}}
    with pytest.raises(MappingError, match="column nick is unknown"):
        load(people(columns), person(1))
    assert not sandbox.requests(CREATE)
    load(people(columns), person(1, nick="x"), unknown_fields="drop")
    assert landed(sandbox).keys() == {"1"}


def test_a_stream_without_a_required_field_fails_before_any_record(
    sandbox: Sandbox, load: Load
) -> None:
    columns = {name: PERSON[name] for name in ("person_id", "title")}
    with pytest.raises(MappingError, match=r"required field .* is filled by no column"):
        load(people(columns), record("people", person_id="n1"))
    assert not sandbox.requests(CREATE)


def test_a_silent_input_keeps_no_state_back(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    with running(sandbox, tmp_path, batch_size_rows=4, **config) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.states == [1])
        assert run.process.poll() is None


def test_a_schema_change_sends_the_old_rows_first(sandbox: Sandbox, load: Load) -> None:
    narrow = {name: PERSON[name] for name in PERSON if name != "phone"}
    load(people(narrow), person(1, title="old"), people(), person(1, title="new", phone="1"))
    assert [file[0]["title"] for file in files(sandbox)] == ["old", "new"]
    assert landed(sandbox)["1"]["title"] == "new"


def test_what_came_to_its_end_is_not_taken_up_again(sandbox: Sandbox, load: Load) -> None:
    assert load(*MESSAGES).states == [1]
    assert load(*MESSAGES).states == [1]
    assert len(sandbox.import_jobs()) == 2


def test_an_answer_that_is_no_json_ends_in_one_sentence(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(LIST, Effect.INVALID_JSON, times=None))
    with pytest.raises(ApiError, match="when asked to list the import jobs"):
        load(*MESSAGES)


def test_opportunities_of_known_accounts_land(sandbox: Sandbox, load: Load, api: str) -> None:
    columns = {"opportunity_id": "External Opportunity ID", "name": "Opportunity Name",
               "stage": "Opportunity Stage"}  # fmt: skip
    account = {"account_name": "Account Name", "account_domain": "Account Domain"}
    mappings = {"opportunities": {**columns, **account}} if api == "uapi" else {}
    text = {"type": ["string", "null"]}
    known = next(row for row in sandbox.rows("accounts") if row["account_id"] == "acc-00000001")
    row = {"opportunity_id": "opp-n1", "name": "Big", "stage": "Won",
           "account_name": known["name"], "account_domain": known["domain"]}  # fmt: skip
    names = row if api == "uapi" else {name: row[name] for name in columns}
    if api == "v1":
        names = {**names, "account_id": "acc-00000001"}
    load(
        schema(dict.fromkeys(names, text), "opportunities", "opportunity_id"),
        record("opportunities", **names),
        field_mappings=mappings,
    )
    found = next(row for row in sandbox.rows("opportunities") if row["opportunity_id"] == "opp-n1")
    assert (found["stage"], found["account_id"]) == ("Won", "acc-00000001")
