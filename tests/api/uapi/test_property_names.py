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
def test_an_own_field_keeps_its_name_and_others_bear_their_entitys(
    api_name: str, entity_type: str, name: str
) -> None:
    assert property_names([api_name], entity_type) == {api_name: name}


def test_of_two_that_would_be_called_the_same_the_own_field_keeps_the_name() -> None:
    fields = ["{Account}.id", "{Activity}.account_id", "{Activity}.Account_ID"]
    assert property_names(fields, "activity") == {
        "{Activity}.Account_ID": "Account_ID",
        "{Activity}.account_id": "account_id_2",
        "{Account}.id": "account_id_3",
    }


@given(fields=st.lists(FIELDS, max_size=12), entity_type=WORDS)
def test_no_two_fields_share_a_name_whatever_order_they_come_in(
    fields: list[str], entity_type: str
) -> None:
    names = property_names(fields, entity_type)
    assert set(names) == set(fields)
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert property_names(reversed(fields), entity_type) == names
