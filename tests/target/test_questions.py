"""One run shows what is open about all of its streams, with settings that answer it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from demandbase_api.models import FieldMapping, ImportEntity, ImportOperation
from demandbase_api.uapi.imports import HEADERS, IDENTITIES
from demandbase_sandbox import Sandbox
from target_demandbase.errors import MappingError, RejectedRowsError, RoutingError
from target_demandbase.mapping import MappingSettings, StreamSchema
from target_demandbase.proposal import Proposal, likely_entity, propose
from target_demandbase.questions import SECONDS, Questions
from tests.api.fake_exports import FakeClock
from tests.target.conftest import Load, record, schema, state
from tests.target.people_files import CREATE

TEXT = {"type": ["string", "null"]}
V1 = ImportEntity(
    "accounts",
    (
        FieldMapping("accounts", "account_id"),
        FieldMapping("accounts", "domain", required=True),
        FieldMapping("accounts", "name"),
        FieldMapping("accounts", "employee_count", "integer"),
        FieldMapping("accounts", "renewal_date", "date"),
    ),
)
UAPI = {
    name: ImportEntity(
        name,
        HEADERS[name],
        is_complete=False,
        matched_on=IDENTITIES.get(name),
        headed_by_label=True,
    )
    for name in ("accounts", "people", "opportunities")
}


def proposed(
    entity: ImportEntity,
    *columns: str,
    mappings: dict[str, str | None] | None = None,
    match_key: str | None = None,
    types: dict[str, str] | None = None,
    keys: tuple[str, ...] = ("id",),
    drop: bool = False,
) -> Proposal:
    rules = {name: {"type": (types or {}).get(name, "string")} for name in columns}
    given = mappings or {}
    return propose(
        StreamSchema("crm-customers", {"properties": rules}, keys),
        entity,
        MappingSettings(
            ImportOperation.UPSERT,
            {column: field for column, field in given.items() if field is not None},
            match_key,
            drop,
            frozenset(column for column, field in given.items() if field is None),
        ),
    )


def test_a_column_gets_the_field_of_its_name_or_is_left_out() -> None:
    answer = proposed(V1, "id", "Account_Name", "DOMAIN", "employees", "_sdc_batched_at")
    assert answer.fields == {
        "id": None, "Account_Name": "name", "DOMAIN": "domain", "employees": None
    }  # fmt: skip
    assert (answer.match_key, answer.remaining) == ("domain", ())


@pytest.mark.parametrize(
    ("entity", "columns", "fields"),
    [
        ("accounts", ("name", "account_domain"), ("Account Name", "Account Domain")),
        ("accounts", ("Account Name", "domain", "external_id"),
         (..., "Account Domain", "External Account ID")),
        ("people", ("first_name", "LastName", "email", "external_person_id"),
         ("First Name", "Last Name", "Email", "External Person Id")),
        ("opportunities", ("external_id", "name", "account_name", "account_domain", "stage"),
         ("External Opportunity ID", "Opportunity Name", "Account Name", "Account Domain",
          "Opportunity Stage")),
    ],
)  # fmt: skip
def test_the_labels_of_uapi_are_found(
    entity: str, columns: tuple[str, ...], fields: tuple[object, ...]
) -> None:
    answer = proposed(UAPI[entity], "id", *columns)
    expected = dict(zip(columns, fields, strict=True))
    assert answer.fields == {
        "id": None, **{name: field for name, field in expected.items() if field is not ...}
    }  # fmt: skip
    assert (answer.match_key, answer.remaining) == (None, ())


def test_names_that_are_alike_twice_or_of_another_type_are_left_out() -> None:
    types = {"Employee_Count": "array", "renewal_date": "integer"}
    answer = proposed(
        V1, "domain", "Name", "account name", "Employee_Count", "renewal_date", types=types
    )
    # “Name” is the name itself; the other one would be, too, once the entity is left out.
    assert answer.fields == {
        "Name": "name", "account name": None, "Employee_Count": None, "renewal_date": None
    }  # fmt: skip
    both = proposed(V1, "domain", "account_name", "account name")
    assert both.fields == {"account_name": None, "account name": None}


def test_what_is_configured_and_fits_stays() -> None:
    mappings = {"web": "domain", "name": None, "other": "name", "gone": "nothing", "x": "nmae"}
    answer = proposed(V1, "web", "name", "domain", "x", mappings=mappings, match_key="domain")
    # The column that is renamed is meant, not the one of the field's name.
    assert answer.fields == {
        "other": "name", "web": "domain", "name": None, "domain": None, "x": None
    }  # fmt: skip
    assert answer.remaining == ()
    dropped = proposed(V1, "domain", "y", "x", mappings={"x": "nmae"}, drop=True)
    assert dropped.fields == {"x": None}
    misspelt = proposed(
        UAPI["accounts"], "a", "b", mappings={"a": "account name", "b": "Account Domain"}
    )
    assert misspelt.fields == {"a": "Account Name", "b": "Account Domain"}


def test_what_no_setting_can_answer_is_named_once_the_rest_is_answered() -> None:
    answer = proposed(V1, "id", "company", match_key="id")
    assert answer.match_key == "domain"  # set already for the column that will fill it
    assert [clause.partition(" (")[0] for clause in answer.remaining] == [
        "required field domain is filled by no column",
        "no column is left to send",
        "no column fills the match key domain",
    ]


@pytest.mark.parametrize(
    ("stream", "columns", "entity"),
    [
        ("public-accounts", ("email", "first_name"), "accounts"),
        ("crm_person", ("domain",), "people"),
        ("public-customers", ("Email", "first_name", "x"), "people"),
        ("public-deals", ("close_date", "opportunity_name"), "opportunities"),
        ("a", ("b",), "accounts"),
    ],
)
def test_the_likely_entity_is_found_by_name_or_columns(
    stream: str, columns: tuple[str, ...], entity: str
) -> None:
    schema = StreamSchema(stream, {"properties": {name: {} for name in columns}}, ())
    assert likely_entity(schema, UAPI.values()) == entity


def test_an_entity_that_columns_can_be_matched_on_is_likelier() -> None:
    people = ImportEntity("people", (FieldMapping("people", "email"),))
    scores: dict[str, Any] = {"properties": {"email": {}, "renewal_date": {}, "name": {}}}
    assert likely_entity(StreamSchema("scores", scores, ()), [V1, people]) == "people"


CUSTOMERS = schema(dict.fromkeys(("id", "account_name", "account_domain", "x"), TEXT),
                   "public-account", "id")  # fmt: skip
CONTACTS = schema(
    dict.fromkeys(("First Name", "lastname", "EMAIL", "External_Person_ID", "y"), TEXT),
    "crm-persons", "External_Person_ID",
)  # fmt: skip


@pytest.mark.parametrize("loader", [None, "target-crm"])
def test_one_run_asks_all_and_its_settings_leave_nothing_open(
    sandbox: Sandbox,
    load: Load,
    api: str,
    config: dict[str, Any],
    loader: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if loader:
        monkeypatch.setenv("MELTANO_LOADER_NAME", loader)
    rows = [
        record("public-account", id="1", account_name="A", account_domain="a.example", x="x"),
        record("crm-persons", **{"First Name": "a", "lastname": "b", "EMAIL": "a@a.example",
                                 "External_Person_ID": "n1", "y": "y"}),
    ]  # fmt: skip
    messages = [CUSTOMERS, rows[0], state(1), CONTACTS, rows[1], state(2)]
    for name in ("field_mappings", "custom_fields"):
        config.pop(name, None)
    done = load(*messages, failure=MappingError)
    assert done.states == []
    assert not sandbox.requests(CREATE)
    [path] = done.folder.glob("settings-*")
    text = path.read_text(encoding="utf-8")
    assert path.suffix == (".yml" if loader else ".json")
    settings = yaml.safe_load(text)["config"] if loader else json.loads(text)
    assert settings["entity_map"] == {"public-account": "accounts", "crm-persons": "people"}
    assert set(settings) == {"entity_map", "field_mappings"} | (
        {"match_keys"} if api == "v1" else set()
    )
    done = load(*messages, **settings)
    assert done.state == 2
    assert len(sandbox.requests(CREATE)) == 2
    assert not list(done.folder.glob("settings-*"))
    assert load(*messages, dry_run=True, **settings).states == []
    assert not list(done.folder.glob("settings-*"))


def test_the_message_says_where_the_settings_are_and_what_they_leave_open(
    load: Load, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELTANO_LOADER_NAME", "target-crm")
    stream = schema({"title": TEXT, "\u202ename": TEXT}, "crm-persons", "title")
    with pytest.raises(RoutingError) as caught:
        load(stream, record("crm-persons", title="secret"))
    sentence = str(caught.value)
    assert 'Set entity_map to {"crm-persons": "<entity>"}' in sentence
    assert "put them under target-crm in meltano.yml" in sentence
    assert "What they leave open for stream crm-persons: required field" in sentence
    errors = capsys.readouterr().err
    assert 'Stream "crm-persons" → entity people' in errors
    assert 'config: {\n  "entity_map": {\n' in errors
    assert "\u202e" not in errors
    assert "secret" not in errors


def test_a_dry_run_shows_the_settings_that_it_chose_itself(load: Load, api: str) -> None:
    columns = dict.fromkeys(("account_id", "domain", "name"), TEXT)
    labels = {
        "account_id": "External Account ID",
        "domain": "Account Domain",
        "name": "Account Name",
    }
    fields = {"field_mappings": {"accounts": labels}} if api == "uapi" else {}
    done = load(schema(columns, key="account_id"), dry_run=True, **fields)
    found = [json.loads(path.read_text()) for path in done.folder.glob("settings-*.json")]
    assert found == ([{"match_keys": {"accounts": "account_id"}}] if api == "v1" else [])


def test_a_run_waits_for_other_streams_for_a_minute_and_a_dry_run_for_all(tmp_path: Path) -> None:
    clock = FakeClock()
    for is_dry in (False, True):
        questions = Questions({"dry_run": is_dry}, tmp_path, "run", clock)
        assert not questions.is_time_up
        questions.ask(RoutingError("no"), Proposal("a", "accounts", None, {}))
        assert questions.are_open
        clock.sleep(SECONDS - 1)
        questions.ask(RoutingError("no"), Proposal("b", "accounts", None, {}))
        assert not questions.is_time_up
        clock.sleep(1)
        assert questions.is_time_up is not is_dry


def test_a_null_in_an_array_is_no_reason_to_reject_a_row(load: Load) -> None:
    tags = {"type": ["array", "null"], "items": {"type": ["string"], "maxLength": 3}}
    columns = {
        "person_id": TEXT,
        "email": TEXT,
        "first_name": TEXT,
        "last_name": TEXT,
        "title": tags,
    }
    names = {"email": "a@a.example", "first_name": "a", "last_name": "b"}
    message = schema(columns, "people", "person_id")
    done = load(message, record("people", person_id="1", title=["a", None], **names))
    assert not done.rejects
    load(
        message,
        record("people", person_id="1", title=["long"], **names),
        failure=RejectedRowsError,
    )
