"""The entities that can be exported, and what the API asks of their jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


MAX_IDS = 10_000

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

_OF_ENTITY = re.compile(r"\{([^{}]+)\}\.(.+)", re.DOTALL)

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def property_names(api_names: Iterable[str], entity_type: str) -> dict[str, str]:
    """Return the property of each field, whatever order they come in.

    Args:
        api_names: The fields of one entity, as jobs call them.
        entity_type: The API's word for the entity.
    """
    ordered = sorted(set(api_names), key=lambda name: (not is_own(name, entity_type), name))
    taken: set[str] = set()
    names: dict[str, str] = {}
    for api_name in ordered:
        wanted = name = _wanted(api_name, entity_type)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name.casefold())
        names[api_name] = name
    return names


def is_own(api_name: str, entity_type: str) -> bool:
    """Return whether a field is of the entity itself."""
    found = _OF_ENTITY.fullmatch(api_name)
    return found is None or found[1].casefold() == entity_type.casefold()


def _wanted(api_name: str, entity_type: str) -> str:
    found = _OF_ENTITY.fullmatch(api_name)
    if found is None:
        return api_name
    entity, name = found.groups()
    if entity.casefold() == entity_type.casefold():
        return name
    return f"{_WORD_START.sub('_', entity).lower()}_{name}"
