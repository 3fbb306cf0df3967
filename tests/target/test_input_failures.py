"""What precedes the last whole state is delivered, though the input fails after it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from singer_sdk.exceptions import RecordsWithoutSchemaException

from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import InputError, MappingError, PlanError, RoutingError
from tests.target.conftest import PERSON, Load, deals, landed, people, person, record, state
from tests.target.people_files import CREATE, UPLOAD, rows_sent

pytestmark = pytest.mark.thorough

HALF = json.dumps(person("half"))[:60]
BAD_SCHEMA = {**people(), "schema": {"properties": None}}
BAD_COLUMN = people({**PERSON, "shoe_size": {"type": "string"}})
UNKNOWN = {**people(), "stream": "unknown"}
ROWS = [person(n, title=str(n)) for n in range(60)]
BEHIND = [person("behind"), person(0, title="behind")]


@pytest.mark.parametrize(
    ("bad", "failure"),
    [
        (HALF, InputError),
        (BAD_SCHEMA, InputError),
        (BAD_COLUMN, MappingError),
        (UNKNOWN, RoutingError),
        (record("unknown"), RecordsWithoutSchemaException),
    ],
    ids=["half", "schema", "column", "entity", "no schema"],
)
def test_rows_before_the_last_state_land_though_the_input_fails(
    sandbox: Sandbox,
    load: Load,
    bad: dict[str, Any] | str,
    failure: type[Exception],
) -> None:
    done = load(
        people(), *ROWS, state(1), *BEHIND, bad, person("later"), state(2),
        failure=failure,
    )  # fmt: skip
    assert done.states == [1]
    # A row behind the state comes again from the tap: sent now, an insert would double it.
    rows = landed(sandbox)
    assert {number: row["title"] for number, row in rows.items()} == {
        str(n): str(n) for n in range(60)
    }
    assert rows_sent(sandbox) == [60]


@pytest.mark.v1_only("uapi has no list of an entity's fields")
def test_an_entity_that_cannot_be_read_keeps_no_other_from_landing(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault("listFieldMappings", Effect.STATUS, status=403, after=1))
    done = load(people(), person("a"), state(1), deals(), state(2), failure=PlanError)
    assert (done.states, list(landed(sandbox))) == ([1], ["a"])


@pytest.mark.parametrize(("behind", "sent"), [(5, 0), (22, 20)], ids=["staged", "next batch"])
def test_what_a_batch_has_when_it_is_full_is_sent_and_no_more(
    sandbox: Sandbox, load: Load, behind: int, sent: int
) -> None:
    narrow = [person(n) for n in range(20)]
    wide = [person(n, title="wide") for n in range(20, 40)]
    more = [person(n, title="behind") for n in range(behind)]
    messages = [people(), *narrow, *wide, state(1), *more, HALF]
    done = load(*messages, failure=InputError, batch_size_rows=30)
    assert done.states == [1]
    titles = [row["title"] for row in landed(sandbox).values()]
    assert titles.count("behind") == sent
    assert (titles.count("wide"), len(titles)) == (20, 40)


def test_without_a_state_nothing_is_sent(sandbox: Sandbox, load: Load) -> None:
    done = load(people(), *ROWS[:3], HALF, failure=InputError)
    assert (done.states, sandbox.import_jobs()) == ([], [])


@pytest.mark.parametrize("operation", [CREATE, UPLOAD])
def test_if_that_fails_too_the_input_is_what_the_run_reports(
    sandbox: Sandbox, load: Load, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(Fault(operation, Effect.STATUS, status=400, times=None))
    done = load(people(), person("a"), state(1), HALF, failure=InputError)
    assert done.states == []
    assert "What precedes the last state was not delivered: Demandbase" in caplog.text
