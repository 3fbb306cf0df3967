"""Columns that field_mappings leaves out with null or its name."""

from __future__ import annotations

from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from target_demandbase.errors import MappingError
from tests.target.conftest import Load, Start, landed, people, person, schema, state

ROW_ID = {"row_id": {"type": "integer"}}


def keyed_by_row() -> dict[str, Any]:
    properties = {**ROW_ID, **people()["schema"]["properties"]}
    return schema(properties, "people", "row_id")


def left_out(
    config: dict[str, Any], api: str, column: str = "row_id", *, by: str | None = None
) -> dict[str, Any]:
    mappings = (config.get("field_mappings") or {}).get("people", {})
    key = {"match_keys": {"people": "person_id"}} if api == "v1" else {}
    return {"field_mappings": {"people": {**mappings, column: by}}, **key}


def test_a_key_column_is_left_out(
    sandbox: Sandbox, load: Load, config: dict[str, Any], api: str
) -> None:
    messages = [keyed_by_row(), person(1, row_id=7), person(2, row_id=8), state({"n": 2})]
    assert load(*messages, **left_out(config, api)).state == {"n": 2}
    assert landed(sandbox).keys() == {"1", "2"}
    [job] = sandbox.import_jobs()
    assert b"row_id" not in sandbox.uploaded(job["id"])


@pytest.mark.v1_only("rows are matched by a key that is chosen")
def test_a_key_that_is_left_out_is_no_match_key(load: Load, config: dict[str, Any]) -> None:
    settings = {"field_mappings": left_out(config, "v1")["field_mappings"]}
    with pytest.raises(MappingError) as caught:
        load(keyed_by_row(), person(1, row_id=7), **settings)
    assert str(caught.value).startswith(
        "Stream people does not fit the entity people: it has no key, and one field must be chosen "
        "to match rows on (set match_keys.people to one of email, person_id)."
    )


def test_the_command_leaves_a_column_out(
    sandbox: Sandbox, start: Start, config: dict[str, Any], api: str
) -> None:
    with start(**left_out(config, api, by="__NULL__")) as run:
        run.feed(keyed_by_row(), person(1, row_id=7), state({"n": 1}))
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [{"n": 1}]
        assert "Left out by field_mappings: row_id" in run.errors
    assert landed(sandbox).keys() == {"1"}
