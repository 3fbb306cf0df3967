"""Errors of incremental streams and their state."""

from __future__ import annotations

from typing import Any

import pytest

from demandbase_api.errors import ConfigurationError
from demandbase_sandbox import Sandbox
from tap_demandbase.errors import StateError, StreamsFailedError
from tap_demandbase.tap import TapDemandbase
from tests.tap.conftest import both_apis
from tests.tap.visits import (
    KEY,
    Sync,
    ids,
    state_at,
    visits,
)


@both_apis
@pytest.mark.parametrize("options", [{"replication_key": "name"}, {"replication_key": "nosuch"}])
def test_a_replication_key_that_is_no_date_is_rejected(
    sandbox: Sandbox, sync: Sync, options: dict[str, Any]
) -> None:
    visits(sandbox)
    with pytest.raises(ConfigurationError, match=r"people.*replication_key"):
        sync("people", stream_options={"people": options})


@both_apis
def test_a_state_that_cannot_be_read_is_named(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox)
    sync("people", stream_options=KEY, state=state_at("yesterday"), failure=StateError)
    assert not sandbox.requests("createExportJob")


@pytest.mark.parametrize("date", ["2026-13-45", "0001-01-01T00:00:00+14:00"])
def test_a_date_setting_that_is_none_is_named(sync: Sync, date: str) -> None:
    with pytest.raises(StreamsFailedError, match="start_date is no ISO-8601 date"):
        sync("accounts", start_date=date)


@both_apis
def test_the_first_and_the_last_day_of_the_calendar_are_days(sandbox: Sandbox, sync: Sync) -> None:
    visits(sandbox, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
    dates = {"start_date": "0001-01-01", "end_date": "9999-12-31"}
    assert ids(sync("people", stream_options=KEY, **dates)) == ["0", "1"]
    early = state_at("0001-01-01T00:00:00.000000Z")
    assert ids(sync("people", stream_options=KEY, state=early)) == ["0", "1"]


@both_apis
@pytest.mark.parametrize(
    ("setting", "given"),
    [
        ("spool_dir", {"spool_dir": "a\0b"}),
        ("spool_dir", {"spool_dir": "a\ud800"}),
        ("state_dir", {"state_dir": "a\0b"}),
        ("batch_config.storage.root", {"batch_config": {"storage": {"root": "a\0b"}}}),
        (
            "batch_config.storage.prefix",
            {"batch_config": {"storage": {"root": "/tmp", "prefix": "a\0"}}},  # noqa: S108
        ),
    ],
)
def test_a_setting_that_is_no_path_is_named(
    sync: Sync, setting: str, given: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=rf"The setting {setting} is no path"):
        sync("accounts", **given)


@both_apis
@pytest.mark.parametrize("how", ["setting", "metadata"])
def test_a_saved_catalog_does_not_take_the_replication_key_away(
    sandbox: Sandbox, config: dict[str, Any], capsys: pytest.CaptureFixture[str], how: str
) -> None:
    visits(sandbox, "2026-01-05T10:00:00Z")
    settings = {**config, "entities": ["people"], "job_reuse_hours": 0}
    catalog = TapDemandbase(config=settings).catalog_dict
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if entry["tap_stream_id"] == "people" and not item["breadcrumb"]:
                item["metadata"]["selected"] = True
                if how == "metadata":
                    item["metadata"]["replication-key"] = "seen_at"
    if how == "setting":
        settings["stream_options"] = KEY
    capsys.readouterr()
    TapDemandbase(config=settings, catalog=catalog).sync_all()
    assert '"replication_key_value":"2026-01-05T10:00:00.000000Z"' in capsys.readouterr().out


@both_apis
def test_incremental_without_a_key_is_rejected(sandbox: Sandbox, config: dict[str, Any]) -> None:
    visits(sandbox)
    settings = {**config, "entities": ["people"]}
    catalog = TapDemandbase(config=settings).catalog_dict
    entry = next(item for item in catalog["streams"] if item["tap_stream_id"] == "people")
    entry["replication_method"] = "INCREMENTAL"
    entry["selected"] = True
    catalog["streams"] = [entry]
    tap = TapDemandbase(config=settings, catalog=catalog)
    with pytest.raises(StreamsFailedError, match=r"people.*has no replication key"):
        tap.sync_all()
