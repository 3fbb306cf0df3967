"""Odd values of records, and how the import file has them."""

from __future__ import annotations

from typing import Any

import pytest
from singer_sdk.helpers._flattening import FlatteningOptions, flatten_schema

from demandbase_sandbox import Sandbox
from target_demandbase.flattening import NullParents
from tests.target.conftest import PERSON, Load, landed, people, person, state
from tests.target.people_files import files, rows_sent

ODD_KEYWORDS: dict[str, Any] = {
    "maxLength of title": {"title": {"type": "string", "maxLength": None}},
    "required of title": {"title": {"type": "string", "required": True}},
    "type of title": {"title": {"type": "datetime"}},
    "items of title": {"title": {"type": ["string", "array"], "items": []}},
    "$ref of title": {"title": {"$ref": "#/definitions/gone"}},
    "$dynamicRef of title": {"title": {"$dynamicRef": "#gone"}},
    "pattern of title": {"title": {"type": "string", "pattern": "\\A(?<name>C.*)\\z"}},
    "patternProperties of title": {"title": {"type": "string", "patternProperties": {"([": {}}}},
}

TEXT = {"type": ["string", "null"]}
NESTED = {
    "person_id": TEXT,
    "email": TEXT,
    "first_name": TEXT,
    "last_name": TEXT,
    "job": {
        "type": ["object", "null"],
        "properties": {
            "title": {"type": "string"},
            "contact": {"type": ["object", "null"], "properties": {"phone": TEXT}},
        },
    },
}

pytestmark = pytest.mark.thorough


def test_nul_characters_are_removed_and_counted(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [person(1), person("\0" + "2", title="a\0b\0"), person(3, title="\0")]
    done = load(people(), *rows, state(1))
    assert done.states == [1]
    assert landed(sandbox).keys() == {"1", "2", "3"}
    assert landed(sandbox)["2"]["title"] == "ab"
    assert not landed(sandbox)["3"]["title"]
    assert not any("\0" in cell for file in files(sandbox) for row in file for cell in row.values())
    # Number 2 has one in its key and one in its address.
    assert "5 NUL characters were removed from records of stream people" in caplog.text


@pytest.mark.parametrize(
    ("job", "kept"),
    [
        (None, (None, None)),
        ({"title": "Cook", "contact": None}, ("Cook", None)),
        ({"contact": {"phone": "2"}}, ("Boss", "2")),
        ({}, ("Boss", "1")),
    ],
)
@pytest.mark.parametrize("is_renamed", [False, True])
def test_a_null_object_blanks_the_columns_that_it_is_flattened_to(
    sandbox: Sandbox,
    load: Load,
    config: dict[str, Any],
    job: object,
    kept: tuple[str | None, str | None],
    *,
    is_renamed: bool,
) -> None:
    name = "work" if is_renamed else "job"
    labels = (config.get("field_mappings") or {}).get("people") or {}
    renamed = {
        f"{name}__{path}": labels.get(column, column)
        for path, column in {"title": "title", "contact__phone": "phone"}.items()
    }
    settings: dict[str, Any] = {
        "flattening_enabled": True,
        "flattening_max_depth": 3,
        "field_mappings": {"people": {**labels, **renamed}},
        "stream_maps": {"people": {"work": "job", "job": None}} if is_renamed else {},
    }
    before = person(1, job={"title": "Boss", "contact": {"phone": "1"}})
    assert load(people(NESTED), before, state(1), **settings).states == [1]
    assert load(people(NESTED), person(1, job=job), state(2), **settings).states == [2]
    row = landed(sandbox)["1"]
    assert (row["title"] or None, row["phone"] or None) == kept


def test_columns_of_a_null_object_are_found_by_their_shortened_names() -> None:
    schema = {"properties": NESTED}
    options = FlatteningOptions(enabled=True, max_level=2, max_key_length=12)
    flat = flatten_schema(schema, 2, max_key_length=12)
    names = [name for name in flat["properties"] if name not in NESTED]
    nulls = NullParents(schema, flat, options)
    assert nulls.replaced({"job": None}) == dict.fromkeys(names)
    record = {"job": 1, "email": None}
    assert nulls.replaced(record) is record


@pytest.mark.parametrize("keyword", ODD_KEYWORDS)
def test_a_keyword_that_cannot_be_read_is_named_and_ignored(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture, keyword: str
) -> None:
    columns = {**PERSON, **ODD_KEYWORDS[keyword]}
    rows = [person(1, title="Cook"), person(2, lead_score="no number")]
    done = load(people(columns), *rows, state(1), on_reject="continue")
    assert done.states == [1]
    assert landed(sandbox)["1"]["title"] == "Cook"
    assert [row["_reject_field"] for row in done.rejects] == ["lead_score"]
    assert f"are ignored: {keyword}" in caplog.text


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"type": "number", "maximum": 5, "exclusiveMaximum": True}, 4, 5),
        ({"type": "number", "multipleOf": 1e-20}, 123456789.5, 1e-21),
        ({"type": "number", "multipleOf": 1e-38, "maximum": 1e62}, 123456789.5, 1e63),
        ({"type": "number", "multipleOf": 2}, 4, float("nan")),
        ({"type": "integer"}, 1.0, 1.5),
        ({"type": "integer"}, 1e2, "1"),
    ],
)
def test_a_value_that_breaks_a_rule_is_that_records_reject(
    sandbox: Sandbox, load: Load, rule: dict[str, Any], good: float | None, bad: object
) -> None:
    columns = {**PERSON, "lead_score": rule}
    fine = person(1) if good is None else person(1, lead_score=good)
    done = load(people(columns), fine, person(2, lead_score=bad), state(1), on_reject="continue")
    assert done.states == [1]
    assert [(row["person_id"], row["_reject_field"]) for row in done.rejects] == [
        ("n2", "lead_score")
    ]
    [[row]] = files(sandbox)
    assert good is None or row["lead_score"] == str(int(good))


def test_columns_that_are_not_sent_are_not_validated(sandbox: Sandbox, load: Load) -> None:
    columns = {**PERSON, "extra": {"type": "array", "items": {"type": "string"}}}
    row = person(1, extra=["a", None])
    assert load(people(columns), row, state(1), unknown_fields="drop").states == [1]
    assert landed(sandbox).keys() == {"1"}


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+12:00",
        "2026-01-02T23:59:60Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02t03:04:05z",
    ],
)
def test_a_date_time_that_utc_cannot_hold_is_sent_as_a_text_or_kept(
    sandbox: Sandbox, load: Load, moment: str
) -> None:
    rule = {"type": ["string", "null"], "format": "date-time"}
    columns = {**PERSON, "title": rule, "last_contacted_on": rule}
    rows = [person(1, title=moment), person(2, last_contacted_on=moment)]
    done = load(people(columns), *rows, state(1), on_reject="continue")
    assert landed(sandbox)["1"]["title"] == moment
    [kept] = done.rejects
    assert kept["_reject_field"] == "last_contacted_on"
    assert kept["_reject_reason"] == "the value of last_contacted_on is no ISO 8601 date-time"


def test_a_choice_that_takes_any_text_needs_no_date_time(sandbox: Sandbox, load: Load) -> None:
    rule = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}
    load(people({**PERSON, "title": rule}), person(1, title="soon"), state(1))
    assert landed(sandbox)["1"]["title"] == "soon"


@pytest.mark.parametrize("path", ["fast", "slow"])
def test_an_absent_property_can_be_sent_as_null(sandbox: Sandbox, load: Load, path: str) -> None:
    columns = ["title", "phone", "lead_score", "last_contacted_on"]
    cells = {"title": "Boss", "phone": "1", "lead_score": 1, "last_contacted_on": "2026-01-02"}
    maps = {"stream_maps": {"people": {"title": "title"}}} if path == "slow" else {}
    load(people(), *(person(n, **cells) for n in range(80)))
    # Twenty in a row with the same columns, so that they are encoded together.
    kept_of = {n: columns[n // 20] for n in range(80)}
    sparse = [person(n, **{"title": None} | {kept_of[n]: cells[kept_of[n]]}) for n in range(80)]
    load(people(), *sparse, on_null="blank_absent", **maps)
    assert rows_sent(sandbox) == [80, 80]
    for n, row in landed(sandbox).items():
        kept = kept_of[int(n)]
        assert row[kept] is not None
        assert not any(row[name] for name in columns if name != kept)


def test_an_absent_property_is_not_sent_as_null_by_itself(sandbox: Sandbox, load: Load) -> None:
    load(people(), person(1, title="Boss"), person(1, phone="1"))
    assert landed(sandbox)["1"]["title"] == "Boss"
