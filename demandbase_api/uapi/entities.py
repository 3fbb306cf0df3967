"""The entities that can be exported, and what the API asks of their jobs."""

from __future__ import annotations

from dataclasses import dataclass

JOB = "/data/export/v1/job"


@dataclass(frozen=True, slots=True)
class UapiEntity:
    """An entity.

    Args:
        name: What it is called outside of this API.
        type: The API's own word for it; empty where it has none.
        description: What it holds.
        path: Where its jobs are created.
        max_days: How many days from the first to the last a job takes.
        by_account: Whether jobs must name accounts.
        takes_account_lists: Whether jobs can be narrowed by account lists.
        is_report: Whether fields and rows depend on an advertising report type.
        columns: What its files are taken to hold, where the API lists no fields.
        key: The fields that identify a record; the own id where absent.
    """

    name: str
    type: str
    description: str
    path: str = JOB
    max_days: int | None = None
    by_account: bool = False
    takes_account_lists: bool = True
    is_report: bool = False
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] | None = None


# From the 1st to the 90th day, both counted in, which is fewer than 90 days however one counts.
_ACTIVITY_DAYS = 89

ENTITIES = (
    UapiEntity("accounts", "account", "Companies"),
    UapiEntity("people", "person", "People at them"),
    UapiEntity("opportunities", "opportunity", "Deals"),
    UapiEntity("activities", "activity", "What people did", max_days=_ACTIVITY_DAYS),
    UapiEntity(
        "campaigns",
        "campaign",
        "Advertising by campaign",
        is_report=True,
        takes_account_lists=False,
        key=(),
    ),
    UapiEntity(
        "creatives",
        "creative",
        "Advertising by creative",
        is_report=True,
        takes_account_lists=False,
        key=(),
    ),
    UapiEntity(
        "buying_groups",
        "accountBuyingGroup",
        "Buying groups",
        by_account=True,
        takes_account_lists=False,
    ),
    UapiEntity(
        "buying_group_members",
        "personBuyingGroupMember",
        "Who is in them",
        by_account=True,
        takes_account_lists=False,
    ),
    UapiEntity(
        "account_list_members",
        "",
        "Which accounts are on an account list",
        path="/data/export/v1/accountList/job",
        columns=("accountListId", "accountListName", "accountId", "accountName", "accountDomain"),
        key=("accountListId", "accountId"),
    ),
    UapiEntity(
        "person_list_members",
        "",
        "Which people are on a person list",
        path="/data/export/v1/personList/job",
        columns=("personListId", "personListName", "personId", "personEmail"),
        key=("personListId", "personId"),
        takes_account_lists=False,
    ),
)

BY_NAME = {entity.name: entity for entity in ENTITIES}
NAME_BY_TYPE = {entity.type.lower(): entity.name for entity in ENTITIES if entity.type}
