"""Entities and fields, and those of the sample tenant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

DATE_TYPES = frozenset({"date", "datetime"})

IMPORTABLE = ("accounts", "people", "opportunities", "activities")


@dataclass(frozen=True, slots=True)
class TenantField:
    """A field of an entity.

    Args:
        importable: Whether imports can write it.
        required: Whether imports must fill it.
        key: Whether imports can match rows on it.
        label: Label over uapi, unless it follows from the name.
    """

    name: str
    type: str
    description: str = ""
    importable: bool = False
    required: bool = False
    key: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class TenantEntity:
    """An entity. The first field is its id, which is generated for new rows.

    Args:
        in_v1: Whether the v1 API has it.
    """

    name: str
    description: str
    fields: tuple[TenantField, ...]
    in_v1: bool = True

    def field(self, name: str) -> TenantField | None:
        """Return a field by its name; ``None`` if it is unknown."""
        return next((item for item in self.fields if item.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(item.name for item in self.fields)

    @property
    def id_field(self) -> str:
        """Name of the id."""
        return self.fields[0].name


def _id(name: str) -> TenantField:
    return TenantField(name, "string", "Unique identifier", importable=True, key=True)


def _in(name: str, kind: str, description: str = "") -> TenantField:
    return TenantField(name, kind, description, importable=True)


def _out(name: str, kind: str, description: str = "") -> TenantField:
    return TenantField(name, kind, description)


_STAMPS = (
    _out("created_at", "datetime", "When the record was created"),
    _out("updated_at", "datetime", "When the record last changed"),
)

SAMPLE_ENTITIES = (
    TenantEntity(
        "accounts",
        "Companies",
        (
            _id("account_id"),
            TenantField("domain", "string", "Web domain", importable=True, required=True, key=True),
            _in("name", "string", "Company name"),
            _in("industry", "picklist"),
            _in("country", "string"),
            _in("website", "url"),
            _in("employee_count", "integer", "Employees"),
            _in("annual_revenue", "currency", "Revenue in US dollars"),
            _in("engagement_score", "number", "Engagement from 0 to 100"),
            _in("segment", "string", "Segment assigned by the data team"),
            _in("is_target", "boolean", "On the target list"),
            _in("scored_at", "datetime", "When the score was computed"),
            _in("renewal_date", "date"),
            _in("notes", "text", "Free text"),
            _out("engagement_minutes", "long", "Engagement minutes, all time"),
            *_STAMPS,
        ),
    ),
    TenantEntity(
        "people",
        "Contacts and leads",
        (
            _id("person_id"),
            TenantField("email", "email", "Address", importable=True, required=True, key=True),
            _in("first_name", "string"),
            _in("last_name", "string"),
            _in("title", "string"),
            _in("account_id", "string", "Account the person belongs to"),
            _in("phone", "string"),
            _in("lead_score", "integer"),
            _in("is_subscribed", "boolean"),
            _in("last_contacted_on", "date"),
            *_STAMPS,
        ),
    ),
    TenantEntity(
        "opportunities",
        "Deals",
        (
            _id("opportunity_id"),
            TenantField("name", "string", "Deal name", importable=True, required=True),
            _in("account_id", "string", "Account of the deal"),
            _in("stage", "picklist"),
            _in("amount", "currency"),
            _in("probability", "percent"),
            _in("close_date", "date"),
            _in("is_won", "boolean"),
            *_STAMPS,
        ),
    ),
    TenantEntity(
        "activities",
        "What people did",
        (
            _id("activity_id"),
            TenantField(
                "activity_type", "picklist", "Kind of activity", importable=True, required=True
            ),
            _in("person_id", "string"),
            _in("account_id", "string"),
            _in("activity_at", "datetime", "When it happened"),
            _in("channel", "string"),
            _in("subject", "text"),
            _in("duration_seconds", "integer"),
            _in("value", "double"),
            _out("created_at", "datetime"),
        ),
    ),
    TenantEntity(
        "campaigns",
        "Advertising campaigns",
        (
            TenantField("campaign_id", "string", "Unique identifier"),
            _out("name", "string"),
            _out("status", "picklist"),
            _out("start_date", "date"),
            _out("end_date", "date"),
            _out("budget", "currency"),
            _out("spend", "currency"),
            _out("impressions", "long"),
            _out("clicks", "integer"),
            _out("is_active", "boolean"),
            *_STAMPS,
        ),
    ),
    TenantEntity(
        "buying_groups",
        "Groups of people who buy together",
        (
            TenantField("buying_group_id", "string", "Unique identifier"),
            _out("name", "string"),
            _out("account_id", "string"),
            _out("stage", "picklist"),
            _out("engagement_score", "number"),
            _out("member_count", "integer"),
            _out("completeness", "percent"),
            *_STAMPS,
        ),
    ),
    TenantEntity(
        "creatives",
        "Advertisements of campaigns",
        (
            TenantField("creative_id", "string", "Unique identifier"),
            _out("name", "string"),
            _out("campaign_id", "string", "Campaign it belongs to"),
            _out("status", "picklist"),
            _out("impressions", "long"),
            _out("clicks", "integer"),
            _out("spend", "currency"),
        ),
        in_v1=False,
    ),
    TenantEntity(
        "buying_group_members",
        "People in buying groups",
        (
            TenantField("buying_group_member_id", "string", "Unique identifier"),
            _out("buying_group_id", "string"),
            _out("account_id", "string"),
            _out("person_id", "string"),
            _out("role", "picklist"),
            _out("engagement_score", "number"),
        ),
        in_v1=False,
    ),
    *(
        entity
        for member in ("account", "person")
        for entity in (
            TenantEntity(
                f"{member}_lists",
                f"Lists of {member} records",
                (_out(f"{member}_list_id", "integer"), _out(f"{member}_list_name", "string")),
                in_v1=False,
            ),
            TenantEntity(
                f"{member}_list_members",
                "Who is on which list",
                (
                    _out(f"{member}_list_id", "integer"),
                    TenantField(f"{member}_id", "string", key=True),
                ),
                in_v1=False,
            ),
        )
    ),
)

_PATTERNS = {
    "integer": re.compile(r"[+-]?[0-9]+"),
    "number": re.compile(r"[+-]?[0-9]+(\.[0-9]+)?"),
    "boolean": re.compile(r"true|false"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "datetime": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z"),
    "email": re.compile(r"[^@\s]+@[^@\s]+"),
}

_ALIASES = {"long": "integer", "double": "number", "currency": "number", "percent": "number"}


def fits(kind: str, value: str) -> bool:
    """Whether a value has a field's type; text types accept any value."""
    kind = _ALIASES.get(kind, kind)
    pattern = _PATTERNS.get(kind)
    if pattern is None:
        return True
    if not pattern.fullmatch(value):
        return False
    try:
        if kind == "date":
            date.fromisoformat(value)
        elif kind == "datetime":
            datetime.fromisoformat(value[:19])
    except ValueError:
        return False
    return True
