"""Which headers a file has: only labels that Demandbase documents or the user names."""

from __future__ import annotations

import csv
import io
import json
import logging
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from demandbase_api.errors import ConfigurationError
from demandbase_api.models import FieldMapping, ImportEntity, ImportOperation, SourceField
from demandbase_api.uapi.imports import HEADERS
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import MappingError
from target_demandbase.labels import TenantLabels, misspelt_labels, with_custom_fields
from target_demandbase.mapping import (
    Fate,
    MappingSettings,
    Named,
    Standing,
    StreamSchema,
    check_columns,
    fate,
    near_fields,
    standing,
)
from target_demandbase.mapping_report import merged_settings
from target_demandbase.proposal import Proposal, propose
from tests.target.conftest import PEOPLE_LABELS, Load, people, person, record, schema, state

pytestmark = pytest.mark.thorough

CREATE, FIELDS = "createImportJob", "fetchFields"
TEXT = {"type": ["string", "null"]}
NEEDED = ("person_id", "email", "first_name", "last_name")
LABELS = {name: PEOPLE_LABELS[name] for name in NEEDED}


@pytest.fixture
def api() -> str:
    return "uapi"


DOCUMENTED = ImportEntity(
    "people",
    (FieldMapping("people", "Email"), FieldMapping("people", "External Account Id")),
    is_complete=False,
    fixed_operation=ImportOperation.UPSERT,
    matched_on=("Email",),
    others=("Lead Score", "Journey Stage"),
)
UAPI = with_custom_fields(DOCUMENTED, ["Shoe Size", "Email"])
V1 = replace(DOCUMENTED, is_complete=True, others=())

STANDINGS = {
    "Email": Standing.KNOWN,
    "External Account Id": Standing.KNOWN,
    "Shoe Size": Standing.KNOWN,
    "External Account ID": Standing.MISSPELT,
    "email": Standing.MISSPELT,
    "shoe_size": Standing.MISSPELT,
    " Shoe Size": Standing.MISSPELT,
    "Lead Score": Standing.UNNAMED,
    "lead_score": Standing.UNKNOWN,
    "Nothing": Standing.UNKNOWN,
    "--": Standing.UNKNOWN,
    " ": Standing.BLANK,
    "": Standing.BLANK,
}

REFUSED, SENT, DROPPED, LEFT_OUT = Fate.REFUSED, Fate.SENT, Fate.DROPPED, Fate.LEFT_OUT
FATES = {
    # What names it, then the standing: with unknown_fields fail and drop.
    (Named.COLUMN, Standing.KNOWN): (SENT, SENT),
    (Named.COLUMN, Standing.UNNAMED): (REFUSED, DROPPED),
    (Named.COLUMN, Standing.MISSPELT): (REFUSED, DROPPED),
    (Named.COLUMN, Standing.BLANK): (REFUSED, DROPPED),
    (Named.COLUMN, Standing.UNKNOWN): (REFUSED, DROPPED),
    (Named.SETTING, Standing.KNOWN): (SENT, SENT),
    (Named.SETTING, Standing.UNNAMED): (REFUSED, REFUSED),
    (Named.SETTING, Standing.MISSPELT): (REFUSED, REFUSED),
    (Named.SETTING, Standing.BLANK): (REFUSED, REFUSED),
    (Named.SETTING, Standing.UNKNOWN): (REFUSED, REFUSED),
    **dict.fromkeys(product([Named.NULL], Standing), (LEFT_OUT, LEFT_OUT)),
}


def test_what_is_known_of_each_field() -> None:
    assert {field: standing(field, UAPI) for field in STANDINGS} == STANDINGS
    # An API that lists the tenant's fields has no others.
    assert standing("Shoe Size", V1) is standing("Lead Score", V1) is Standing.UNKNOWN


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("named", Named)
@pytest.mark.parametrize("entity", [UAPI, V1], ids=["uapi", "v1"])
def test_each_column_has_the_fate_of_the_table(
    entity: ImportEntity,
    named: Named,
    drops: bool,  # noqa: FBT001
) -> None:
    assert FATES.keys() == set(product(Named, Standing))
    for field in STANDINGS:
        known = standing(field, entity)
        expected = FATES[named, known][drops]
        assert fate(named, known, drops_unknown=drops) is expected
        column = field if named is Named.COLUMN else "column"
        settings = MappingSettings(
            ImportOperation.UPSERT,
            {column: field} if named is Named.SETTING else {},
            None,
            drops,
            frozenset({column}) if named is Named.NULL else frozenset(),
        )
        stream = StreamSchema("s", {"properties": {column: {}, "_sdc_batched_at": {}}}, ())
        plan, problems = check_columns(stream, entity, settings)
        found = {
            SENT: tuple(plan.fields),
            DROPPED: plan.dropped,
            LEFT_OUT: plan.left_out,
            REFUSED: tuple(column for text in problems if text.startswith(f"column {column} ")),
        }
        assert [each for each, columns in found.items() if columns == (column,)] == [expected]
        assert set(plan.fields.values()) <= {each.name for each in entity.fields}


def test_each_refusal_says_what_is_meant_and_what_names_it() -> None:
    fields = [
        "External Account ID",
        "shoe size",
        "Lead Score",
        "lead score",
        "Emial",
        "",
        "Nothing",
    ]
    renamed = {f"c{number}": field for number, field in enumerate(fields)}
    stream = StreamSchema("s", {"properties": {name: {} for name in [*renamed, "Lead Score"]}}, ())
    settings = MappingSettings(ImportOperation.UPSERT, renamed, None, drop_unknown=False)
    _, problems = check_columns(stream, UAPI, settings)
    said = [
        text.removeprefix("column ").replace("through field_mappings", "…") for text in problems
    ]
    by_hand = "is not documented, but the tenant has it: custom_fields.people must name Lead Score"
    assert said == [
        "c0 (…: External Account ID) differs in spelling from the field External Account Id",
        "c1 (…: shoe size) differs in spelling from the field Shoe Size",
        f"c2 (…: Lead Score) {by_hand}",
        "c3 (…: lead score) is unknown (near: with custom_fields.people: Lead Score)",
        "c4 (…: Emial) is unknown (near: Email)",
        "c5 (…: ) has no name",
        "c6 (…: Nothing) is unknown",
        f"Lead Score {by_hand}",
        "no column is left to send",
    ]
    assert near_fields("email score", ["Email"], UAPI) == (
        " (near: Email; with custom_fields.people: Lead Score)"
    )


def sent_headers(sandbox: Sandbox) -> set[str]:
    found: set[str] = set()
    for job in sandbox.import_jobs():
        for content in sandbox.uploaded_files(job["id"]):
            found.update(next(csv.reader(io.StringIO(content.decode()))))
    return found


def load_people(load: Load, *columns: str, **settings: Any) -> Any:  # noqa: ANN401
    rules = dict.fromkeys((*NEEDED, *columns), TEXT)
    mappings = {"people": {**LABELS, **settings.pop("mappings", {})}}
    cells = dict.fromkeys(columns, "38")
    message = person(1, **cells)
    given = {"custom_fields": None, "field_mappings": mappings, **settings}
    return load(
        people(rules), message, state(1), **{k: v for k, v in given.items() if v is not None}
    )


def lines(caplog: pytest.LogCaptureFixture, words: str) -> list[tuple[int, str]]:
    return [(it.levelno, it.message) for it in caplog.records if words in it.message]


@pytest.mark.parametrize("choice", ["fail", "drop"])
def test_a_label_that_only_field_mappings_names_makes_no_field(
    sandbox: Sandbox, load: Load, config: dict[str, Any], choice: str
) -> None:
    config.pop("custom_fields")
    with pytest.raises(MappingError) as caught:
        load_people(load, "size", mappings={"size": "Shoe Size"}, unknown_fields=choice)
    sentence = str(caught.value)
    assert "column size (through field_mappings: Shoe Size) is unknown" in sentence
    assert "is not documented, name its label in custom_fields.people" in sentence
    assert not sandbox.requests(CREATE)
    assert sandbox.created_fields() == {}


def test_a_column_of_an_unknown_label_is_refused_or_dropped(
    sandbox: Sandbox, load: Load, config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    config.pop("custom_fields")
    with pytest.raises(MappingError, match="column Nickname is unknown"):
        load_people(load, "Nickname")
    assert not sandbox.requests(CREATE)
    assert load_people(load, "Nickname", unknown_fields="drop").states == [1]
    assert "Nickname" not in sent_headers(sandbox)
    assert "Columns that Demandbase does not know are not sent: Nickname" in caplog.text


def test_a_label_of_custom_fields_is_sent_whether_a_column_has_it_or_a_setting(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    done = load_people(
        load,
        "Lead Score", "phone",
        mappings={"phone": "Phone Number"},
        custom_fields={"people": ["Lead Score", "Phone Number", "Email"]},
    )  # fmt: skip
    assert done.states == [1]
    assert sent_headers(sandbox) == {*LABELS.values(), "Lead Score", "Phone Number"}
    assert sandbox.created_fields() == {}
    # The tenant exports fields of these labels: nothing is to be said.
    assert not lines(caplog, "custom_fields")
    assert "Lead Score (string) → Lead Score (custom)" in caplog.text.replace('"', "")


def test_a_label_that_the_tenant_does_not_export_is_a_warning_with_near_names_once(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    columns = (*NEEDED, "a", "b")
    more = people(dict.fromkeys((*columns, "title"), TEXT))
    labels = {**LABELS, "a": "Lead Skore", "b": "Shoe Size", "title": "Title"}
    load(
        people(dict.fromkeys(columns, TEXT)), person(1, a="1", b="2"), more, person(2), state(1),
        field_mappings={"people": labels},
        custom_fields={"people": ["Lead Skore", "Shoe Size", "Not sent"]},
    )  # fmt: skip
    [(level, text)] = lines(caplog, "custom_fields")
    assert level == logging.WARNING
    assert text.startswith(
        "custom_fields.people names Lead Skore (near: Lead Score), Shoe Size, not among the fields "
        "that the tenant exports (those of its Export Collection): if the tenant has no field of "
        "this label, the import creates one."
    )
    assert sandbox.created_fields() == {"people": ["Lead Skore", "Shoe Size"]}


def test_the_fields_of_the_tenant_are_read_once_a_day_and_only_for_custom_fields(
    sandbox: Sandbox, load: Load
) -> None:
    load_people(load)
    assert not sandbox.requests(FIELDS)
    for _ in range(2):
        load_people(load, "Lead Score", custom_fields={"people": ["Lead Score"]})
    assert [request.query for request in sandbox.requests(FIELDS)] == [{"entityType": "person"}]


def test_a_tenant_whose_fields_cannot_be_read_is_imported_all_the_same(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sandbox.add_fault(Fault(FIELDS, Effect.STATUS, status=403, times=None))
    labels = ["Lead Score", "Title (2)", "(Title)"]
    done = load_people(load, *labels, custom_fields={"people": labels})
    assert done.states == [1]
    compared, spelling = lines(caplog, "custom_fields.people")
    assert compared[0] == logging.INFO
    assert "custom_fields.people is not compared with the fields of the tenant: " in compared[1]
    # The documents alone tell that this one may be a mistake.
    assert spelling[0] == logging.WARNING
    assert spelling[1].startswith(
        "custom_fields.people names (Title) (near: Title), which differs in spelling only: "
    )


def test_people_find_their_account_by_the_label_that_is_theirs(
    sandbox: Sandbox, load: Load
) -> None:
    with pytest.raises(
        MappingError, match="differs in spelling from the field External Account Id"
    ):
        load_people(load, "account", mappings={"account": "External Account ID"})
    rows = person(1, account="acc-00000001")
    labels = {**LABELS, "account": "External Account Id"}
    columns = dict.fromkeys((*NEEDED, "account"), TEXT)
    load(people(columns), rows, state(1), field_mappings={"people": labels})
    row = next(row for row in sandbox.rows("people") if row["person_id"] == "n1")
    assert row["account_id"] == "acc-00000001"
    assert sandbox.created_fields() == {}


@pytest.mark.parametrize("entity", ["accounts", "people", "opportunities"])
def test_every_documented_label_is_one_of_the_tenant(
    sandbox: Sandbox, load: Load, entity: str
) -> None:
    labels = [field.name for field in HEADERS[entity]]
    message = schema(dict.fromkeys(labels, TEXT), entity, labels[0])
    cells = {label: "x" for label in labels if "Date" not in label}
    load(message, record(entity, **cells), state(1), field_mappings={})
    assert sent_headers(sandbox) >= cells.keys()
    assert sandbox.created_fields() == {}


@pytest.mark.parametrize("label", ["account domain", "Account-Domain", " Account Domain"])
def test_a_documented_label_in_another_spelling_is_refused(
    sandbox: Sandbox, load: Load, label: str
) -> None:
    columns = dict.fromkeys(("Account Name", "domain"), TEXT)
    with pytest.raises(MappingError, match="differs in spelling from the field Account Domain"):
        load(schema(columns), field_mappings={"accounts": {"domain": label}})
    assert not sandbox.requests(CREATE)


def test_labels_that_are_another_one_spelt_otherwise() -> None:
    labels = {
        "External Account ID": "External Account Id",
        "EMAIL": "Email",
        "External\u00a0Account Id": "External Account Id",
        "Em\u200bail": "Email",
        "\uff25mail": "Email",
        "lead_score": "Lead Score",
        "Lead\nScore": "Lead Score",
        "Journey  Stage": "journey stage",
    }
    right = ["Email", "Lead Score", "E-mail (2)", "Journey Stage", "journey stage", "Size"]
    tenant = TenantLabels(
        {"a": "Lead Score", "b": "journey stage", "c": "Size "},
        mapped=(SourceField("Journey Stage", "c"),),
    )
    assert misspelt_labels(DOCUMENTED, [*labels, *right], tenant) == labels
    assert list(misspelt_labels(DOCUMENTED, labels, TenantLabels())) == list(labels)[:5]


@pytest.mark.parametrize("is_read", [True, False])
@pytest.mark.parametrize(
    ("label", "shown", "meant"),
    [
        ("External Account ID", "External Account ID", "External Account Id"),
        ("Account\u00a0Name", r"Account\xa0Name", "Account Name"),
    ],
)
def test_a_documented_label_that_custom_fields_spells_otherwise_is_refused(
    sandbox: Sandbox, load: Load, label: str, shown: str, meant: str, *, is_read: bool
) -> None:
    if not is_read:
        sandbox.add_fault(Fault(FIELDS, Effect.STATUS, status=403, times=None))
    given: dict[str, Any] = {"mappings": {"a": label}, "custom_fields": {"people": [label]}}
    done = load_people(load, "a", **given, failure=MappingError)
    assert (
        f"is named by custom_fields.people as {shown}, which differs in spelling from {meant} (if "
        "the tenant has both fields, add this one to its Export Collection, whose fields are read "
        "once a day)"
    ) in done.report["error"]
    assert not sandbox.requests(CREATE)
    # What the run proposes has the label that was meant.
    [path] = done.folder.glob("settings-*.json")
    assert load_people(load, "a", **{**given, **json.loads(path.read_text())}).states == [1]
    assert sent_headers(sandbox) == {*LABELS.values(), meant}
    assert sandbox.created_fields() == {}


def test_a_label_of_the_tenant_that_custom_fields_spells_otherwise_is_refused(
    sandbox: Sandbox, load: Load
) -> None:
    given: dict[str, Any] = {"custom_fields": {"people": ["lead score"]}}
    with pytest.raises(MappingError, match="lead score, which differs in spelling from Lead Score"):
        load_people(load, "lead score", **given)
    assert load_people(load, "lead score", **given, unknown_fields="drop").states == [1]
    assert sent_headers(sandbox) == set(LABELS.values())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"custom_fields": {"poeple": ["X"]}}, r"custom_fields names poeple \(near: people\)"),
        (
            {"custom_fields": {"people": ["X", ""]}},
            "custom_fields.people has a label that is empty",
        ),
        (
            {"custom_fields": {"people": [" X"]}},
            "custom_fields.people has a label that is empty, or",
        ),
    ],
)
def test_wrong_custom_fields_are_refused_before_anything_is_read(
    sandbox: Sandbox, load: Load, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load({"type": "NO MESSAGE"}, **settings)
    assert not sandbox.requests()


def test_an_api_that_lists_the_fields_has_no_custom_ones(sandbox: Sandbox, load: Load) -> None:
    v1 = {"api": "v1", "api_url": sandbox.url, "access_token": sandbox.token}
    with pytest.raises(ConfigurationError, match="custom_fields must be left out, since the API"):
        load({"type": "NO MESSAGE"}, **v1)


def proposed(*columns: str, **renamed: str) -> Proposal:
    settings = MappingSettings(ImportOperation.UPSERT, renamed, None, drop_unknown=False)
    stream = StreamSchema("people", {"properties": {name: {} for name in columns}}, ())
    return propose(stream, UAPI, settings)


def test_a_proposal_has_the_labels_that_settings_name_and_the_tenant_has() -> None:
    answer = proposed("email", "a", "b", "Shoe Size", a="Lead Score", b="journey_stage")
    assert answer.fields == {"email": "Email", "a": "Lead Score", "b": "Journey Stage"}
    assert answer.custom == ("Lead Score", "Journey Stage", "Shoe Size")
    assert answer.remaining == ()


def test_a_proposal_takes_no_label_that_only_resembles_a_column_or_is_nowhere() -> None:
    answer = proposed("email", "lead_score", "c", "d", c="Nothing", d="External Account ID")
    assert answer.fields == {
        "email": "Email", "lead_score": None, "c": None, "d": "External Account Id"
    }  # fmt: skip
    assert answer.custom == ()
    [clause] = answer.remaining
    assert clause.startswith("column c is left out, since Nothing is neither documented nor among")
    assert "lead_score (near: with custom_fields.people: Lead Score)" in answer.report


def test_proposed_labels_are_added_to_those_that_are_configured() -> None:
    answers = [
        Proposal("a", "people", None, {}, custom=("Shoe Size", "Lead Score")),
        Proposal("b", "people", None, {}, custom=("Lead Score",)),
        Proposal("c", "accounts", None, {}),
    ]
    config = {"custom_fields": {"people": ["Shoe Size"], "accounts": []}}
    assert merged_settings(config, answers) == {
        "entity_map": {"a": "people", "b": "people", "c": "accounts"},
        "custom_fields": {"people": ["Shoe Size", "Lead Score"]},
    }


def test_the_settings_that_a_failed_run_proposes_are_enough(
    sandbox: Sandbox, load: Load, config: dict[str, Any]
) -> None:
    del config["custom_fields"]
    message = people(dict.fromkeys((*NEEDED, "score"), TEXT))
    mappings = {"people": {**LABELS, "score": "lead score"}}
    done = load(message, person(1), failure=MappingError, field_mappings=mappings)
    [path] = done.folder.glob("settings-*.json")
    settings = json.loads(path.read_text())
    assert settings["custom_fields"] == {"people": ["Lead Score"]}
    assert load(message, person(1, score="7"), state(1), **settings).states == [1]
    assert "Lead Score" in sent_headers(sandbox)
    assert sandbox.created_fields() == {}
