"""What cannot be sent, and what fails: kept and told of the same whichever API is in use."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import ApiError, DemandbaseError, JobFailedError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import MappingError, RejectedRowsError
from tests.target.command import running
from tests.target.conftest import (
    PERSON,
    Load,
    both_apis,
    landed,
    people,
    person,
    record,
    state,
)
from tests.target.people_files import CREATE, LIST, MESSAGES, UPLOAD

pytestmark = both_apis


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


def test_an_answer_that_is_no_json_ends_in_one_sentence(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(LIST, Effect.INVALID_JSON, times=None))
    with pytest.raises(ApiError, match="when asked to list the import jobs"):
        load(*MESSAGES)
