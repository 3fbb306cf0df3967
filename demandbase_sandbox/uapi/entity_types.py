"""The published entity types and the tenant's entities behind them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntityType:
    """A published entity type.

    Args:
        name: Its name on the wire.
        entity: The tenant's entity whose rows it shows.
        prefix: What stands in braces before its fields; empty where names are bare.
        ad_report_types: Which adReportType it takes; empty for entities without ad reports.
        by_account: Whether its jobs name the accounts that they are about.
    """

    name: str
    entity: str
    prefix: str
    ad_report_types: frozenset[str] = frozenset()
    by_account: bool = False


AD_REPORT_TYPES = frozenset({"summary", "performance"})
"""Report types of ads. Which there are is not published."""

ENTITY_TYPES = {
    item.name: item
    for item in (
        EntityType("account", "accounts", "Account"),
        EntityType("person", "people", "Person"),
        EntityType("opportunity", "opportunities", "Opportunity"),
        EntityType("activity", "activities", "Activity"),
        EntityType("campaign", "campaigns", "", AD_REPORT_TYPES),
        EntityType("creative", "creatives", "", AD_REPORT_TYPES),
        EntityType("accountBuyingGroup", "buying_groups", "AccountBuyingGroup", by_account=True),
        EntityType(
            "personBuyingGroupMember",
            "buying_group_members",
            "PersonBuyingGroupMember",
            by_account=True,
        ),
    )
}

ACCOUNT_LIST = "accountList"
PERSON_LIST = "personList"
LIST_ENTITIES = {ACCOUNT_LIST: "account_list_members", PERSON_LIST: "person_list_members"}
"""What jobs for list membership are called in the list of jobs, and whose rows they show."""

IMPORT_ENTITIES = {
    "Account": "accounts",
    "Person": "people",
    "Opportunity": "opportunities",
    "Activity": "activities",
}
"""What can be imported, and the tenant's entities behind it."""
