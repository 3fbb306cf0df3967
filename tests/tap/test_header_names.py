from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.models import EntityField
from tap_demandbase.csv_reader import as_properties

FIELDS = {
    "id": EntityField("id", "Long", api_name="{Account}.id", label="Account ID"),
    "name": EntityField("name", "String", api_name="{Account}.name", label="Name"),
    "person_name": EntityField("person_name", "String", api_name="{Person}.name", label="Name"),
}


@pytest.mark.parametrize(
    ("header", "properties"),
    [
        (["{Account}.name", "{Account}.id"], ["name", "id"]),
        (["Account ID", "{Account}.name"], ["id", "name"]),
        # A label that two fields have tells neither.
        (["Account ID", "Name"], ["id", "Name"]),
        # Where a column bears the name, one that bears the label is another.
        (["{Account}.id", "Account ID"], ["id", "Account ID"]),
        (["unforeseen"], ["unforeseen"]),
    ],
)
def test_columns_have_a_field_name_or_a_unique_label(
    header: list[str], properties: list[str]
) -> None:
    assert as_properties(header, FIELDS) == properties


@given(st.lists(st.text(max_size=5)))
def test_where_fields_have_no_other_names_a_header_is_what_it_says(header: list[str]) -> None:
    fields = {name: EntityField(name, "string") for name in set(header)}
    assert as_properties(header, fields) == header
