"""The published entity types and the tenant's entities behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_sandbox.tenant.store import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demandbase_sandbox.tenant.schema import TenantEntity, TenantField


@dataclass(frozen=True, slots=True)
class EntityType:
    """A published entity type.

    Args:
        name: Name in the API.
        entity: The tenant's entity.
        prefix: Prefix of its fields, in braces; empty if names have none.
        ad_report_types: Valid values of adReportType; empty for types without ad reports.
        by_account: Whether its jobs require accountIds.
    """

    name: str
    entity: str
    prefix: str
    ad_report_types: frozenset[str] = frozenset()
    by_account: bool = False


AD_REPORT_TYPES = frozenset({"summary", "performance"})
"""Report types of ads, which are not published."""

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
"""Entity types of jobs for list members, and the tenant's entities."""

LIST_JOBS = {"fetchAccountListJob": ACCOUNT_LIST, "fetchPersonListJob": PERSON_LIST}
"""Operations that create jobs for list members, and their entity types."""

IMPORT_ENTITIES = {
    "Account": "accounts",
    "Person": "people",
    "Opportunity": "opportunities",
    "Activity": "activities",
}
"""Entity types of imports, and the tenant's entities."""

LABELS = {
    "accounts": {
        "account_id": "External Account ID",
        "name": "Account Name",
        "domain": "Account Domain",
        "employee_count": "Employees",
        "owner": "Owner",
        "phone_number": "Phone Number",
    },
    "people": {
        "person_id": "External Person Id",
        "account_id": "External Account Id",
        "phone": "Phone Number",
    },
    "opportunities": {
        "opportunity_id": "External Opportunity ID",
        "account_id": "External Account ID",
        "name": "Opportunity Name",
        "stage": "Opportunity Stage",
        "amount": "Revenue",
        "owner": "Owner",
    },
    "activities": {
        "person_id": "External Person Id",
        "account_id": "External Account ID",
        "activity_at": "Activity Date",
    },
}
"""Documented labels by entity and field; other labels follow from the field's name."""

STANDARD = {
    "accounts": {"owner": "Owner", "phone_number": "Phone Number"},
    "people": {
        "person_type": "Person Type",
        "postal_code": "Postal Code",
        "role": "Role",
        "state": "State",
    },
    "opportunities": {"owner": "Owner", "opportunity_type": "Opportunity Type"},
    "activities": {},
}
"""Documented headers without a field in the sample tenant; the first use adds the field."""


def label_of(entity: str, field: TenantField) -> str:
    """Return the label of a field."""
    known = field.label or LABELS.get(entity, {}).get(field.name)
    return known or " ".join(word.capitalize() for word in field.name.split("_"))


DATA_TYPES = {"number": "Double", "url": "URL"}
"""Published types whose name differs from the tenant's."""

_REFERENCES = {"Account": ("accounts", "account_id"), "Person": ("people", "person_id")}

_SHOWN = {
    "Account": (("id", "Long"), ("name", "String"), ("domain", "String")),
    "Person": (("id", "Long"), ("email", "Email")),
}
"""Fields of the account and the person of a row that exports can name."""


@dataclass(frozen=True, slots=True)
class PublishedField:
    """A field of an entity type; ``sql`` is its value in a row ``t``."""

    name: str
    data_type: str
    label: str
    description: str
    sql: str


def published_fields(
    entity_type: EntityType, entities: Mapping[str, TenantEntity]
) -> dict[str, PublishedField]:
    """Return the fields of an entity type by their names."""
    entity = entities[entity_type.entity]
    found = [*_own(entity_type, entity)]
    if entity_type.prefix:
        found += _referred(entity_type, entity, entities)
    return {field.name: field for field in found}


def identity(entity: TenantEntity, row: str) -> str:
    """Return the SQL of Demandbase's own number of a record."""
    # If the tenant's rows have a column of this name, it is the number.
    return f"{row}.{quoted('id') if entity.field('id') else 'rowid'}"


def field_name(entity_type: EntityType, column: str) -> str:
    """Return the published name of a tenant's field."""
    if entity_type.prefix:
        return f"{{{entity_type.prefix}}}.{column}"
    if column == "name":
        return f"{entity_type.name}Name"
    first, *others = column.split("_")
    return first + "".join(word.capitalize() for word in others)


def _own(entity_type: EntityType, entity: TenantEntity) -> Iterator[PublishedField]:
    if entity_type.prefix and entity.field("id") is None:
        name = field_name(entity_type, "id")
        label = f"{entity_type.prefix} ID"
        yield PublishedField(name, "Long", label, "", identity(entity, "t"))
    for field in entity.fields:
        yield PublishedField(
            field_name(entity_type, field.name),
            DATA_TYPES.get(field.type, field.type.capitalize()),
            label_of(entity.name, field),
            field.description,
            f"t.{quoted(field.name)}",
        )


def _referred(
    entity_type: EntityType, entity: TenantEntity, entities: Mapping[str, TenantEntity]
) -> Iterator[PublishedField]:
    for prefix, (table, reference) in _REFERENCES.items():
        other = entities[table]
        if table == entity.name or not (entity.field(reference) and other.field(reference)):
            continue
        for column, data_type in _SHOWN[prefix]:
            if column == "id":
                value = identity(other, "o")
            elif other.field(column):
                value = f"o.{quoted(column)}"
            else:
                continue
            key = quoted(reference)
            yield PublishedField(
                f"{{{prefix}}}.{column}",
                data_type,
                f"{prefix} {column.capitalize() if column != 'id' else 'ID'}",
                f"Of the {prefix.lower()} that the {entity_type.name} belongs to",
                # Names come from the tenant's own schema.
                f"(SELECT {value} FROM {quoted(table)} o WHERE o.{key} = t.{key} LIMIT 1)",  # noqa: S608
            )
