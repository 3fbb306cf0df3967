"""Converts the text of a cell to the value of a property; pure functions.

An empty cell is null, whatever its type. A text that does not fit raises ``ValueError`` without
the text.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value = str | int | bool | Decimal | None

_WHOLE = re.compile(r"[+-]?[0-9]{1,1000}\Z")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?"
    r" ?(Z|[+-][0-9]{2}:?[0-9]{2})?\Z"
)
_MAX_DIGITS = 1000
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})


def caster(schema: Mapping[str, Any]) -> Callable[[str], Value]:  # noqa: PLR0911
    """Return the function that converts a property's cells.

    Args:
        schema: JSON Schema of the property; a type that no cell can have is read as text.
    """
    kinds = schema.get("type", "string")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if "string" in kinds:
        match schema.get("format"):
            case "date":
                return to_date
            case "date-time":
                return to_date_time
            case _:
                return to_string
    if "number" in kinds:
        return to_number
    if "integer" in kinds:
        return to_integer
    if "boolean" in kinds:
        return to_boolean
    return to_string


def type_name(schema: Mapping[str, Any]) -> str:
    """Return the name of the type that a property's cells must have, for messages."""
    return caster(schema).__name__.removeprefix("to_").replace("_", "-")


def to_string(text: str) -> str | None:
    """Return the text."""
    return text or None


def to_integer(text: str) -> int | None:
    """Return a whole number, which may have an exponent or a fraction of zero."""
    if not text:
        return None
    if _WHOLE.match(text):
        return int(text)
    value = _decimal(text)
    if value.adjusted() > _MAX_DIGITS or value != value.to_integral_value():
        raise ValueError
    return int(value)


def to_number(text: str) -> Decimal | None:
    """Return a number with all of its digits."""
    return _decimal(text) if text else None


def to_boolean(text: str) -> bool | None:
    """Return the boolean for true, false, yes, no, 1 and 0 in any case."""
    if not text:
        return None
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def to_date(text: str) -> str | None:
    """Return a date as YYYY-MM-DD; a date-time at midnight is accepted, too."""
    if not text:
        return None
    if _DATE.match(text):
        return date.fromisoformat(text).isoformat()
    timestamp = _timestamp(text)
    if (timestamp.hour, timestamp.minute, timestamp.second, timestamp.microsecond) != (0, 0, 0, 0):
        raise ValueError
    return timestamp.date().isoformat()


def to_date_time(text: str) -> str | None:
    """Return a date-time as YYYY-MM-DDTHH:MM:SS[.ffffff]Z; without an offset it is UTC."""
    if not text:
        return None
    timestamp = datetime.fromisoformat(text) if _DATE.match(text) else _timestamp(text)
    if timestamp.tzinfo is not None:
        try:
            timestamp = timestamp.astimezone(UTC)
        except OverflowError:
            raise ValueError from None
    return timestamp.replace(tzinfo=None).isoformat() + "Z"


def _decimal(text: str) -> Decimal:
    if not _DECIMAL.match(text):
        raise ValueError
    return Decimal(text)


def _timestamp(text: str) -> datetime:
    if not _DATE_TIME.match(text):
        raise ValueError
    return datetime.fromisoformat(text.replace(" Z", "Z").replace(",", "."))
