"""What an export request asks for: checked against the tenant's entities, turned into SQL."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.refusal import bad_request
from demandbase_sandbox.store import quoted
from demandbase_sandbox.tenant_schema import DATE_TYPES, TenantEntity

if TYPE_CHECKING:
    from collections.abc import Mapping

LIST_PREFIX = "list-"
"""Account list N holds the accounts whose id ends in the digit N."""
LISTS = frozenset({f"{LIST_PREFIX}1", f"{LIST_PREFIX}2"})
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def asked_entity(entities: Mapping[str, TenantEntity], name: object) -> TenantEntity:
    """Return the entity that is asked for."""
    if not isinstance(name, str) or name not in entities:
        raise bad_request(f"unknown entity_type: {name}")
    return entities[name]


def asked_fields(entity: TenantEntity, wanted: list[str] | None) -> list[str]:
    """Return the fields that are asked for; all where none are named."""
    if wanted is None:
        return [field.name for field in entity.fields]
    if unknown := [name for name in wanted if entity.field(name) is None]:
        raise bad_request(f"unknown fields of {entity.name}: {', '.join(unknown)}")
    if twice := sorted({name for name in wanted if wanted.count(name) > 1}):
        raise bad_request(f"fields are named twice: {', '.join(twice)}")
    if not wanted:
        raise bad_request("fields is empty")
    return wanted


def asked_filters(entity: TenantEntity, filters: dict[str, Any] | None) -> dict[str, Any]:
    """Return the filters that are asked for."""
    filters = filters or {}
    window = filters.get("date_range")
    if window is not None:
        field = entity.field(str(window.get("field")))
        if field is None or field.type not in DATE_TYPES:
            raise bad_request(
                f"date_range.field is no date field of {entity.name}: {window.get('field')}"
            )
        start, end = (_day(name, window.get(name)) for name in ("start", "end"))
        if start and end and start > end:
            raise bad_request("date_range.start is after date_range.end")
    list_id = filters.get("account_list_id")
    if list_id is not None and list_id not in LISTS:
        raise bad_request(f"unknown account_list_id: {list_id}")
    return filters


def condition(filters: Mapping[str, Any], entity: TenantEntity) -> tuple[str, list[str]]:
    """Return SQL and its values for filters: days are of UTC and inclusive, empty is outside."""
    conditions, values = ["1"], []
    if window := filters.get("date_range"):
        # Moments are kept in UTC, so their first ten characters are the day.
        day = f"substr({quoted(window['field'])}, 1, 10)"
        conditions.append(f"{day} IS NOT NULL")
        for name, sign in (("start", ">="), ("end", "<=")):
            if bound := window.get(name):
                conditions.append(f"{day} {sign} ?")
                values.append(bound)
    if (list_id := filters.get("account_list_id")) and entity.field("account_id"):
        conditions.append("account_id LIKE ?")
        values.append("%" + list_id.removeprefix(LIST_PREFIX))
    return " AND ".join(conditions), values


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise bad_request(f"date_range.{name} is no date (YYYY-MM-DD): {text}")
