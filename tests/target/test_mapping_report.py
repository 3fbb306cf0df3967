from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.models import FieldMapping, ImportEntity, ImportOperation
from target_demandbase.mapping import ColumnPlan, StreamSchema
from target_demandbase.mapping_report import (
    config_block,
    config_text,
    mapping_report,
    merged_settings,
    scalar,
)
from target_demandbase.proposal import Proposal

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


def test_columns_that_are_left_out_are_in_the_report() -> None:
    plan = ColumnPlan(ImportOperation.UPSERT, {"host": "domain"}, (), "domain", ("x", "sgment"))
    about = (StreamSchema("scores", SCHEMA, ()), ImportEntity("accounts", KNOWN), plan)
    lines = mapping_report(*about).splitlines()
    assert "  Left out by field_mappings: x, sgment" in lines
    proposed = mapping_report(*about, is_open=True).splitlines()
    assert "  Left out by field_mappings: x, sgment (near: segment)" in proposed


def test_the_report_says_all_of_a_stream() -> None:
    fields = {"host": "domain", "engagement_score": "engagement_score"}
    assert report(fields, ("sgment", "x")).splitlines() == [
        "Stream scores → entity accounts (upsert, matched on domain)",
        "  host (string) → domain (string, required)",
        "  engagement_score (number or integer) → engagement_score (number)",
        "  Dropped, since Demandbase does not know them: sgment (near: segment), x",
        "  Required fields that no column fills: name",
    ]


def test_empty_parts_have_no_line() -> None:
    lines = report(
        {"name": "name", "domain": "domain"}, match_key=None, operation=ImportOperation.INSERT
    ).splitlines()
    assert lines == [
        "Stream scores → entity accounts (insert, matched on nothing)",
        "  name (any type) → name (string, required)",
        "  domain (any type) → domain (string, required)",
    ]


def test_an_update_needs_no_required_field_and_says_so() -> None:
    said = "Required fields that no column fills (not needed for an update): name"
    assert said in report({"host": "domain"}, operation=ImportOperation.UPDATE)


def for_meltano(value: object) -> object:
    if isinstance(value, dict):
        return {name.replace(".", "\\."): for_meltano(member) for name, member in value.items()}
    return "__NULL__" if value is None else value


# YAML reads no key of more than 1,024 characters, and JSON's escapes of astral ones as halves.
SHORT = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=100)
FIELDS = st.dictionaries(SHORT, SHORT | st.none())
ANSWERS = st.lists(st.builds(Proposal, SHORT, SHORT, SHORT | st.none(), FIELDS))


@given(ANSWERS)
def test_the_settings_of_all_streams_read_back_as_they_are(answers: list[Proposal]) -> None:
    settings = merged_settings({}, answers)
    block = config_block(settings)
    read = for_meltano(settings)
    assert yaml.safe_load(block) == {"config": read}
    assert block.replace("\n", "").isprintable()
    text = config_text(settings, is_for_meltano=True)
    assert json.loads(config_text(settings, is_for_meltano=False)) == settings
    assert json.loads(text) == read
    assert text.replace("\n", "").isprintable()
    # Meltano strips the lines of a plugin.
    stripped = "\n".join(f"    {line.strip()}" for line in f"config: {text}".splitlines())
    assert yaml.safe_load(stripped) == {"config": read}


def test_the_settings_of_all_streams_are_one_block_that_keeps_what_is_configured() -> None:
    config = {
        "entity_map": {"old": "people"},
        "match_keys": {"people": "email"},
        "field_mappings": {"people": {"mail": "email"}},
    }
    answers = [
        Proposal("crm-hosts", "accounts", "domain", {"host": "domain", "no": None}),
        Proposal("scores", "accounts", "domain", {"host": None, "score": "engagement_score"}),
    ]
    assert config_block(merged_settings(config, answers)).splitlines() == [
        "    config:",
        "      entity_map:",
        "        old: people",
        '        "crm-hosts": accounts',
        "        scores: accounts",
        "      match_keys:",
        "        people: email",
        "        accounts: domain",
        "      field_mappings:",
        "        people:",
        "          mail: email",
        "        accounts:",
        "          host: domain",
        '          "no": __NULL__',
        "          score: engagement_score",
    ]


@given(st.text())
def test_a_scalar_is_one_line_that_can_be_printed(text: str) -> None:
    assert len(scalar(text).splitlines()) == 1
    scalar(text).encode()


def test_words_that_yaml_takes_for_other_types_are_quoted() -> None:
    for word in ("no", "Yes", "NULL", "on", "y", "1", "1e3", "~", "", "a: b", "é", "-"):
        assert yaml.safe_load(scalar(word)) == word
        assert scalar(word).startswith('"')
    assert scalar("engagement_score") == "engagement_score"
