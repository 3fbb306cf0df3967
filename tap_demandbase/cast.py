"""From the text of a cell to the value of a property; pure functions.

An empty cell is null whatever its type. A text that does not fit raises ``ValueError``
without the text.
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


def to_string(text: str) -> str | None:
    """Return the text as it is."""
    return text or None


def to_integer(text: str) -> int | None:
    """Return a whole number; scientific notation and a zero fraction are read as what they are."""
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
    """Return a truth value for true, false, yes, no, 1 and 0 in any case."""
    if not text:
        return None
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def to_date(text: str) -> str | None:
    """Return a day as YYYY-MM-DD; a date-time at midnight is one too."""
    if not text:
        return None
    if _DATE.match(text):
        return date.fromisoformat(text).isoformat()
    moment = _moment(text)
    if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
        raise ValueError
    return moment.date().isoformat()


def to_date_time(text: str) -> str | None:
    """Return a moment in the one form YYYY-MM-DDTHH:MM:SS[.ffffff]Z; no offset means UTC."""
    if not text:
        return None
    moment = datetime.fromisoformat(text) if _DATE.match(text) else _moment(text)
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValueError from None
    return moment.replace(tzinfo=None).isoformat() + "Z"


def caster(schema: Mapping[str, Any]) -> Callable[[str], Value]:  # noqa: PLR0911
    """Return the function that casts a property's cells.

    Args:
        schema: The property's JSON Schema; a type that no cell can have is taken for text.
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
    """Return what a property's cells have to be, for messages."""
    return caster(schema).__name__.removeprefix("to_").replace("_", "-")


def _decimal(text: str) -> Decimal:
    if not _DECIMAL.match(text):
        raise ValueError
    return Decimal(text)


def _moment(text: str) -> datetime:
    if not _DATE_TIME.match(text):
        raise ValueError
    return datetime.fromisoformat(text.replace(" Z", "Z").replace(",", "."))
