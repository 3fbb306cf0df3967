"""From Demandbase's field types to JSON Schema, by one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demandbase_api.models import Entity

_STRING: dict[str, Any] = {"type": ["null", "string"]}
_INTEGER: dict[str, Any] = {"type": ["null", "integer"]}
_NUMBER: dict[str, Any] = {"type": ["null", "number"]}
_BOOLEAN: dict[str, Any] = {"type": ["null", "boolean"]}
_DATE: dict[str, Any] = {"type": ["null", "string"], "format": "date"}
_DATE_TIME: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}

# Lower case, without spaces, underscores and hyphens: spellings differ between entities.
SCHEMA_BY_TYPE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        (
            "string", "text", "varchar", "char", "email", "url", "phone", "picklist",
            "multipicklist", "enum", "id", "uuid", "textarea", "reference",
        ),
        _STRING,
    ),
    **dict.fromkeys(("integer", "int", "long", "bigint", "short", "smallint"), _INTEGER),
    **dict.fromkeys(
        ("number", "numeric", "double", "float", "decimal", "currency", "percent"), _NUMBER
    ),
    **dict.fromkeys(("boolean", "bool"), _BOOLEAN),
    "date": _DATE,
    **dict.fromkeys(("datetime", "timestamp"), _DATE_TIME),
}  # fmt: skip


def entity_schema(
    entity: Entity, *, lenient_numbers: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return an entity's JSON Schema and its fields of unknown type.

    Args:
        entity: The entity.
        lenient_numbers: Whether whole-number fields may hold fractions, too.

    Returns:
        The schema, and the unknown type by field; such a field is a nullable string.
    """
    properties: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for field in entity.fields:
        known = SCHEMA_BY_TYPE.get(_normal(field.type))
        if known is None:
            unknown[field.name] = field.type
        schema = dict(known or _STRING)
        if lenient_numbers and known is _INTEGER:
            schema = dict(_NUMBER)
        if field.description:
            schema["description"] = field.description
        properties[field.name] = schema
    return {"type": "object", "properties": properties}, unknown


def _normal(field_type: str) -> str:
    return "".join(letter for letter in field_type.lower() if letter.isalnum())
