"""Which columns can be read in blocks: those whose schema is a plain type."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_demandbase.stream_plan import StreamPlan

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


def suits_blocks(plan: StreamPlan) -> bool:
    """Return whether a stream's records can be read many at a time."""
    plain = plain_columns(plan.schema)
    if plain is None or len(plan.fields) < 2:  # noqa: PLR2004 - a null alone in its row
        return False
    kinds = {column.name: column.kind for column in plain}
    if DELETED in kinds or not kinds.keys() >= set(plan.key_properties):
        return False
    return plan.key_column is None or kinds[plan.key_column] in {
        ColumnKind.TEXT, ColumnKind.INTEGER,
    }  # fmt: skip
