"""What a SCHEMA message must hold before the SDK and the sink lean on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


REJECT_PREFIX = "_reject_"
REJECT_TYPE = f"{REJECT_PREFIX}type"


def json_types(rule: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a property's schema allows, null left out.

    Returns:
        Empty where the schema allows any type.
    """
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
    """Return what is wrong with a SCHEMA message, as a clause; empty where nothing is."""
    keys = message.get("key_properties")
    if keys is not None and not (
        isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    ):
        return "has key_properties that are no array of names"
    schema = message.get("schema")
    if not isinstance(schema, dict) or "properties" not in schema:
        # The SDK says which member is absent.
        return ""
    properties = schema["properties"]
    if not isinstance(properties, dict):
        return "has a schema whose properties are no object"
    for name, rule in properties.items():
        if not isinstance(rule, dict):
            return f"has a schema whose property {name} is no object"
    return ""


def is_date_time(rule: Mapping[str, Any]) -> bool:
    """Whether a property's schema says that its texts are date-times."""
    choices = [rule]
    for word in ("anyOf", "oneOf"):
        several = rule.get(word)
        choices += several if isinstance(several, list) else []
    return any(
        isinstance(choice, dict)
        and choice.get("format") == "date-time"
        and choice.get("type") is not None
        and "string" in str(choice["type"])
        for choice in choices
    )


DELETED = "_sdc_deleted_at"
"""Whoever has a value in it is no row: such a record is looked at by itself."""

# Words that say nothing of which values are valid. The SDK does not check formats either.
_SILENT_WORDS = frozenset(
    {"type", "format", "title", "description", "default", "examples", "$comment", "$schema", "$id"}
)

_SILENT_SCHEMA_WORDS = _SILENT_WORDS | {"properties", "required", "additionalProperties"}


class ColumnKind(StrEnum):
    """What the cells of a column are made of."""

    TEXT = "text"
    DATE_TIME = "date_time"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class PlainColumn:
    """A property whose values can be checked by their type alone.

    Args:
        name: The property.
        kind: What its values are.
        nullable: Whether null is one of them.
        required: Whether each record has it.
        max_length: The longest text, in characters, where there is a longest.
    """

    name: str
    kind: ColumnKind
    nullable: bool
    required: bool
    max_length: int | None = None


def is_plain_name(name: str) -> bool:
    """Return whether a property's name stands in JSON as it is, which decoders ask for."""
    return name.isprintable() and not {'"', "\\"} & set(name)


def plain_columns(  # noqa: PLR0911 - one for each way not to be plain
    schema: Mapping[str, Any],
) -> tuple[PlainColumn, ...] | None:
    """Return the columns of a schema, or ``None`` where types alone do not tell who is valid."""
    if any(not _is_silent(word, _SILENT_SCHEMA_WORDS) for word in schema):
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
    words = {word for word in rule if not _is_silent(word, _SILENT_WORDS)}
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


def _is_silent(word: str, known: frozenset[str]) -> bool:
    return word in known or word.startswith("x-")
