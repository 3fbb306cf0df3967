from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.models import FieldMapping, ImportEntity, ImportOperation
from target_demandbase.mapping import ColumnPlan, StreamSchema
from target_demandbase.mapping_report import mapping_report, scalar, settings_lines

KNOWN = (
    FieldMapping("accounts", "domain", required=True),
    FieldMapping("accounts", "name", required=True),
    FieldMapping("accounts", "segment"),
    FieldMapping("accounts", "engagement_score", "number"),
)
SCHEMA: dict[str, Any] = {
    "properties": {
        "host": {"type": ["null", "string"]},
        "engagement_score": {"type": ["number", "integer"]},
        "sgment": {},
        "x": {},
    }
}
# Halves of characters are in no YAML text.
NAME = st.text(st.characters(exclude_categories=["Cs"]))


def report(
    fields: dict[str, str],
    dropped: tuple[str, ...] = (),
    match_key: str | None = "domain",
    operation: ImportOperation = ImportOperation.UPSERT,
) -> str:
    return mapping_report(
        StreamSchema("scores", SCHEMA, ()),
        ImportEntity("accounts", KNOWN),
        ColumnPlan(operation, fields, dropped, match_key),
    )


def test_columns_that_are_left_out_are_in_the_report_and_in_its_settings() -> None:
    plan = ColumnPlan(ImportOperation.UPSERT, {"host": "domain"}, (), "domain", ("x", "sgment"))
    lines = mapping_report(
        StreamSchema("scores", SCHEMA, ()), ImportEntity("accounts", KNOWN), plan
    )
    assert "  Left out by field_mappings: x, sgment" in lines.splitlines()
    config = yaml.safe_load(lines.partition("Settings for meltano.yml:\n")[2])["config"]
    assert config["field_mappings"] == {"accounts": {"host": "domain", "x": None, "sgment": None}}


def test_the_report_says_all_of_a_stream() -> None:
    fields = {"host": "domain", "engagement_score": "engagement_score"}
    assert report(fields, ("sgment", "x")).splitlines() == [
        "Stream scores → entity accounts (upsert, matched on domain)",
        "  host (string) → domain (string, required)",
        "  engagement_score (number or integer) → engagement_score (number)",
        "  Dropped, since Demandbase does not know them: sgment (near: segment), x",
        "  Required fields that no column fills: name",
        "Settings for meltano.yml:",
        "config:",
        "  entity_map:",
        "    scores: accounts",
        "  match_keys:",
        "    accounts: domain",
        "  field_mappings:",
        "    accounts:",
        "      host: domain",
    ]


def test_empty_parts_have_no_line() -> None:
    lines = report(
        {"name": "name", "domain": "domain"}, match_key=None, operation=ImportOperation.INSERT
    ).splitlines()
    assert lines == [
        "Stream scores → entity accounts (insert, matched on nothing)",
        "  name (any type) → name (string, required)",
        "  domain (any type) → domain (string, required)",
        "Settings for meltano.yml:",
        "config:",
        "  entity_map:",
        "    scores: accounts",
    ]


def test_an_update_needs_no_required_field_and_says_so() -> None:
    said = "Required fields that no column fills (not needed for an update): name"
    assert said in report({"host": "domain"}, operation=ImportOperation.UPDATE)


@given(NAME, NAME, NAME | st.none(), st.dictionaries(NAME, NAME))
def test_the_settings_read_back_as_they_are(
    stream: str, entity: str, match_key: str | None, fields: dict[str, str]
) -> None:
    lines = settings_lines(stream, entity, match_key, fields)
    config = yaml.safe_load("\n".join(lines))["config"]
    renamed = {column: field for column, field in fields.items() if column != field}
    assert config.pop("entity_map") == {stream: entity}
    assert config.pop("match_keys", {}) == ({entity: match_key} if match_key else {})
    assert config.pop("field_mappings", {}) == ({entity: renamed} if renamed else {})
    assert config == {}


@given(st.text())
def test_a_scalar_is_one_line_that_can_be_printed(text: str) -> None:
    assert len(scalar(text).splitlines()) == 1
    scalar(text).encode()


def test_words_that_yaml_takes_for_other_types_are_quoted() -> None:
    for word in ("no", "Yes", "NULL", "on", "y", "1", "1e3", "~", "", "a: b", "é", "-"):
        assert yaml.safe_load(scalar(word)) == word
        assert scalar(word).startswith('"')
    assert scalar("engagement_score") == "engagement_score"
