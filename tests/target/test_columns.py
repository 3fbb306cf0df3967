from __future__ import annotations

import pytest

from demandbase_api.errors import ConfigurationError
from demandbase_api.models import FieldMapping, ImportEntity, ImportOperation
from target_demandbase.config import check_entities
from target_demandbase.errors import MappingError, RoutingError
from target_demandbase.mapping import (
    ColumnPlan,
    MappingSettings,
    StreamSchema,
    identifying_fields,
    match_key_for,
    plan_columns,
)
from target_demandbase.plan import entity_for

KNOWN = (
    FieldMapping("accounts", "domain", required=True),
    FieldMapping("accounts", "name"),
    FieldMapping("accounts", "engagement_score"),
)


def plan(
    *columns: str,
    renamed: dict[str, str] | None = None,
    operation: ImportOperation = ImportOperation.UPSERT,
    drop: bool = False,
    match_key: str | None = None,
    keys: tuple[str, ...] = ("name",),
    left_out: tuple[str, ...] = (),
) -> ColumnPlan:
    return plan_columns(
        StreamSchema("scores", {"properties": {column: {} for column in columns}}, keys),
        ImportEntity("accounts", KNOWN),
        MappingSettings(operation, renamed or {}, match_key, drop, frozenset(left_out)),
    )


def test_columns_fill_the_fields_of_their_names_and_metadata_goes_nowhere() -> None:
    assert plan("domain", "name", "_sdc_batched_at").fields == {"domain": "domain", "name": "name"}


def test_a_mapped_column_that_the_stream_lacks_is_named() -> None:
    # Meltano's catalog is older than the column, or the column's name is mistyped.
    with pytest.raises(MappingError) as caught:
        plan("name", renamed={"website": "domain", "name": "name"})
    assert (
        "required field domain is filled by no column (field_mappings names website, which the "
        "stream does not have)" in str(caught.value)
    )


def test_all_problems_come_in_one_message() -> None:
    with pytest.raises(MappingError) as caught:
        plan("nmae", "engagment_score", "x", renamed={"x": "nothing"})
    sentence = str(caught.value)
    for part in (
        "column nmae is unknown (near: name",
        "column engagment_score is unknown (near: engagement_score)",
        "column x (through field_mappings: nothing) is unknown",
        "required field domain is filled by no column",
        "no column fills the match key name",
    ):
        assert part in sentence


def test_columns_are_renamed_and_unknown_ones_dropped_where_asked() -> None:
    result = plan("host", "name", "extra", renamed={"host": "domain"}, drop=True)
    assert result.fields == {"host": "domain", "name": "name"}
    assert result.dropped == ("extra",)


def test_two_columns_cannot_fill_one_field() -> None:
    with pytest.raises(MappingError, match="columns domain, host fill the same field domain"):
        plan("domain", "host", renamed={"host": "domain"})


def test_an_update_needs_no_required_field() -> None:
    assert plan("name", operation=ImportOperation.UPDATE).fields == {"name": "name"}


def test_a_stream_without_a_place_says_what_to_set() -> None:
    assert entity_for("scores", {"scores": "accounts"}, {"accounts"}) == "accounts"
    with pytest.raises(RoutingError, match=r'Set entity_map to \{"scores": "<entity>"\}'):
        entity_for("scores", {}, {"accounts", "people"})


def test_the_match_key_is_the_setting_else_the_single_key() -> None:
    assert match_key_for("domain", ["id"]) == "domain"
    assert match_key_for(None, ["id"]) == "id"
    assert match_key_for(None, []) is None
    assert plan("domain", "name", operation=ImportOperation.INSERT, keys=()).match_key is None
    assert plan("host", renamed={"host": "domain"}, keys=("host",)).match_key == "domain"


@pytest.mark.parametrize("keys", [(), ("domain", "name")])
def test_rows_that_nothing_matches_are_refused_with_all_other_problems(
    keys: tuple[str, ...],
) -> None:
    with pytest.raises(MappingError, match=r"set match_keys\.accounts to one of domain") as caught:
        plan("domain", "nmae", keys=keys)
    assert "column nmae is unknown" in str(caught.value)


def test_the_advice_on_match_keys_names_fields_that_identify_records_only() -> None:
    def advised(*filled: str, keys: tuple[str, ...] = (), entity: str = "accounts") -> list[str]:
        return identifying_fields(entity, filled, keys)

    assert advised("domain", "name", "account_id", "engagement_score") == ["account_id", "domain"]
    assert advised("name", "CRM_Account_Id", "person_id") == ["CRM_Account_Id"]
    assert advised("email", "account_id", "id", "title", entity="people") == ["email", "id"]
    assert advised("name", "stage", keys=("name",)) == ["name"]
    assert advised("name", "key_id", entity="other") == []
    with pytest.raises(MappingError, match=r"one of domain, name\)"):
        plan("domain", "name", "engagement_score", keys=("domain", "name"))
    with pytest.raises(MappingError, match=r"\(map a column to one of domain, and set"):
        plan("name", keys=(), operation=ImportOperation.UPDATE)


def test_a_column_is_left_out_and_its_key_is_no_match_key() -> None:
    result = plan("id", "domain", keys=("domain",), left_out=("id", "other"))
    assert (result.fields, result.dropped, result.left_out) == ({"domain": "domain"}, (), ("id",))
    assert plan("id", "domain", keys=("id",), left_out=("id",), match_key="domain").match_key
    # Half of a key identifies nothing.
    for keys in (("id",), ("id", "domain")):
        with pytest.raises(MappingError, match=r"it has no key, and .* to one of domain\)"):
            plan("id", "domain", keys=keys, left_out=("id",))


def test_an_unknown_field_in_field_mappings_is_refused_whether_the_column_is_there_or_not() -> None:
    said = r"field_mappings\.accounts\.x names the unknown field nmae \(near: name\)"
    with pytest.raises(MappingError, match=said):
        plan("domain", "name", renamed={"x": "nmae"})


def test_settings_that_name_unknown_entities_are_refused_together() -> None:
    config = {
        "entity_map": {"scores": "acounts", "people": "people"},
        "match_keys": {"account": "domain"},
        "field_mappings": {"peoples": {}},
    }
    with pytest.raises(ConfigurationError) as caught:
        check_entities(config, {"accounts", "people"})
    assert str(caught.value) == (
        "No such entity can be imported: entity_map.scores names acounts (near: accounts); "
        "match_keys names account (near: accounts); field_mappings names peoples (near: people). "
        "Change it to one of accounts, people."
    )
    check_entities({"entity_map": {"scores": "accounts"}}, {"accounts"})
