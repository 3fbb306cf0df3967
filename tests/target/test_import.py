"""What is sent, what lands of it, and where it goes."""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest

from demandbase_api.errors import JobFailedError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import InputError, MappingError, RejectedRowsError, RoutingError
from tests.target.conftest import (
    ACCOUNT_ID,
    PERSON,
    Load,
    deal,
    deals,
    landed,
    people,
    person,
    record,
    schema,
    state,
)
from tests.target.people_files import CREATE, MESSAGES, files

pytestmark = pytest.mark.thorough

NASTY = 'quoted "twice", comma\r\nnext line 😀 =1+1'


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


def test_opportunities_of_known_accounts_land(sandbox: Sandbox, load: Load) -> None:
    load(deals(), deal(sandbox, 1), unknown_fields="drop")
    found = next(row for row in sandbox.rows("opportunities") if row["opportunity_id"] == "opp-n1")
    assert (found["stage"], found["account_id"]) == ("Proposal", ACCOUNT_ID)


@pytest.mark.v1_only("on uapi a missing account is not added, and types are not reported")
def test_numbers_and_moments_are_written_plainly_and_metadata_goes_nowhere(
    sandbox: Sandbox, load: Load
) -> None:
    moment = {"type": ["string", "null"], "format": "date-time"}
    columns = {"domain": {"type": "string"}, "engagement_score": {"type": "number"},
               "scored_at": moment, "_sdc_batched_at": moment}  # fmt: skip
    cells: dict[str, Any] = {"engagement_score": 1e-7, "scored_at": "2026-01-02 05:04:05+02:00",
             "_sdc_batched_at": "2026-01-01T00:00:00Z"}  # fmt: skip
    load(schema(columns), record(domain="a.example", **cells))
    [job] = sandbox.import_jobs()
    assert sandbox.uploaded(job["id"]) == (
        b'"domain","engagement_score","scored_at"\n"a.example","0.0000001","2026-01-02T03:04:05Z"\n'
    )
    [create] = sandbox.requests(CREATE)
    assert (create.body["operation"], create.body["match_key"]) == ("upsert", "domain")


def test_a_row_that_cannot_be_sent_fails_the_run_with_a_digest_and_no_state(
    sandbox: Sandbox, load: Load
) -> None:
    bad = [person(n, person_id=None, title="Ada Secret") for n in (2, 3)]
    with pytest.raises(RejectedRowsError) as caught:
        load(people(), person(1), *bad, state(1))
    sentence = str(caught.value)
    assert "2 of 3 rows of stream people were rejected" in sentence
    assert ": 2 (rows 2, 3)" in sentence
    assert "Secret" not in sentence
    assert landed(sandbox).keys() == {"1"}


@pytest.mark.v1_only("uapi gives no reason with a failed job")
def test_a_failed_job_ends_in_its_words_without_values(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.JOB_FAILS, message='row 3 holds "Ada Secret"'))
    with pytest.raises(JobFailedError, match=r"people failed: row 3 holds \*\*\*"):
        load(*MESSAGES)


def test_a_stream_without_a_place_fails_before_any_record(sandbox: Sandbox, load: Load) -> None:
    messages = ({**people(), "stream": "contacts"}, {**person(1), "stream": "contacts"})
    with pytest.raises(RoutingError, match="entity_map"):
        load(*messages)
    assert not sandbox.requests(CREATE)
    load(*messages, entity_map={"contacts": "people"})
    assert landed(sandbox).keys() == {"1"}


@pytest.mark.v1_only("uapi matches rows by fixed rules")
def test_a_match_key_that_no_column_fills_is_refused(sandbox: Sandbox, load: Load) -> None:
    columns = {name: PERSON[name] for name in PERSON if name != "person_id"}
    with pytest.raises(MappingError, match="no column fills the match key person_id"):
        load(people(columns), match_keys={"people": "person_id"})
    assert not sandbox.requests(CREATE)


def test_columns_are_renamed_on_the_wire(sandbox: Sandbox, load: Load, api: str) -> None:
    field = "title" if api == "v1" else "Title"
    renamed = {"job": field}
    if api == "uapi":
        renamed |= {"person_id": "External Person Id", "email": "Email",
                    "first_name": "First Name", "last_name": "Last Name"}  # fmt: skip
    columns = {**{name: PERSON[name] for name in person(1)["record"]}, "job": PERSON["title"]}
    load(people(columns), person(1, job="Boss"), field_mappings={"people": renamed})
    assert landed(sandbox)["1"]["title"] == "Boss"


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "RECORD", "record": "Ada Secret',
        '{"stream": "people", "record": {"title": "Ada Secret"}}',
        '{"type": "RECORD", "record": {"title": "Ada Secret"}}',
        '{"type": "RECORDS", "record": {"title": "Ada Secret"}}',
        '["Ada Secret"]',
    ],
)
def test_a_line_that_is_no_singer_message_is_not_shown(
    load: Load, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError, match="Line 2") as caught:
        load(people(), line)
    assert "Secret" not in caplog.text + str(caught.value)


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
