from __future__ import annotations

from typing import Any

import pytest

from demandbase_api.settings_values import as_declared, with_parted_names
from tap_demandbase.tap import TapDemandbase
from target_demandbase.target import TargetDemandbase

for plugin in (TapDemandbase, TargetDemandbase):
    plugin.append_builtin_config(plugin.config_jsonschema)
TAP, TARGET = TapDemandbase.config_jsonschema, TargetDemandbase.config_jsonschema
# Right for both plugins, and not to be changed.
RIGHT: list[dict[str, Any]] = [
    {"access_token": "17", "api_url": "{}", "start_date": "2026", "unknown": "1"},
    {"keep_days": 3, "flattening_enabled": True, "spool_dir": None},
    {"stream_maps": {"a.b": {"c.d": "__NULL__", "e": "1"}, "f": "__NULL__", "__else__": None}},
    {"stream_map_config": {"a.b": "1"}, "faker_config": {"seed": "1"}},
    {"stream_options": {"a.b": {"lookback_days": 4, "replication_key": "5"}}},
    {"batch_config": {"storage": {"root": "7", "params": {"a.b": "8"}}}},
]


@pytest.mark.parametrize("settings", RIGHT)
def test_right_settings_stay_as_they_are(settings: dict[str, Any]) -> None:
    assert as_declared(settings, TAP) == settings
    assert as_declared(settings, TARGET) == settings


@pytest.mark.parametrize(
    ("schema", "settings", "expected"),
    [
        (TAP, {"lookback_days": "7"}, {"lookback_days": 7}),
        (TAP, {"lookback_days": None, "entities": None}, {"entities": None}),
        (TARGET, {"source": None, "batch_size_rows": None, "dry_run": None}, {}),
        (TAP, {"activate_version": "true"}, {"activate_version": True}),
        (TAP, {"entities": '["a"]'}, {"entities": ["a"]}),
        (
            TAP,
            {"stream_options": {"a": {"lookback_days": "7", "account_list_ids": "[1]"}}},
            {"stream_options": {"a": {"lookback_days": 7, "account_list_ids": [1]}}},
        ),
        (
            TAP,
            {"stream_options": {"a": '{"lenient_numbers": "true"}'}},
            {"stream_options": {"a": {"lenient_numbers": True}}},
        ),
        (
            TAP,
            {"batch_config": '{"storage": {"root": "1"}, "batch_size": "2"}'},
            {"batch_config": {"storage": {"root": "1"}, "batch_size": 2}},
        ),
        (
            TAP,
            {"stream_options": {"a": {"replication_key": "__NULL__"}}},
            {"stream_options": {"a": {"replication_key": None}}},
        ),
        (
            TARGET,
            {"field_mappings": {"people": {"a": "__NULL__", "b": "__null__", "c": None}}},
            {"field_mappings": {"people": {"a": None, "b": "__null__", "c": None}}},
        ),
        (TARGET, {"activity_types": {"a": "17"}}, {"activity_types": {"a": "17"}}),
        (TARGET, {"match_keys": '{"people": "1"}'}, {"match_keys": {"people": "1"}}),
    ],
)
def test_text_is_read_where_no_text_is_allowed(
    schema: dict[str, Any], settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert as_declared(settings, schema) == expected


@pytest.mark.parametrize("text", ["", "x", "1.5", "true", "null", "[1]", '"7"', "1e2"])
def test_text_of_another_type_stays(text: str) -> None:
    """The check of the settings names it."""
    assert as_declared({"lookback_days": text}, TAP) == {"lookback_days": text}


def test_names_that_dots_join_are_parted_where_objects_are_declared() -> None:
    joined = {
        "stream_options": {"a.lookback_days": 1, "a.replication_key": "x.y", "b": {"columns": []}},
        "batch_config": {"storage.root": "/x", "storage.params": {"a.b": 1}, "batch_size": 2},
        "stream_maps": {"a.b.c": "d"},
        "entities": ["a.b"],
    }
    assert with_parted_names(joined, TAP) == {
        "stream_options": {
            "a": {"lookback_days": 1, "replication_key": "x.y"},
            "b": {"columns": []},
        },
        "batch_config": {"storage": {"root": "/x", "params": {"a.b": 1}}, "batch_size": 2},
        "stream_maps": {"a": {"b.c": "d"}},
        "entities": ["a.b"],
    }
    joined = {
        "field_mappings": {"people.a": "X", r"people.b\.c": "Y", "accounts.d": None},
        "entity_map": {"public.people": "people"},
    }
    assert with_parted_names(joined, TARGET) == {
        "field_mappings": {"people": {"a": "X", "b.c": "Y"}, "accounts": {"d": None}},
        "entity_map": {"public.people": "people"},
    }
