"""Checks SCHEMA messages, and finds the schemas whose records types alone can validate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


REJECT_PREFIX = "_reject_"
REJECT_TYPE = f"{REJECT_PREFIX}type"


def json_types(rule: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a property's schema allows, without null; none if it allows any."""
    declared = rule.get("type")
    if declared is not None:
        names = declared if isinstance(declared, list) else [declared]
        return tuple(dict.fromkeys(str(name) for name in names if name != "null"))
    types: list[str] = []
    for word in ("anyOf", "oneOf"):
        several = rule.get(word)
        for choice in several if isinstance(several, list) else []:
            allowed = json_types(choice) if isinstance(choice, dict) else ()
            if not allowed and not (isinstance(choice, dict) and "type" in choice):
                return ()
            types += allowed
    return tuple(dict.fromkeys(types))


def schema_problem(message: Mapping[str, Any]) -> str:
    """Return what is wrong with a SCHEMA message, as a clause; empty if it is valid."""
    keys = message.get("key_properties")
    if keys is not None and not (
        isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    ):
        return "has key_properties that are no array of names"
    schema = message.get("schema")
    if not isinstance(schema, dict) or "properties" not in schema:
        # The SDK reports a missing member.
        return ""
    properties = schema["properties"]
    if not isinstance(properties, dict):
        return "has a schema whose properties are no object"
    for name, rule in properties.items():
        if not isinstance(rule, dict):
            return f"has a schema whose property {name} is no object"
    return ""


def is_date_time(rule: Mapping[str, Any]) -> bool:
    """Return whether a property's schema says that its texts are date-times."""
    choices = [rule]
    for word in ("anyOf", "oneOf"):
        several = rule.get(word)
        choices += several if isinstance(several, list) else []
    texts = [
        choice.get("format")
        for choice in choices
        if isinstance(choice, dict)
        and choice.get("type") is not None
        and "string" in str(choice["type"])
    ]
    # If another choice accepts any text, a format restricts nothing.
    return bool(texts) and all(each == "date-time" for each in texts)


DELETED = "_sdc_deleted_at"
"""Property that marks a record as deleted."""

# Keywords that do not restrict values. The SDK does not check formats either.
_ANNOTATIONS = frozenset(
    {"type", "format", "title", "description", "default", "examples", "$comment", "$schema", "$id"}
)

_PLAIN_SCHEMA_KEYWORDS = _ANNOTATIONS | {"properties", "required", "additionalProperties"}


class ColumnKind(StrEnum):
    """Type of a column's values."""

    TEXT = "text"
    DATE_TIME = "date_time"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class PlainColumn:
    """A property whose values can be validated by their type alone.

    Args:
        name: Name of the property.
        kind: Type of its values.
        nullable: Whether null is valid.
        required: Whether each record must have it.
        max_length: Maximum length of a text in characters. ``None``: unlimited.
    """

    name: str
    kind: ColumnKind
    nullable: bool
    required: bool
    max_length: int | None = None


def is_plain_name(name: str) -> bool:
    """Return whether JSON needs no escapes for a property's name, as msgspec requires."""
    return name.isprintable() and not {'"', "\\"} & set(name)


def plain_columns(  # noqa: PLR0911
    schema: Mapping[str, Any],
) -> tuple[PlainColumn, ...] | None:
    """Return the columns of a schema, or ``None`` if types alone cannot validate records."""
    if any(not _is_allowed(word, _PLAIN_SCHEMA_KEYWORDS) for word in schema):
        return None
    if schema.get("type", "object") not in ("object", ["object"]):
        return None
    if schema.get("additionalProperties", True) is not True:
        return None
    required = schema.get("required", ())
    properties: Mapping[str, Any] = schema["properties"]
    if not set(required) <= properties.keys():
        return None
    columns = []
    for name, rule in properties.items():
        if not is_plain_name(name):
            return None
        column = _column(name, rule, required=name in required)
        if column is None:
            return None
        columns.append(column)
    return tuple(columns)


def _column(name: str, rule: Mapping[str, Any], *, required: bool) -> PlainColumn | None:
    declared = rule.get("type")
    types = list(declared) if isinstance(declared, list) else [declared]
    nullable = "null" in types
    kinds = [each for each in types if each != "null"]
    if len(kinds) != 1:
        return None
    words = {word for word in rule if not _is_allowed(word, _ANNOTATIONS)}
    max_length = rule.get("maxLength")
    match kinds[0]:
        case "string":
            kind = ColumnKind.DATE_TIME if rule.get("format") == "date-time" else ColumnKind.TEXT
            if isinstance(max_length, int) and not isinstance(max_length, bool):
                words.discard("maxLength")
        case "integer":
            kind = ColumnKind.INTEGER
        case "number":
            kind = ColumnKind.NUMBER
        case "boolean":
            kind = ColumnKind.BOOLEAN
        case _:
            return None
    if words:
        return None
    return PlainColumn(name, kind, nullable, required, max_length)


def _is_allowed(word: str, known: frozenset[str]) -> bool:
    return word in known or word.startswith("x-")
