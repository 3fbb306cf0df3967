from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.models import Entity, EntityField
from demandbase_sandbox import Sandbox
from tap_demandbase.discovery import entity_schema, guess_key, unknown_types
from tap_demandbase.tap import TapDemandbase

SNAPSHOT = Path(__file__).with_name("catalog.json")


def test_the_sample_tenants_catalog_is_as_recorded(config: dict[str, Any]) -> None:
    catalog = json.loads(TapDemandbase(config=config).catalog_json_text)
    assert catalog == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_discovery_is_one_call_and_no_job(sandbox: Sandbox, config: dict[str, Any]) -> None:
    _ = TapDemandbase(config=config).catalog_dict
    assert [request.operation for request in sandbox.requests()] == ["listExportableEntities"]


def test_discovery_can_be_restricted(config: dict[str, Any]) -> None:
    streams = TapDemandbase(config={**config, "entities": ["people"]}).streams
    assert set(streams) == {
        "people", "export_jobs", "import_jobs", "import_errors", "field_mappings"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entity", "fields", "key"),
    [
        ("accounts", ["id", "account_id"], ("account_id",)),
        ("accounts", ["id", "name"], ("id",)),
        ("planets", ["planet_id"], ("planet_id",)),
        ("planets", ["name"], ()),
    ],
)
def test_keys_are_guessed_from_the_fields_that_exist(
    entity: str, fields: list[str], key: tuple[str, ...]
) -> None:
    assert guess_key(entity, fields) == key


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("Date Time", {"type": ["null", "string"], "format": "date-time"}),
        ("date-time", {"type": ["null", "string"], "format": "date-time"}),
        ("DATE", {"type": ["null", "string"], "format": "date"}),
        ("Long", {"type": ["null", "integer"]}),
        ("Currency", {"type": ["null", "number"]}),
        ("Boolean", {"type": ["null", "boolean"]}),
        ("Multi_Picklist", {"type": ["null", "string"]}),
    ],
)
def test_types_are_known_in_every_spelling(kind: str, schema: dict[str, Any]) -> None:
    entity = Entity("e", "", (EntityField("f", kind),))
    assert entity_schema(entity, lenient_numbers=False)["properties"]["f"] == schema
    assert not unknown_types(entity)
