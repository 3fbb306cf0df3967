from __future__ import annotations

import pytest

from demandbase_api.models import FieldMapping, ImportOperation
from target_demandbase.columns import ColumnPlan, plan_columns
from target_demandbase.errors import MappingError, RoutingError
from target_demandbase.routing import entity_for, match_key_for

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
) -> ColumnPlan:
    return plan_columns(
        stream="scores",
        entity="accounts",
        columns=columns,
        known=KNOWN,
        renamed=renamed or {},
        operation=operation,
        drop_unknown=drop,
    )


def test_columns_fill_the_fields_of_their_names_and_metadata_goes_nowhere() -> None:
    assert plan("domain", "name", "_sdc_batched_at").fields == {"domain": "domain", "name": "name"}


def test_all_problems_come_in_one_message() -> None:
    with pytest.raises(MappingError) as caught:
        plan("nmae", "engagment_score", "x", renamed={"x": "nothing"})
    sentence = str(caught.value)
    for part in (
        "column nmae is unknown (near: name",
        "column engagment_score is unknown (near: engagement_score)",
        "column x (through field_mappings: nothing) is unknown",
        "required field domain is filled by no column",
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
    upsert, insert = ImportOperation.UPSERT, ImportOperation.INSERT
    assert match_key_for("s", upsert, "domain", ["id"]) == "domain"
    assert match_key_for("s", upsert, None, ["id"]) == "id"
    assert match_key_for("s", insert, None, []) is None
    for keys in ([], ["a", "b"]):
        with pytest.raises(MappingError, match="match_keys"):
            match_key_for("s", upsert, None, keys)
