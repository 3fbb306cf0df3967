"""What an export job asks for: checked as published, turned into SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.store import quoted
from demandbase_sandbox.uapi.date_range import asked_range
from demandbase_sandbox.uapi.entity_types import ENTITY_TYPES, EntityType
from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.export_query import ExportQuery
from demandbase_sandbox.uapi.filters import filter_condition
from demandbase_sandbox.uapi.list_members import Member, check_lists, on_lists
from demandbase_sandbox.uapi.published_fields import identity, published_fields

if TYPE_CHECKING:
    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.store import Store
    from demandbase_sandbox.tenant_schema import TenantEntity

Asked = Mapping[str, Any]
"""The members of ``JobRequestBody`` that are there."""

FORMATS = frozenset({"CSV", "JSON"})
SOURCES = frozenset({"demandbase", "google", "linkedin", "all"})
MAX_IDS = 10_000
ACTIVITY_DATE = "activity_at"
"""The field that a date range of activities is about; else the first datetime that there is."""
_BY_ACCOUNT_LIST = frozenset({"account", "person", "opportunity", "activity"})
_BY_PERSON_LIST = frozenset({"person", "activity"})


def export_query(asked: Asked, store: Store, options: SandboxOptions) -> ExportQuery:
    """Return the rows that a job asks for.

    A range scopes activities by when they happened. For other entity types it is checked, and
    has no effect. Without ``fields`` all fields of the entity type are exported.

    Raises:
        RefusalError: With the published code of what is wrong.
    """
    entity_type = _entity_type(asked, options)
    if asked["format"] not in FORMATS:
        raise coded("400-116")
    window = asked_range(
        entity_type.name,
        asked.get("fromDate"),
        asked.get("toDate"),
        inclusive=options.to_date_inclusive,
    )
    _check_ads(entity_type, asked)
    known = published_fields(entity_type, store.entities)
    readable = [name for name in known if name not in options.withheld_fields]
    wanted: list[str] = asked.get("fields", readable)
    if unknown := [name for name in wanted if name not in known]:
        raise coded("400-115", ", ".join(unknown))
    if not wanted or len(set(wanted)) < len(wanted):
        raise coded("400-103", "fields is empty or names a field twice")
    if hidden := [name for name in wanted if name in options.withheld_fields]:
        raise coded("403-104", ", ".join(hidden))
    where, values = filter_condition(asked.get("filters", ()), known)
    if window is not None and entity_type.name == "activity":
        when = f"t.{quoted(_activity_date(store.entities[entity_type.entity]))}"
        where += f" AND {when} >= ? AND {when} < ?"
        values += window
    for condition, value in (
        *_lists(entity_type, asked, store),
        *_accounts(entity_type, asked, store),
    ):
        where += f" AND {condition}"
        values.append(value)
    fields = [known[name] for name in wanted]
    return ExportQuery(
        entity=entity_type.entity,
        columns=tuple(wanted),
        labels=tuple(field.label for field in fields),
        expressions=tuple(field.sql for field in fields),
        where=where,
        values=tuple(values),
    )


def check_ids(ids: list[int] | None, too_many: str) -> list[int]:
    """Return ids, of which there are not too many.

    Raises:
        RefusalError: With the given code, or 400-103 where there are none.
    """
    if ids is None:
        return []
    if not ids:
        raise coded("400-103", "a list of IDs is empty")
    if len(ids) > MAX_IDS:
        raise coded(too_many)
    return ids


def _entity_type(asked: Asked, options: SandboxOptions) -> EntityType:
    entity_type = ENTITY_TYPES.get(asked["entityType"])
    if entity_type is None:
        raise coded("400-127", asked["entityType"])
    if entity_type.name in options.withheld_entities:
        raise coded("403-101", entity_type.name)
    return entity_type


def _activity_date(entity: TenantEntity) -> str:
    if entity.field(ACTIVITY_DATE):
        return ACTIVITY_DATE
    moments = [field.name for field in entity.fields if field.type == "datetime"]
    return moments[0] if moments else entity.id_field


def _check_ads(entity_type: EntityType, asked: Asked) -> None:
    source: list[str] | None = asked.get("source")
    report: str | None = asked.get("adReportType")
    if source is not None and (not source or set(source) - SOURCES):
        raise coded("400-138", ", ".join(source))
    if report is not None and report not in entity_type.ad_report_types:
        raise coded("400-139", report)
    if entity_type.ad_report_types and source is None:
        raise coded("400-104", "source")
    if entity_type.ad_report_types and report is None:
        raise coded("400-104", "adReportType")


def _lists(entity_type: EntityType, asked: Asked, store: Store) -> list[tuple[str, str]]:
    found = []
    lists: tuple[tuple[list[int], Member, frozenset[str]], ...] = (
        (check_ids(asked.get("accountListIds"), "400-145"), "account", _BY_ACCOUNT_LIST),
        (check_ids(asked.get("personListIds"), "400-146"), "person", _BY_PERSON_LIST),
    )
    for ids, member, supported in lists:
        if not ids:
            continue
        belongs = store.entities[entity_type.entity].field(f"{member}_id")
        if entity_type.name not in supported or belongs is None:
            raise coded("400-103", f"{entity_type.name} jobs take no {member}ListIds")
        check_lists(store, member, ids)
        found.append((on_lists(member, f"t.{quoted(f'{member}_id')}"), json.dumps(ids)))
    return found


def _accounts(entity_type: EntityType, asked: Asked, store: Store) -> list[tuple[str, str]]:
    if not entity_type.by_account:
        if asked.get("accountIds") is not None:
            raise coded("400-147", "accountIds")
        return []
    ids = check_ids(asked.get("accountIds") or None, "400-150")
    if not ids:
        raise coded("400-149")
    number = identity(store.entities["accounts"], "o")
    condition = (
        't."account_id" IN (SELECT o."account_id" FROM "accounts" o'  # noqa: S608 - own names
        f" WHERE {number} IN (SELECT value FROM json_each(?)))"
    )
    return [(condition, json.dumps(ids))]
