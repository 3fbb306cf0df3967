"""Runs with a catalog ask the API, whose calls are few, for no fields."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from singer_sdk.singerlib import Catalog

from demandbase_api.errors import ConfigurationError
from demandbase_api.models import Entity
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.catalog import LABEL, catalog_fields
from tap_demandbase.discovery import entity_schema
from tap_demandbase.errors import SelectionError, StreamsFailedError
from tests.tap.conftest import QuickTap, both_apis, only_failure
from tests.tap.uapi_settings import sandboxed

FIELDS = "fetchFields"
Json = dict[str, Any]
SELECTED: Json = {"breadcrumb": [], "metadata": {"selected": True}}
Change = Callable[[Json], None]
"""Changes an entry of a catalog."""


@pytest.fixture
def api() -> str:
    return "uapi"


@pytest.fixture
def config(config: Json) -> Json:
    days = {"start_date": "2026-01-01", "end_date": "2026-01-31"}
    return {**config, **days, "discovery_cache_hours": 0}


def catalog_of(config: Json, *selected: str) -> Json:
    """Return a discovered catalog that selects some streams; all without a selection."""
    catalog: Json = copy.deepcopy(QuickTap(config=config).catalog_dict)
    for entry in catalog["streams"] if selected else ():
        stream(entry)["selected"] = entry["tap_stream_id"] in selected
    return json.loads(json.dumps(catalog))  # type: ignore[no-any-return]


def stream(entry: Json) -> Json:
    """Return the metadata of a stream."""
    members: Json = next(it["metadata"] for it in entry["metadata"] if not it["breadcrumb"])
    return members


def properties(entry: Json) -> dict[str, Json]:
    """Return the metadata of its properties."""
    return {it["breadcrumb"][1]: it["metadata"] for it in entry["metadata"] if it["breadcrumb"]}


def run(
    sandbox: Sandbox, config: Json, catalog: Json, capsys: pytest.CaptureFixture[str]
) -> list[Json]:
    """Run on a fresh disk and return the records."""
    sandbox.clear_requests()
    capsys.readouterr()
    fresh = {"spool_dir": f"{config['spool_dir']}-2"} if "spool_dir" in config else {}
    with only_failure():
        QuickTap(config={**config, **fresh}, catalog=catalog).sync_all()
    return records(capsys)


def records(capsys: pytest.CaptureFixture[str]) -> list[Json]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [
        {name: line[name] for name in ("stream", "record")}
        for line in lines
        if line["type"] == "RECORD"
    ]


def test_a_catalog_as_it_was_discovered_needs_no_field_call(
    sandbox: Sandbox, config: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = {"account_list_members", "person_list_members"}
    names = set(QuickTap(config=config).streams) - lists
    assert len(sandbox.requests(FIELDS)) == 8
    rows = run(sandbox, config, catalog_of(config, *names), capsys)
    assert sandbox.requests(FIELDS) == []
    assert {row["stream"] for row in rows} >= names - {"import_jobs", "activities"}
    exported = {request.body["entityType"] for request in sandbox.requests("createExportJob")}
    assert len(exported) == 8


def test_a_run_gives_the_same_as_with_discovery(
    sandbox: Sandbox, config: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("activities", "people", "campaigns", "buying_groups")
    catalog = catalog_of(config, *names)
    with_catalog = run(sandbox, config, catalog, capsys)
    bodies = [request.body for request in sandbox.requests("createExportJob")]
    for entry in catalog["streams"]:
        for members in properties(entry).values():
            members.pop(LABEL, None)
    assert run(sandbox, {**config, "job_reuse_hours": 0}, catalog, capsys) == with_catalog
    assert len(sandbox.requests(FIELDS)) == 4
    again = [request.body for request in sandbox.requests("createExportJob")]
    for body in (*bodies, *again):
        del body["jobName"]
    assert again == bodies


@pytest.fixture(scope="module")
def labelled() -> Iterator[Sandbox]:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, label_headers=True)
    with Sandbox(options) as sandbox:
        yield sandbox


def test_files_may_be_headed_by_the_labels_of_the_catalog(
    labelled: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sandboxed(labelled, tmp_path, entities=["people"], discovery_cache_hours=0)
    rows = run(labelled, config, catalog_of(config, "people"), capsys)
    assert len(rows) == len(labelled.rows("people"))
    assert labelled.requests(FIELDS) == []


def drop_labels(entry: Json) -> None:
    for members in properties(entry).values():
        del members[LABEL]


def drop_properties_metadata(entry: Json) -> None:
    entry["metadata"] = [it for it in entry["metadata"] if not it["breadcrumb"]]


def drop_metadata(entry: Json) -> None:
    del entry["metadata"]


def add_property(entry: Json) -> None:
    entry["schema"]["properties"]["title"] = {"type": ["null", "string"]}
    for item in entry["metadata"]:
        if item["breadcrumb"] and item["breadcrumb"][1] == "title":
            item["metadata"] = {"inclusion": "available", "selected": True}


@pytest.mark.parametrize(
    "change", [drop_labels, drop_properties_metadata, drop_metadata, add_property]
)
def test_a_catalog_by_hand_or_of_an_earlier_version_asks_for_its_own_fields(
    sandbox: Sandbox, config: Json, capsys: pytest.CaptureFixture[str], change: Change
) -> None:
    catalog = catalog_of(config, "people", "accounts")
    catalog["streams"] = [
        it for it in catalog["streams"] if it["tap_stream_id"] in {"people", "accounts"}
    ]
    [people] = [it for it in catalog["streams"] if it["tap_stream_id"] == "people"]
    change(people)
    rows = run(sandbox, config, catalog, capsys)
    assert [request.query["entityType"] for request in sandbox.requests(FIELDS)] == ["person"]
    assert {row["stream"] for row in rows} == {"people", "accounts"}


def test_a_property_that_is_not_selected_needs_no_metadata(
    sandbox: Sandbox, config: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = catalog_of(config, "people")
    [people] = [it for it in catalog["streams"] if it["tap_stream_id"] == "people"]
    properties(people)["title"].update({"selected": False})
    del properties(people)["title"][LABEL]
    rows = run(sandbox, config, catalog, capsys)
    assert sandbox.requests(FIELDS) == []
    assert "title" not in rows[0]["record"]


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"people": {"replication_key": "last_contacted_on"}}, "last_contacted_on"),
        ({"people": {"key_properties": ["email"]}}, "email"),
    ],
)
def test_a_field_that_only_the_settings_name_is_asked_for(
    sandbox: Sandbox, config: Json, capsys: pytest.CaptureFixture[str], options: Json, missing: str
) -> None:
    catalog = catalog_of(config, "people")
    [people] = [it for it in catalog["streams"] if it["tap_stream_id"] == "people"]
    del people["schema"]["properties"][missing]
    people["metadata"] = [it for it in people["metadata"] if it["breadcrumb"][1:] != [missing]]
    options = {**config["stream_options"], **options}
    QuickTap(config={**config, "stream_options": options}, catalog=catalog).streams  # noqa: B018
    assert len(sandbox.requests(FIELDS)) == 8 + 1
    assert run(sandbox, config, catalog, capsys)
    assert sandbox.requests(FIELDS) == []


@both_apis
def test_a_catalog_without_the_date_that_bounds_a_stream_fails_it_by_name(
    sandbox: Sandbox, config: Json, capsys: pytest.CaptureFixture[str], api: str
) -> None:
    name = "activities" if api == "uapi" else "people"
    options = {"people": {"replication_key": "last_contacted_on"}}
    config = {**config, "stream_options": options}
    catalog = catalog_of(config, name, "accounts")
    [entry] = [it for it in catalog["streams"] if it["tap_stream_id"] == name]
    dates = {key for key, it in entry["schema"]["properties"].items() if "format" in it}
    for key in dates:
        del entry["schema"]["properties"][key]
    entry["metadata"] = [it for it in entry["metadata"] if not dates & {*it["breadcrumb"]}]
    with pytest.raises(SelectionError, match=f"Stream {name}: the catalog lacks the field"):
        run(sandbox, config, catalog, capsys)
    assert {row["stream"] for row in records(capsys)} == {"accounts"}


@pytest.mark.parametrize(
    ("status", "code"), [(400, "400-115"), (400, "400-100"), (403, "403-101"), (403, "403-104")]
)
def test_a_stream_that_is_not_exported_any_more_fails_alone(
    sandbox: Sandbox, config: Json, capsys: pytest.CaptureFixture[str], status: int, code: str
) -> None:
    body = json.dumps({"errorCode": code})
    match = {"entityType": "account"}
    sandbox.add_fault(
        Fault("createExportJob", Effect.STATUS, status=status, body=body, match=match, times=None)
    )
    catalog = catalog_of(config, "accounts", "people")
    with pytest.raises(SelectionError, match=rf"HTTP {status}.* run discovery again or") as caught:
        run(sandbox, config, catalog, capsys)
    assert "Stream accounts is exported as the catalog describes it" in str(caught.value)
    assert {row["stream"] for row in records(capsys)} == {"people"}
    assert sandbox.requests(FIELDS) == []
    QuickTap(config=config).run_discovery()
    with pytest.raises(StreamsFailedError) as caught_without:
        QuickTap(config={**config, "entities": ["accounts"]}).sync_all()
    assert "as the catalog describes it" not in str(caught_without.value)


@pytest.mark.parametrize("selected", [True, False])
def test_a_stream_that_does_not_exist_costs_no_call(
    sandbox: Sandbox, config: Json, capsys: pytest.CaptureFixture[str], *, selected: bool
) -> None:
    catalog = catalog_of(config, "people")
    metadata = [{"breadcrumb": [], "metadata": {"selected": selected}}]
    catalog["streams"].append(
        {"tap_stream_id": "planets", "stream": "planets", "schema": {}, "metadata": metadata}
    )
    if selected:
        with pytest.raises(SelectionError, match=r"^Stream planets: the catalog selects it"):
            run(sandbox, config, catalog, capsys)
    else:
        run(sandbox, config, catalog, capsys)
    assert sandbox.requests(FIELDS) == []


def test_the_types_of_a_catalog_are_those_of_discovery() -> None:
    kinds: dict[str, Json] = {
        "text": {"type": ["null", "string"], "description": "A text"},
        "whole": {"type": ["null", "integer"]},
        "part": {"type": ["null", "number"]},
        "flag": {"type": ["null", "boolean"]},
        "day": {"type": ["null", "string"], "format": "date"},
        "time": {"type": ["null", "string"], "format": "date-time"},
    }
    metadata: list[Json] = [
        {
            "breadcrumb": ["properties", name],
            "metadata": {"demandbase-field": f"{{Account}}.{name}", "demandbase-label": ""},
        }
        for name in kinds
    ]
    metadata.append(SELECTED)
    schema = {"type": "object", "properties": kinds}
    entry = {"tap_stream_id": "accounts", "schema": schema, "metadata": metadata}
    catalog = {"streams": [entry]}
    fields = catalog_fields(catalog, Catalog.from_dict(catalog))["accounts"]
    assert entity_schema(Entity("accounts", "", fields), lenient_numbers=False) == schema
    assert [field.job_name for field in fields] == [f"{{Account}}.{name}" for name in kinds]
    assert {field.label for field in fields} == {None}


@pytest.mark.parametrize(
    "change",
    [
        {"schema": {}},
        {"schema": {"properties": {}}},
        {"schema": {"properties": {"a": {"type": "string"}}}, "metadata": []},
        {"replication_key": "other"},
        {"metadata": [{"breadcrumb": ["properties", "a"],
                       "metadata": {"demandbase-field": ["{Account}.a"], "demandbase-label": ""}}]},
        {"metadata": [{"breadcrumb": ["properties", "a"],
                       "metadata": {"demandbase-field": 7, "demandbase-label": ""}}]},
    ],
)  # fmt: skip
def test_what_a_catalog_does_not_describe_is_not_known(change: Json) -> None:
    entry: Json = {
        "tap_stream_id": "accounts",
        "schema": {"properties": {"a": {"type": "string"}}},
        "metadata": [{"breadcrumb": ["properties", "a"],
                      "metadata": {"demandbase-field": "{Account}.a", "demandbase-label": "A"}}],
    }  # fmt: skip
    for members, known in (({}, ["accounts"]), (change, [])):
        changed = {**entry, **members}
        changed["metadata"] = [*changed["metadata"], SELECTED]
        catalog = {"streams": [changed]}
        assert list(catalog_fields(catalog, Catalog.from_dict(catalog))) == known


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stream": "other"}, "stream and tap_stream_id of stream accounts must be the same"),
        ({"replication_key": ["a"]}, "the replication_key of stream accounts must be a text"),
        ({"key_properties": "a"}, "the key_properties of stream accounts must be a list of texts"),
        ({"schema": {"properties": ["a"]}}, "each of the properties of stream accounts"),
        ({"schema": {"properties": {"a": True}}}, "each of the properties of stream accounts"),
        ({"schema": {"properties": {"a": {"type": [7]}}}}, "each of the properties of stream acc"),
        ({"schema": {"properties": {"a": {"items": 7}}}}, "a schema in it is no JSON Schema"),
        ({"metadata": [{"breadcrumb": ["properties", ["a"]], "metadata": {}}]}, "a breadcrumb"),
        ({"metadata": [{"breadcrumb": [], "metadata": {"selected": "false"}}]}, "true or false"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named_before_any_call(
    sandbox: Sandbox, config: Json, change: Json, said: str
) -> None:
    entry: Json = {"tap_stream_id": "accounts", "schema": {}, "metadata": [SELECTED]}
    QuickTap(config=config, catalog={"streams": [entry]}, setup_mapper=False)
    with pytest.raises(ConfigurationError, match=f"The catalog cannot be used: .*{said}"):
        QuickTap(config=config, catalog={"streams": [{**entry, **change}]}, setup_mapper=False)
    assert not sandbox.requests()


@both_apis
@pytest.mark.parametrize("schema", [{}, {"properties": None}, {"properties": {}}])
def test_a_selected_stream_without_properties_fails_alone(
    config: Json, capsys: pytest.CaptureFixture[str], schema: Json
) -> None:
    catalog = catalog_of(config, "people", "accounts")
    [people] = [it for it in catalog["streams"] if it["tap_stream_id"] == "people"]
    people["schema"] = schema
    capsys.readouterr()
    with (
        pytest.raises(SelectionError, match="people: no field is selected"),
        only_failure(),
    ):
        QuickTap(config=config, catalog=catalog).sync_all()
    assert {row["stream"] for row in records(capsys)} == {"accounts"}
