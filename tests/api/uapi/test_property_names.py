from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.uapi.entities import property_names

WORDS = st.sampled_from(["Account", "Person", "Activity", "accountBuyingGroup"])
NAMES = st.text("aAbB_1 ", min_size=1, max_size=4)
FIELDS = st.builds("{{{}}}.{}".format, WORDS, NAMES) | NAMES.filter(lambda name: "{" not in name)


@pytest.mark.parametrize(
    ("api_name", "entity_type", "name"),
    [
        ("{Account}.name", "account", "name"),
        ("{Account}.name", "activity", "account_name"),
        ("{AccountBuyingGroup}.id", "accountBuyingGroup", "id"),
        ("{AccountBuyingGroup}.id", "personBuyingGroupMember", "account_buying_group_id"),
        ("campaignId", "campaign", "campaignId"),
        ("{Account}.Custom.Field", "account", "Custom.Field"),
    ],
)
def test_fields_of_related_entities_are_prefixed(
    api_name: str, entity_type: str, name: str
) -> None:
    assert property_names([api_name], entity_type) == {api_name: name}


def test_on_a_collision_the_own_field_keeps_its_name() -> None:
    fields = ["{Account}.id", "{Activity}.account_id", "{Activity}.Account_ID"]
    assert property_names(fields, "activity") == {
        "{Activity}.Account_ID": "Account_ID",
        "{Activity}.account_id": "account_id_2",
        "{Account}.id": "account_id_3",
    }


@given(fields=st.lists(FIELDS, max_size=12), entity_type=WORDS)
def test_names_are_unique_and_independent_of_the_order(fields: list[str], entity_type: str) -> None:
    names = property_names(fields, entity_type)
    assert set(names) == set(fields)
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert property_names(reversed(fields), entity_type) == names
