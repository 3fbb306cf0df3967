"""What holds whichever API is in use: streams, rows, states and guarantees are the same."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.target.conftest import (
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
from tests.target.people_files import MESSAGES, UPLOAD, files

pytestmark = both_apis


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


def test_deletions_are_counted_and_never_sent(sandbox: Sandbox, load: Load) -> None:
    gone = "2026-01-01T00:00:00Z"
    done = load(
        people(), person(1), person(2, _sdc_deleted_at=gone),
        {"type": "ACTIVATE_VERSION", "stream": "people", "version": 1},
        person(3, _sdc_deleted_at=gone),
    )  # fmt: skip
    assert landed(sandbox).keys() == {"1"}
    assert done.report["streams"]["people"]["deletions_skipped"] == 2


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


def test_a_schema_change_sends_the_old_rows_first(sandbox: Sandbox, load: Load) -> None:
    narrow = {name: PERSON[name] for name in PERSON if name != "phone"}
    load(people(narrow), person(1, title="old"), people(), person(1, title="new", phone="1"))
    assert [file[0]["title"] for file in files(sandbox)] == ["old", "new"]
    assert landed(sandbox)["1"]["title"] == "new"


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
