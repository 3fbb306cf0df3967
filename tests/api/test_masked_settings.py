from __future__ import annotations

import json
from typing import Any

import pytest

from demandbase_api.config import PROPERTIES
from demandbase_api.masked_settings import masked_settings
from tap_demandbase.config import CONFIG as TAP
from tap_demandbase.tap import TapDemandbase
from target_demandbase.config import CONFIG as TARGET


def test_secret_settings_are_masked_wherever_they_occur() -> None:
    config = {
        "access_token": "t0ken-of-mine",
        "client_secret": "s3cret",
        "client_id": "c1",
        "api_url": "https://gateway.example/t0ken-of-mine",
        "entities": ["accounts", "with-s3cret"],
        "start_date": None,
    }
    found = masked_settings(config, TAP)
    assert found == {
        "access_token": "***",
        "client_secret": "***",
        "client_id": "c1",
        "api_url": "https://gateway.example/***",
        "entities": ["accounts", "with-***"],
    }


def test_user_names_and_queries_of_addresses_are_masked() -> None:
    storage = {
        "root": "s3://user:hidden@bucket/folder",
        "prefix": "https://host.example/path?sig=hidden",
        "params": {"key": "hidden", "client_kwargs": {"tokens": ["hidden", 1]}, "anon": None},
    }
    config = {
        "api_url": "https://user:hidden@gateway.example/x?key=hidden",
        "batch_config": {"storage": storage},
    }
    found = masked_settings(config, TAP)
    assert "hidden" not in json.dumps(found)
    assert found["api_url"] == "https://***@gateway.example/x?***"
    assert found["batch_config"]["storage"]["params"] == {
        "key": "***",
        "client_kwargs": {"tokens": ["***", "***"]},
        "anon": None,
    }


def test_expressions_and_their_values_are_masked() -> None:
    config = {
        "stream_maps": {"people": {"__filter__": "email == 'ada@example.com'", "phone": None}},
        "stream_map_config": {"seed": "hidden"},
    }
    schema = TapDemandbase.config_jsonschema  # with the settings of the SDK
    assert masked_settings(config, schema) == {
        "stream_maps": {"people": {"__filter__": "***", "phone": None}},
        "stream_map_config": {"seed": "***"},
    }


def test_other_settings_are_as_they_are() -> None:
    config = {
        "field_mappings": {"accounts": {"score": "engagement_score", "x": None}},
        "activity_types": {"calls": 7},
        "dry_run": True,
    }
    assert masked_settings(config, TARGET) == config


@pytest.mark.parametrize("schema", [TAP, TARGET])
def test_what_sounds_secret_is_declared_to_be(schema: dict[str, Any]) -> None:
    secret = {name for name, rule in PROPERTIES.items() if rule.get("secret")}
    sounding = {
        name
        for name in schema["properties"]
        if any(word in name for word in ("token", "secret", "password", "key_file"))
    }
    assert sounding == secret == {"access_token", "client_secret"}
