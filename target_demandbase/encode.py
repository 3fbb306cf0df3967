"""From a record's value to the text of a cell; pure functions.

Raises ``ValueError`` without the value for what has no text.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import simplejson

# Python's own limit for the digits of an integer; without one, 1e999999999 would fill the memory.
MAX_DIGITS = 4300


def encode_cell(value: Any, *, is_date_time: bool = False) -> str:  # noqa: ANN401, PLR0911
    """Return a cell's text.

    Args:
        value: From a JSON document, numbers as int, float or Decimal.
        is_date_time: Whether the schema says that a text is a date-time.

    Returns:
        Decimals without exponents, booleans in lower case, date-times as ISO 8601 with ``Z``,
        arrays and objects as JSON; null is the empty text.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return _date_time(value) if is_date_time and value else value
        case int():
            return str(value)
        case float() | Decimal():
            return _number(value if isinstance(value, Decimal) else Decimal(repr(value)))
        case datetime():
            return _iso(value)
        case date():
            return value.isoformat()
        case _:
            return _json(value)


def _date_time(text: str) -> str:
    try:
        return _iso(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise ValueError from None


def _iso(moment: datetime) -> str:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _number(number: Decimal) -> str:
    if not number.is_finite():
        raise ValueError
    exponent = number.as_tuple().exponent
    if number.adjusted() >= MAX_DIGITS or (isinstance(exponent, int) and exponent < -MAX_DIGITS):
        raise ValueError
    return format(number, "f")


def _json(value: object) -> str:
    try:
        text: str = simplejson.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            # Decimals go to _json_default, which refuses those that are no number.
            use_decimal=False,
            default=_json_default,
        )
    except (ValueError, RecursionError):
        raise ValueError from None
    return text


def _json_default(value: object) -> object:
    if isinstance(value, Decimal):
        return simplejson.RawJSON(_number(value))
    if isinstance(value, datetime):
        return _iso(value)
    return str(value)
