"""The columns of records that can be decoded many at a time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from target_demandbase.csv_writer import MAX_DIGITS
from target_demandbase.schema import is_date_time, json_types
from target_demandbase.validation import TYPES, accepted_types, keywords

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class ColumnKind(StrEnum):
    """Type of a column's values."""

    TEXT = "text"
    DATE_TIME = "date_time"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PlainColumn:
    """A property of records that can be decoded many at a time.

    Args:
        name: Name of the property.
        kind: Type of its values.
        nullable: Whether null has the right type.
        required: Whether each record must have it.
        max_length: Maximum length of a text in characters. ``None``: unlimited.
        has_rules: Whether its schema restricts values in addition to their type and length.
        has_bounds: Whether a minimum and a maximum are its only such rules.
        digits: How many digits in front of the decimal point and behind it each rule allows.
            ``None``: there are rules that do not limit digits.
    """

    name: str
    kind: ColumnKind
    nullable: bool
    required: bool
    max_length: int | None = None
    has_rules: bool = False
    has_bounds: bool = False
    digits: tuple[int, int] | None = None


_KINDS = {
    "string": ColumnKind.TEXT,
    "integer": ColumnKind.INTEGER,
    "number": ColumnKind.NUMBER,
    "boolean": ColumnKind.BOOLEAN,
}

_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})

_LIMITS = _BOUNDS | {"multipleOf"}

_RECORD_KEYWORDS = frozenset({"type", "properties", "required", "additionalProperties"})


def is_plain_name(name: str) -> bool:
    """Return whether JSON needs no escapes for a property's name, as msgspec requires."""
    return name.isprintable() and not {'"', "\\"} & set(name)


def plain_columns(
    schema: Mapping[str, Any], sent: Collection[str]
) -> tuple[PlainColumn, ...] | None:
    """Return the columns of a schema, or ``None`` if its records must be read one by one.

    Args:
        schema: The stream's schema, readable.
        sent: The properties that are validated.
    """
    properties: Mapping[str, Any] = schema["properties"]
    required = schema.get("required", ())
    is_plain = (
        keywords(schema) <= _RECORD_KEYWORDS
        and schema.get("type", "object") in ("object", ["object"])
        and isinstance(schema.get("additionalProperties", True), bool)
        and set(required) <= properties.keys()
        and all(map(is_plain_name, properties))
    )
    if not is_plain:
        return None
    return tuple(
        _column(name, rule, required=name in required)
        if name in sent
        else PlainColumn(name, ColumnKind.OTHER, nullable=True, required=name in required)
        for name, rule in properties.items()
    )


def _column(name: str, rule: Mapping[str, Any], *, required: bool) -> PlainColumn:
    types = json_types(rule)
    kind = _KINDS.get(types[0], ColumnKind.OTHER) if len(types) == 1 else ColumnKind.OTHER
    if kind is ColumnKind.OTHER:
        return PlainColumn(name, kind, nullable=True, required=required, has_rules=bool(rule))
    words = keywords(rule) - {"type", "format"}
    max_length = rule.get("maxLength") if kind is ColumnKind.TEXT else None
    if isinstance(max_length, int) and not isinstance(max_length, bool):
        words -= {"maxLength"}
    else:
        max_length = None
    if kind is ColumnKind.INTEGER and _allows_int64(rule):
        words -= _BOUNDS
    accepted = accepted_types(rule)
    has_rules = bool(words) and not accepted >= TYPES[types[0]]
    nullable = type(None) in accepted or has_rules
    if kind is ColumnKind.TEXT and is_date_time(rule):
        # The rules are for the text as it came.
        kind = ColumnKind.OTHER if has_rules else ColumnKind.DATE_TIME
    return PlainColumn(
        name,
        kind,
        nullable,
        required,
        max_length,
        has_rules,
        has_bounds=words <= _BOUNDS,
        digits=_allowed_digits(rule) if kind is ColumnKind.NUMBER and words <= _LIMITS else None,
    )


def _allows_int64(rule: Mapping[str, Any]) -> bool:
    """Return whether the bounds of a number allow each integer of 64 bits, as plain ones are."""
    least, most = -(2**63), 2**63 - 1
    return bool(
        rule.get("minimum", least) <= least
        and rule.get("maximum", most) >= most
        and rule.get("exclusiveMinimum", least - 1) < least
        and rule.get("exclusiveMaximum", most + 1) > most
    )


def _allowed_digits(rule: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return how many digits a number may have in front of the decimal point and behind it.

    Taps of databases restrict numbers by the precision and the scale of their columns.
    """
    whole = fraction = MAX_DIGITS
    for word in _LIMITS & rule.keys():
        limit = Decimal(str(rule[word]))
        if word == "multipleOf":
            if limit.normalize().as_tuple().digits != (1,) or limit > 1:
                return None
            fraction = -limit.adjusted()
        else:
            is_bound_side = limit > 0 if word in {"maximum", "exclusiveMaximum"} else limit < 0
            if not is_bound_side:
                return None
            whole = min(whole, limit.adjusted())
    return whole, fraction
