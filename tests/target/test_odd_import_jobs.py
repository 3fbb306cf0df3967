"""Odd members of import jobs: what the outcome depends on is never guessed."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from demandbase_api.errors import UnexpectedResponseError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import PlanError, ReconciliationError
from tests.target.conftest import ACCOUNT, Load, landed, people, person, record, schema, state

pytestmark = pytest.mark.thorough

UAPI = {"status": "state", "created_at": "createdAt"}
BAD = {"domain": "bad.example", "engagement_score": "viel"}
LOOSE = {**ACCOUNT, "engagement_score": {"type": ["string", "null"]}}
MIXED = [
    schema(LOOSE),
    record(**BAD),
    *(record(domain=f"d{number}.example", engagement_score="1") for number in range(3)),
]


def odd(api: str, **members: object) -> dict[str, Any]:
    """Return the arguments of a fault that gives a job members; “null” stands for null."""
    named = {UAPI.get(name, name) if api == "uapi" else name: members[name] for name in members}
    return {
        "members": {name: value for name, value in named.items() if value != "null"},
        "nulls": tuple(name for name, value in named.items() if value == "null"),
    }


def test_an_odd_job_of_another_client_changes_nothing(
    sandbox: Sandbox, load: Load, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    load(people(), person(1))
    [job] = sandbox.import_jobs()
    spoilt = odd(api, status="null", created_at="", success_count="many")
    spoil = Fault("listImportJobs", Effect.ALTER, items={"id": job["id"]}, times=None, **spoilt)
    sandbox.add_fault(spoil)
    caplog.clear()
    done = load(people(), person(2), person(3), state(1))
    assert (done.states, set(landed(sandbox))) == ([1], {"1", "2", "3"})
    assert sum("is left out" in record.message for record in caplog.records) <= 1


def test_a_job_with_an_unknown_status_has_not_ended(
    sandbox: Sandbox, load: Load, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    queued = odd(api, status="Queued", created_at="soon")
    sandbox.add_fault(Fault("uploadImportFile", Effect.ALTER, **queued))
    sandbox.add_fault(Fault("listImportJobs", Effect.ALTER, items={}, times=3, **queued))
    with caplog.at_level(logging.WARNING):
        done = load(people(), person(1), state(1))
    assert (done.states, set(landed(sandbox))) == ([1], {"1"})
    [said] = [record.message for record in caplog.records if "unknown status" in record.message]
    assert said.endswith("has the unknown status “Queued”: it counts as not ended")


@pytest.mark.parametrize("call", ["uploadImportFile", "getImportJob"])
def test_a_response_about_another_job_is_not_that_of_the_own(
    sandbox: Sandbox, load: Load, api: str, call: str
) -> None:
    other: dict[str, Any] = {"id": 99999 if api == "uapi" else "other"}
    sandbox.add_fault(Fault(call, Effect.ALTER, members=other, times=None))
    if call == "uploadImportFile":
        done = load(people(), person(1), state(1))  # the list has the job
        assert (done.states, set(landed(sandbox))) == ([1], {"1"})
        return
    sandbox.add_fault(Fault("listImportJobs", Effect.SHIFT_PAGE, rows=1000, times=None))
    done = load(people(), person(1), state(1), failure=UnexpectedResponseError)
    assert done.states == []


@pytest.mark.v1_only("uapi counts no rows")
@pytest.mark.parametrize("member", ["total_rows", "processed_rows", "success_count", "error_count"])
def test_a_count_that_cannot_be_read_is_an_error(
    sandbox: Sandbox, load: Load, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    members = {member: "2 Ada"}
    sandbox.add_fault(Fault("listImportJobs", Effect.ALTER, items={}, members=members, times=None))
    # The job is read alone if the list spoils it.
    done = load(people(), person(1), person(2), state(1))
    assert (done.states, set(landed(sandbox))) == ([1], {"1", "2"})
    sandbox.add_fault(Fault("getImportJob", Effect.ALTER, members=members, times=None))
    with caplog.at_level(logging.DEBUG):
        done = load(people(), person(3), state(2), failure=UnexpectedResponseError)
    assert done.states == []
    assert f"“{member}” that cannot be read" in caplog.text
    assert "2 Ada" not in caplog.text


@pytest.mark.v1_only("uapi has no row errors")
@pytest.mark.parametrize("total", [None, 10**6])
def test_row_errors_that_repeat_their_page_end(
    sandbox: Sandbox, load: Load, total: int | None
) -> None:
    sandbox.add_fault(Fault("getImportErrors", Effect.SAME_PAGE, times=None))
    said = {"total": total}
    sandbox.add_fault(Fault("getImportErrors", Effect.ALTER, members=said, times=None))
    done = load(*MIXED, state(1), on_reject="continue")
    assert [row["domain"] for row in done.rejects] == ["bad.example"]
    assert done.states == [1]
    assert len(sandbox.requests("getImportErrors")) == 3


@pytest.mark.v1_only("uapi has no row errors")
@pytest.mark.parametrize("body", ["{}", '{"errors": null}', '{"errors": [{"row_number": "1"}]}'])
def test_row_errors_that_cannot_be_read_are_not_none(
    sandbox: Sandbox, load: Load, body: str
) -> None:
    sandbox.add_fault(Fault("getImportErrors", Effect.STATUS, status=200, body=body, times=None))
    done = load(schema(LOOSE), record(**BAD), state(1), failure=UnexpectedResponseError)
    assert done.states == []


@pytest.mark.v1_only("uapi has no row errors")
def test_row_errors_may_say_nothing_but_their_number_counts(sandbox: Sandbox, load: Load) -> None:
    body = '{"errors": [{"field": 7, "value": 1.5, "error_type": [], "message": {}}], "total": 1}'
    sandbox.add_fault(Fault("getImportErrors", Effect.STATUS, status=200, body=body, times=None))
    done = load(*MIXED, state(1), on_reject="continue")
    assert len(done.rejects) == 4  # which one it is about is unknown
    body = '{"errors": [], "total": 0}'
    sandbox.clear_faults()
    sandbox.add_fault(Fault("getImportErrors", Effect.STATUS, status=200, body=body, times=None))
    load(schema(LOOSE), record(**BAD), state(1), failure=ReconciliationError)


@pytest.mark.v1_only("uapi has no list of mappings")
@pytest.mark.parametrize("mappings", ["null", "{}", '[{"field_name": "a"}]'])
def test_mappings_that_cannot_be_read_are_not_none(
    sandbox: Sandbox, load: Load, mappings: str
) -> None:
    body = f'{{"mappings": {mappings}}}'
    sandbox.add_fault(Fault("listFieldMappings", Effect.STATUS, status=200, body=body, times=None))
    load(people(), person(1), failure=PlanError)
    assert not sandbox.import_jobs()
