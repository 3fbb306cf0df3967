"""The entities that can be exported, with the rules for their jobs and fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


JOB = "/data/export/v1/job"

MAX_IDS = 10_000
"""Maximum number of ids that a job can name."""

# From the 1st to the 90th day, both included: fewer than 90 days by any way of counting.
_ACTIVITY_DAYS = 89

_QUALIFIED = re.compile(r"\{([^{}]+)\}\.(.+)", re.DOTALL)
"""A field with its entity type, as in ``{Account}.id``."""
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class UapiEntity:
    """An entity that can be exported.

    Args:
        name: Name outside of this API.
        type: Entity type in the API's terms; empty for the members of lists, which have none.
        description: Description for users.
        path: Path at which its jobs are created.
        max_days: Maximum number of days from the first to the last day of a job.
        by_account: Whether its jobs must name accounts.
        takes_account_lists: Whether its jobs can be filtered by account lists.
        is_report: Whether fields and rows depend on an advertising report type.
        columns: Default columns of its files, if the API does not list its fields.
        key: Fields that identify a record. Default: the id of the entity.
        needs: The option of its stream without which it is not exported.
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
    needs: str = ""


ENTITIES = (
    UapiEntity("accounts", "account", "Companies"),
    UapiEntity("people", "person", "People at companies"),
    UapiEntity("opportunities", "opportunity", "Deals"),
    UapiEntity("activities", "activity", "Activities of people", max_days=_ACTIVITY_DAYS),
    UapiEntity(
        "campaigns",
        "campaign",
        "Advertising by campaign",
        is_report=True,
        takes_account_lists=False,
        key=(),
        needs="ad_report_type",
    ),
    UapiEntity(
        "creatives",
        "creative",
        "Advertising by creative",
        is_report=True,
        takes_account_lists=False,
        key=(),
        needs="ad_report_type",
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
        "Members of buying groups",
        by_account=True,
        takes_account_lists=False,
    ),
    UapiEntity(
        "account_list_members",
        "",
        "Members of account lists",
        path="/data/export/v1/accountList/job",
        columns=("accountListId", "accountListName", "accountId", "accountName", "accountDomain"),
        key=("accountListId", "accountId"),
        needs="account_list_ids",
    ),
    UapiEntity(
        "person_list_members",
        "",
        "Members of person lists",
        path="/data/export/v1/personList/job",
        columns=("personListId", "personListName", "personId", "personEmail"),
        key=("personListId", "personId"),
        takes_account_lists=False,
        needs="person_list_ids",
    ),
)

BY_NAME = {entity.name: entity for entity in ENTITIES}

NAME_BY_TYPE = {entity.type.lower(): entity.name for entity in ENTITIES if entity.type}


def property_names(api_names: Iterable[str], entity_type: str) -> dict[str, str]:
    """Return the name of each field's property, independent of the fields' order.

    Args:
        api_names: Names of an entity's fields in jobs.
        entity_type: Entity type in the API's terms.
    """
    ordered = sorted(set(api_names), key=lambda name: (not is_own(name, entity_type), name))
    used: set[str] = set()
    names: dict[str, str] = {}
    for api_name in ordered:
        short = name = _short_name(api_name, entity_type)
        number = 1
        while name.casefold() in used:
            number += 1
            name = f"{short}_{number}"
        used.add(name.casefold())
        names[api_name] = name
    return names


def is_own(api_name: str, entity_type: str) -> bool:
    """Return whether a field belongs to the entity itself, not to a related one."""
    found = _QUALIFIED.fullmatch(api_name)
    return found is None or found[1].casefold() == entity_type.casefold()


def _short_name(api_name: str, entity_type: str) -> str:
    found = _QUALIFIED.fullmatch(api_name)
    if found is None:
        return api_name
    entity, name = found.groups()
    if entity.casefold() == entity_type.casefold():
        return name
    return f"{_WORD_START.sub('_', entity).lower()}_{name}"
