"""The fields of each entity type as the fields endpoint names them, and the SQL behind them.

Names are ``{Account}.name`` for the entity's own fields and for those of the account or person
that a row belongs to; fields of ads are bare and in camel case (``campaignId``). ``id`` is
Demandbase's own number of a record, which ``accountIds`` refer to; the tenant's id (as
``account_id``) is the record's id in the system that it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_sandbox.store import quoted
from demandbase_sandbox.uapi.labels import label_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demandbase_sandbox.tenant_schema import TenantEntity
    from demandbase_sandbox.uapi.entity_types import EntityType

DATA_TYPES = {"number": "Double", "url": "URL"}
"""Published types of those that are not called the same in the tenant."""

_REFERENCES = {"Account": ("accounts", "account_id"), "Person": ("people", "person_id")}
_SHOWN = {
    "Account": (("id", "Long"), ("name", "String"), ("domain", "String")),
    "Person": (("id", "Long"), ("email", "Email")),
}
"""Fields that rows show of the account and the person they belong to."""


@dataclass(frozen=True, slots=True)
class PublishedField:
    """A field of an entity type; ``sql`` gives its cell in a row ``t``."""

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
    # A tenant whose rows bring a column of this name has no other.
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
