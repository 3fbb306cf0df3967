"""Export requests of ``uapi``: checked, then translated to SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from demandbase_sandbox.tenant.schema import fits
from demandbase_sandbox.tenant.store import quoted
from demandbase_sandbox.uapi.entities import ENTITY_TYPES, EntityType, identity, published_fields
from demandbase_sandbox.uapi.errors import coded_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.schema import TenantEntity
    from demandbase_sandbox.tenant.store import Store
    from demandbase_sandbox.uapi.entities import PublishedField

MAX_ACTIVITY_DAYS = 90

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")

_ACTIVITY = "activity"

NUMBERS = frozenset({"Integer", "Long", "Double", "Currency", "Percent"})

DATES = frozenset({"Date", "Datetime"})

_TEXT = {
    "Contains": "LIKE",
    "Does Not Contain": "NOT LIKE",
    "Begins With": "LIKE",
    "Does Not Begin With": "NOT LIKE",
    "Ends With": "LIKE",
    "Does Not End With": "NOT LIKE",
}

_ORDER = {
    "Greater Than": ">",
    "Greater Than or Equal To": ">=",
    "Less Than": "<",
    "Less Than or Equal To": "<=",
}

_SETS = {"Equals": "IN", "In": "IN", "Does Not Equal": "NOT IN", "Not In": "NOT IN"}

_PRESENCE = {"Exists": "IS NOT NULL", "Does Not Exist": "IS NULL"}

_BETWEEN = "Between"

Member = Literal["account", "person"]

_TABLES = {"account": "accounts", "person": "people"}

_SHOWN = {"account": ("name", "domain"), "person": ("email",)}

_MISSING = {"account": "400-142", "person": "400-143"}

Members = Mapping[str, Any]
"""The members of a ``JobRequestBody``."""

FORMATS = frozenset({"CSV", "JSON"})

SOURCES = frozenset({"demandbase", "google", "linkedin", "all"})

MAX_IDS = 10_000

ACTIVITY_DATE = "activity_at"
"""The field that the date range of activities filters. Default: the first datetime field."""

_BY_ACCOUNT_LIST = frozenset({"account", "person", "opportunity", "activity"})

_BY_PERSON_LIST = frozenset({"person", "activity"})


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Arguments of ``Store.select_sql``, and names and labels of the columns."""

    entity: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    expressions: tuple[str, ...]
    where: str
    values: tuple[str, ...]


def export_query(members: Members, store: Store, options: SandboxOptions) -> ExportQuery:
    """Return the query of a job.

    A range filters activities by their date. For other entity types it is checked, and has no
    effect. Without ``fields`` all fields of the entity type are exported.

    Raises:
        ApiError: The request is invalid.
    """
    entity_type = _entity_type(members, options)
    if members["format"] not in FORMATS:
        raise coded_error("400-116")
    window = requested_range(
        entity_type.name,
        members.get("fromDate"),
        members.get("toDate"),
        inclusive=options.to_date_inclusive,
    )
    _check_ads(entity_type, members)
    known = published_fields(entity_type, store.entities)
    readable = [name for name in known if name not in options.withheld_fields]
    wanted: list[str] = members.get("fields", readable)
    if unknown := [name for name in wanted if name not in known]:
        raise coded_error("400-115", ", ".join(unknown))
    if not wanted or len(set(wanted)) < len(wanted):
        raise coded_error("400-103", "fields is empty or names a field twice")
    if hidden := [name for name in wanted if name in options.withheld_fields]:
        raise coded_error("403-104", ", ".join(hidden))
    where, values = filter_condition(members.get("filters", ()), known)
    if window is not None and entity_type.name == "activity":
        when = f"t.{quoted(_activity_date(store.entities[entity_type.entity]))}"
        where += f" AND {when} >= ? AND {when} < ?"
        values += window
    for condition, value in (
        *_lists(entity_type, members, store),
        *_accounts(entity_type, members, store),
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


def members_query(store: Store, member: Member, ids: Sequence[int]) -> ExportQuery:
    """Return the query of a job for the members of lists. Default: of all lists.

    The columns are not published. Here they are ids and names of list and member, spelled like
    other fields without a prefix.

    Raises:
        ApiError: 400-142 or 400-143.
    """
    check_lists(store, member, ids)
    table = _TABLES[member]
    entity = store.entities[table]
    key = quoted(f"{member}_id")
    of_list, of_member = (
        f'"{member}_lists" l WHERE l."{member}_list_id" = t."{member}_list_id"',
        (f"{quoted(table)} o WHERE o.{key} = t.{key}"),
    )
    columns = {
        f"{member}ListId": f't."{member}_list_id"',
        f"{member}ListName": f'(SELECT l."{member}_list_name" FROM {of_list})',  # noqa: S608
        f"{member}Id": f"(SELECT {identity(entity, 'o')} FROM {of_member} LIMIT 1)",  # noqa: S608
    }
    for name in _SHOWN[member]:
        if entity.field(name) is not None:
            shown = f"(SELECT o.{quoted(name)} FROM {of_member} LIMIT 1)"  # noqa: S608
            columns[f"{member}{name.capitalize()}"] = shown
    where = f't."{member}_list_id" IN (SELECT CAST(value AS TEXT) FROM json_each(?))'  # noqa: S608
    return ExportQuery(
        entity=f"{member}_list_members",
        columns=tuple(columns),
        labels=tuple(columns),
        expressions=tuple(columns.values()),
        where=where if ids else "1",
        values=(json.dumps([*ids]),) if ids else (),
    )


def _entity_type(members: Members, options: SandboxOptions) -> EntityType:
    entity_type = ENTITY_TYPES.get(members["entityType"])
    if entity_type is None:
        raise coded_error("400-127", members["entityType"])
    if entity_type.name in options.withheld_entities:
        raise coded_error("403-101", entity_type.name)
    return entity_type


def _check_ads(entity_type: EntityType, members: Members) -> None:
    source: list[str] | None = members.get("source")
    report: str | None = members.get("adReportType")
    if source is not None and (not source or set(source) - SOURCES):
        raise coded_error("400-138", ", ".join(source))
    if report is not None and report not in entity_type.ad_report_types:
        raise coded_error("400-139", report)
    if entity_type.ad_report_types and source is None:
        raise coded_error("400-104", "source")
    if entity_type.ad_report_types and report is None:
        raise coded_error("400-104", "adReportType")


def _lists(entity_type: EntityType, members: Members, store: Store) -> list[tuple[str, str]]:
    found = []
    lists: tuple[tuple[list[int], Member, frozenset[str]], ...] = (
        (check_ids(members.get("accountListIds"), "400-145"), "account", _BY_ACCOUNT_LIST),
        (check_ids(members.get("personListIds"), "400-146"), "person", _BY_PERSON_LIST),
    )
    for ids, member, supported in lists:
        if not ids:
            continue
        belongs = store.entities[entity_type.entity].field(f"{member}_id")
        if entity_type.name not in supported or belongs is None:
            raise coded_error("400-103", f"{entity_type.name} jobs take no {member}ListIds")
        check_lists(store, member, ids)
        found.append((on_lists(member, f"t.{quoted(f'{member}_id')}"), json.dumps(ids)))
    return found


def _accounts(entity_type: EntityType, members: Members, store: Store) -> list[tuple[str, str]]:
    if not entity_type.by_account:
        if members.get("accountIds") is not None:
            raise coded_error("400-147", "accountIds")
        return []
    ids = check_ids(members.get("accountIds") or None, "400-150")
    if not ids:
        raise coded_error("400-149")
    number = identity(store.entities["accounts"], "o")
    condition = (
        't."account_id" IN (SELECT o."account_id" FROM "accounts" o'  # noqa: S608 - own names
        f" WHERE {number} IN (SELECT value FROM json_each(?)))"
    )
    return [(condition, json.dumps(ids))]


def check_ids(ids: list[int] | None, too_many: str) -> list[int]:
    """Return ids after checking their number.

    Raises:
        ApiError: ``too_many``, or 400-103 for an empty list.
    """
    if ids is None:
        return []
    if not ids:
        raise coded_error("400-103", "a list of IDs is empty")
    if len(ids) > MAX_IDS:
        raise coded_error(too_many)
    return ids


def check_lists(store: Store, member: Member, ids: Iterable[int]) -> None:
    """Check that lists exist.

    Raises:
        ApiError: 400-142 or 400-143.
    """
    known = {
        int(number or 0) for (number,) in store.select(f"{member}_lists", [f"{member}_list_id"])
    }
    if unknown := sorted(set(ids) - known):
        raise coded_error(_MISSING[member], ", ".join(map(str, unknown)))


def on_lists(member: Member, column: str) -> str:
    """Return the SQL of a record's membership in lists, whose ids are bound as a JSON list."""
    return (
        f'{column} IN (SELECT m."{member}_id" FROM "{member}_list_members" m'  # noqa: S608 - own names
        f' WHERE CAST(m."{member}_list_id" AS INTEGER) IN (SELECT value FROM json_each(?)))'
    )


def _activity_date(entity: TenantEntity) -> str:
    if entity.field(ACTIVITY_DATE):
        return ACTIVITY_DATE
    timestamps = [field.name for field in entity.fields if field.type == "datetime"]
    return timestamps[0] if timestamps else entity.id_field


def requested_range(
    entity_type: str, start: str | None, end: str | None, *, inclusive: bool
) -> tuple[str, str] | None:
    """Return start and end (exclusive) of a range as sortable texts; ``None`` for all rows.

    An activity job needs a range. Both ends of a range count towards its limit of 90 days, and
    ``toDate`` is part of it if ``inclusive``; neither is published.

    Raises:
        ApiError: 400-104, 400-111 to 400-114, or 400-137.
    """
    if start is None and end is None:
        if entity_type == _ACTIVITY:
            raise coded_error("400-104", "fromDate, toDate")
        return None
    if start is None or end is None:
        raise coded_error("400-112")
    first, last = _parse_timestamp("fromDate", start), _parse_timestamp("toDate", end)
    if first > last:
        raise coded_error("400-113")
    after = _after(end, last) if inclusive else last
    if entity_type == _ACTIVITY and _after(end, last) - first > timedelta(days=MAX_ACTIVITY_DAYS):
        raise coded_error("400-114")
    if entity_type in {"campaign", "creative"} and first == last:
        raise coded_error("400-137")
    return _text(first), _text(after)


def timestamp_text(name: str, text: str) -> str:
    """Return a date as a text that sorts among the tenant's timestamps and dates.

    Raises:
        ApiError: 400-111: it is not a date.
    """
    _parse_timestamp(name, text)
    return text


def _parse_timestamp(name: str, text: str) -> datetime:
    try:
        if _DAY.fullmatch(text) or _TIMESTAMP.fullmatch(text):
            found = datetime.fromisoformat(text)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        pass
    raise coded_error("400-111", name)


def _after(text: str, last: datetime) -> datetime:
    step = timedelta(days=1) if _DAY.fullmatch(text) else timedelta(seconds=1)
    try:
        return last + step
    except OverflowError:
        return last


def _text(time: datetime) -> str:
    # Midnight is written as its date, which sorts before all timestamps of the day.
    return time.isoformat()[:19].removesuffix("T00:00:00")


def filter_condition(
    filters: Iterable[Mapping[str, Any]], fields: Mapping[str, PublishedField]
) -> tuple[str, list[str]]:
    """Return filters, of which all must match, as SQL and its values.

    Operators on texts take one or more values, of which one must match (for negative operators:
    none). Comparisons take one value, ``Between`` two, ``Exists`` none. Empty values match only
    ``Does Not Exist`` and the negative operators.

    Raises:
        ApiError: 400-103, 400-104, 400-111, 400-115 or 400-140.
    """
    conditions, values = ["1"], []
    for item in filters:
        if not item.get("field") or not item.get("operator"):
            raise coded_error("400-104", "filters need field and operator")
        field = fields.get(item["field"])
        if field is None:
            raise coded_error("400-115", item["field"])
        given = [_value(field, text) for text in item.get("values", ())]
        condition, bound = _condition(field, item["operator"], given)
        conditions.append(f"({condition})")
        values += bound
    return " AND ".join(conditions), values


def _value(field: PublishedField, text: str) -> str:
    if field.data_type in DATES:
        return timestamp_text(field.name, text)
    if field.data_type in NUMBERS and not fits("number", text):
        raise coded_error("400-103", f"a value for {field.name} is no number")
    return text


def _condition(field: PublishedField, operator: str, given: Sequence[str]) -> tuple[str, list[str]]:
    is_number = field.data_type in NUMBERS
    cell, mark = (
        (f"CAST({field.sql} AS REAL)", "CAST(? AS REAL)") if is_number else (field.sql, "?")
    )
    if operator in _PRESENCE:
        return f"{field.sql} {_PRESENCE[operator]}", []
    if not given:
        raise coded_error("400-104", f"{operator} needs values")
    if operator in _SETS:
        marks = ", ".join(mark for _ in given)
        empty = f" OR {field.sql} IS NULL" if _SETS[operator] == "NOT IN" else ""
        return f"{cell} {_SETS[operator]} ({marks}){empty}", [*given]
    is_ordered = is_number or field.data_type in DATES
    if operator in _ORDER and is_ordered:
        _exactly(operator, 1, given)
        return f"{cell} {_ORDER[operator]} {mark}", [*given]
    if operator == _BETWEEN and is_ordered:
        _exactly(operator, 2, given)
        return f"{cell} BETWEEN {mark} AND {mark}", [*given]
    if operator in _TEXT and not is_ordered and field.data_type != "Boolean":
        patterns = [_pattern(operator, text) for text in given]
        if _TEXT[operator] == "LIKE":
            return " OR ".join(rf"{cell} LIKE ? ESCAPE '\'" for _ in given), patterns
        none = " AND ".join(rf"{cell} NOT LIKE ? ESCAPE '\'" for _ in given)
        return f"{field.sql} IS NULL OR ({none})", patterns
    raise coded_error("400-140", f"{operator} on {field.name}")


def _exactly(operator: str, count: int, given: Sequence[str]) -> None:
    if len(given) != count:
        raise coded_error("400-103", f"{operator} takes {count} values")


def _pattern(operator: str, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    before = "" if "Begin" in operator else "%"
    after = "" if "End" in operator else "%"
    return f"{before}{escaped}{after}"
