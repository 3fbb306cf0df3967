from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import ConfigurationError, DemandbaseError, ServerError
from demandbase_api.models import Entity, EntityField
from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.catalog import replication_method
from tap_demandbase.discovery import entity_schema, guess_key, unknown_types
from tap_demandbase.errors import SelectionError
from tap_demandbase.tap import TapDemandbase
from tests.tap.conftest import QuickTap, both_apis, only_failure
from tests.tap.visits import KEY, state_at, visits

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


def catalog_of(config: dict[str, Any], *selected: str) -> dict[str, Any]:
    """Return a catalog that selects some streams, with an entry of each stream."""
    catalog = QuickTap(config=config).catalog_dict
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in selected
    return catalog


def without_labels(catalog: dict[str, Any]) -> dict[str, Any]:
    """Return a catalog as earlier versions wrote it: a run with it asks for fields."""
    catalog = json.loads(json.dumps(catalog))
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            item["metadata"].pop("demandbase-label", None)
    return catalog


def with_planets(catalog: dict[str, Any], *, selected: bool) -> dict[str, Any]:
    """Add an entry of a stream that does not exist."""
    metadata = [{"breadcrumb": [], "metadata": {"selected": selected}}]
    planets = {"tap_stream_id": "planets", "stream": "planets", "schema": {}, "metadata": metadata}
    return {"streams": [*catalog["streams"], planets]}


@both_apis
@pytest.mark.parametrize("how", ["gone", "setting"])
def test_a_selected_stream_that_is_missing_fails_the_run_after_the_others(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str], how: str
) -> None:
    catalog = catalog_of(config, "accounts", "people")
    if how == "gone":
        catalog, name = with_planets(catalog, selected=True), "planets"
    else:
        config, name = {**config, "entities": ["accounts"]}, "people"
    tap = QuickTap(config=config, catalog=catalog)
    capsys.readouterr()
    with (
        pytest.raises(SelectionError, match=f"^Stream {name}: the catalog selects it"),
        only_failure(),
    ):
        tap.sync_all()
    assert capsys.readouterr().out.count('"type":"RECORD","stream":"accounts"') == 200


@both_apis
def test_an_entry_of_a_missing_stream_that_is_not_selected_is_fine(config: dict[str, Any]) -> None:
    catalog = with_planets(catalog_of(config, "accounts"), selected=False)
    QuickTap(config=config, catalog=catalog).sync_all()


@both_apis
@pytest.mark.parametrize("how", ["catalog", "entities"])
def test_a_run_without_a_selected_stream_fails(
    sandbox: Sandbox, config: dict[str, Any], how: str
) -> None:
    options = {"catalog": catalog_of(config)} if how == "catalog" else {}
    own: dict[str, Any] = {"entities": []} if how == "entities" else {}
    with pytest.raises(ConfigurationError, match="No stream is selected"):
        QuickTap(config={**config, **own}, **options).sync_all()
    assert not sandbox.requests("createExportJob")


def test_a_tenant_without_entities_fails_discovery(
    sandbox: Sandbox, config: dict[str, Any]
) -> None:
    sandbox.add_fault(
        Fault("listExportableEntities", Effect.ALTER, members={"entities": []}, times=None)
    )
    with pytest.raises(ConfigurationError, match="lists no entity"):
        QuickTap(config=config).run_discovery()


@pytest.mark.parametrize("api", ["uapi"])
@pytest.mark.parametrize(
    ("entities", "error"),
    [(None, "lists no entity"), (["accounts"], "accounts: .* lists no field")],
)
def test_entities_without_a_field_fail_discovery(
    sandbox: Sandbox, config: dict[str, Any], entities: list[str] | None, error: str
) -> None:
    sandbox.add_fault(Fault("fetchFields", Effect.STATUS, status=200, body="[]", times=None))
    tap = QuickTap(config=config if entities is None else {**config, "entities": entities})
    with pytest.raises(DemandbaseError, match=error):
        tap.run_connection_test()
    with pytest.raises(DemandbaseError, match=error):
        assert tap.catalog_dict


@both_apis
def test_a_bookmark_of_a_stream_that_does_not_exist_is_warned_about(
    config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    marks = {name: {"last_job": None} for name in ("planets", "accounts", "people")}
    catalog = catalog_of(config, "accounts")
    QuickTap(config=config, catalog=catalog, state={"bookmarks": marks}).sync_all()
    [warning] = [r.getMessage() for r in caplog.records if "bookmarks of streams" in r.getMessage()]
    assert warning.endswith(": planets")


@pytest.mark.parametrize("api", ["uapi"])
@pytest.mark.parametrize("selected", [True, False])
def test_fields_that_cannot_be_read_concern_their_own_stream_only(
    sandbox: Sandbox, config: dict[str, Any], capsys: pytest.CaptureFixture[str], *, selected: bool
) -> None:
    config["discovery_cache_hours"] = 0
    streams = ("accounts", "people") if selected else ("accounts",)
    catalog = without_labels(catalog_of(config, *streams))
    match = {"entityType": "person"}
    sandbox.add_fault(Fault("fetchFields", Effect.STATUS, match=match, status=500, times=None))
    sandbox.clear_requests()
    tap = QuickTap(config=config, catalog=catalog)
    capsys.readouterr()
    with pytest.raises(ServerError) if selected else nullcontext(), only_failure():
        tap.sync_all()
    assert capsys.readouterr().out.count('"type":"RECORD","stream":"accounts"') == 200
    if not selected:
        assert len(sandbox.requests("fetchFields")) == 1
    with pytest.raises(ServerError, match="list the fields"):
        QuickTap(config=config).run_discovery()


@pytest.mark.parametrize("key", ["name", None])
@pytest.mark.parametrize("chosen", ["FULL_TABLE", "INCREMENTAL", "LOG_BASED", None])
def test_the_users_replication_method_counts(chosen: str | None, key: str | None) -> None:
    expected = {
        ("FULL_TABLE", "name"): "FULL_TABLE",
        ("FULL_TABLE", None): "FULL_TABLE",
        ("INCREMENTAL", "name"): "INCREMENTAL",
        (None, "name"): "INCREMENTAL",
        (None, None): None,
    }
    if (chosen, key) in expected:
        assert replication_method("people", chosen, key) == expected[chosen, key]
    else:
        with pytest.raises(ConfigurationError, match=r"^Stream people"):
            replication_method("people", chosen, key)


@both_apis
@pytest.mark.parametrize("member", ["replication-method", "forced-replication-method"])
def test_full_table_in_the_metadata_is_not_overruled(
    sandbox: Sandbox, config: dict[str, Any], member: str
) -> None:
    visits(sandbox, "2026-01-05T10:00:00Z")
    config["stream_options"] = KEY
    catalog = catalog_of(config, "people")
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if entry["tap_stream_id"] == "people" and not item["breadcrumb"]:
                item["metadata"][member] = "FULL_TABLE"
    QuickTap(config=config, catalog=catalog, state=state_at("2026-01-05T00:00:00Z")).sync_all()
    [request] = sandbox.requests("createExportJob")
    assert not request.body.get("filters")


@both_apis
def test_incremental_in_the_metadata_needs_a_key(sandbox: Sandbox, config: dict[str, Any]) -> None:
    visits(sandbox, "2026-01-05T10:00:00Z")
    catalog = catalog_of(config, "people")
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if entry["tap_stream_id"] == "people" and not item["breadcrumb"]:
                item["metadata"]["replication-method"] = "INCREMENTAL"
    tap = QuickTap(config=config, catalog=catalog)
    with (
        pytest.raises(ConfigurationError, match=r"people is INCREMENTAL.*no replication key"),
        only_failure(),
    ):
        tap.sync_all()
    assert not sandbox.requests("createExportJob")
