from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.models import FieldMapping
from target_demandbase.mapping import type_problems
from target_demandbase.schema import json_types

FIELD_TYPES = ["integer", "Long", "currency", "boolean", "date", "Date-Time", "string", "picklist"]
JSON_TYPES = ["object", "array", "boolean", "integer", "number", "string"]


def problems(rule: dict[str, Any], kind: str) -> list[str]:
    return type_problems("s", {"c": rule}, {"c": "f"}, [FieldMapping("accounts", "f", kind)])


@pytest.mark.parametrize(
    ("kind", "unfit"),
    [
        ("number", {"object", "array"}),
        ("integer", {"object", "array"}),
        ("Currency", {"object", "array"}),
        ("boolean", {"object", "array"}),
        ("date", {"object", "array", "boolean", "integer", "number"}),
        ("date_time", {"object", "array", "boolean", "integer", "number"}),
        ("string", set()),
        ("multi-picklist", set()),
        ("something new", set()),
    ],
)
def test_types_fit_or_not(kind: str, unfit: set[str]) -> None:
    assert {name for name in JSON_TYPES if problems({"type": ["null", name]}, kind)} == unfit


def test_a_clause_names_column_types_and_field() -> None:
    assert problems({"type": ["object", "null", "array"]}, "number") == [
        "column c of stream s is object or array, which cannot fit the field f (number)"
    ]


def test_each_column_has_a_clause_of_its_own() -> None:
    fields = {"a": "x", "b": "y", "c": "z"}
    found = type_problems(
        "s",
        {column: {"type": "object"} for column in fields},
        fields,
        [FieldMapping("accounts", name, "date") for name in ("x", "y")],
    )
    assert [clause.split()[1] for clause in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("rule", "types"),
    [
        ({}, ()),
        ({"type": "null"}, ()),
        ({"type": ["null", "string", "string"]}, ("string",)),
        ({"anyOf": [{"type": "object"}, {"type": "null"}]}, ("object",)),
        ({"oneOf": [{"type": "object"}, {"anyOf": [{"type": "array"}]}]}, ("object", "array")),
        ({"anyOf": [{"type": "object"}, {}]}, ()),
        ({"anyOf": [{"type": "object"}, True]}, ()),
        ({"type": "object", "anyOf": [{"required": ["a"]}]}, ("object",)),
        ({"anyOf": "nonsense"}, ()),
        ({"$ref": "#/x"}, ()),
    ],
)
def test_the_types_of_a_schema(rule: dict[str, Any], types: tuple[str, ...]) -> None:
    assert json_types(rule) == types


@given(st.sets(st.sampled_from(JSON_TYPES)), st.sampled_from(FIELD_TYPES))
def test_a_column_fits_where_one_of_its_types_does(types: set[str], kind: str) -> None:
    alone = [bool(problems({"type": name}, kind)) for name in types]
    assert bool(problems({"type": ["null", *types]}, kind)) == (bool(types) and all(alone))
    union = {"anyOf": [{"type": name} for name in types]}
    assert bool(problems(union, kind)) == (bool(types) and all(alone))


@given(st.sampled_from(FIELD_TYPES), st.sets(st.sampled_from(JSON_TYPES)))
def test_texts_may_always_fit(kind: str, others: set[str]) -> None:
    assert not problems({"type": ["string", *others]}, kind)
