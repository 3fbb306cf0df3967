"""What becomes of odd values on their way into the file."""

from __future__ import annotations

from typing import Any

import pytest
from singer_sdk.helpers._flattening import FlatteningOptions, flatten_schema

from demandbase_sandbox import Sandbox
from target_demandbase.flattening import NullParents
from tests.target.conftest import Load, landed, people, person, state
from tests.target.people_files import files

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
