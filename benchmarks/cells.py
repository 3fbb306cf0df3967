"""The cells of CSV files, in the spellings of several programs."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable


def cell_text(value: object) -> str:
    """Return a value as Python's ``str`` writes it, and booleans as JSON does."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case _:
            return str(value)


@dataclass(frozen=True)
class Cells:
    """How a program writes CSV.

    Args:
        text: Returns a cell by the column's name and the value.
        quoting: ``csv.QUOTE_MINIMAL`` or ``csv.QUOTE_ALL``.
        line_end: End of a row.
        is_loose: Values need more than ``int``, ``float`` and a comparison with "true", and
            date-times have offsets.
    """

    text: Callable[[str, object], str]
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL
    line_end: str = "\r\n"
    is_loose: bool = False


PLAIN = Cells(lambda _, value: cell_text(value))
"""Canonical values, and quotes where they are needed."""


def _java_text(name: str, value: object) -> str:
    match value:
        case float() | Decimal():
            return _java_double(float(value))
        case datetime() if name == "scored_at":
            return _instant(value, "milliseconds")
        case datetime():
            # Java writes three digits, or six, or none.
            parts = {value.microsecond % 1000 > 0: "microseconds", not value.microsecond: "seconds"}
            return _instant(value, parts.get(True, "milliseconds"))
        case _:
            return cell_text(value)


def _instant(value: datetime, parts: str) -> str:
    return value.isoformat(timespec=parts).replace("+00:00", "Z")


_LEAST_PLAIN, _MOST_PLAIN = 1e-3, 1e7


def _java_double(value: float) -> str:
    """Return a number as Java does: 1.0E7 from ten million on, and 1.0E-4 below a thousandth."""
    if value == 0 or _LEAST_PLAIN <= abs(value) < _MOST_PLAIN:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - the number is finite
    text = "".join(map(str, digits))
    power = exponent + len(text) - 1
    text = text.rstrip("0")
    return f"{'-' * sign}{text[:1]}.{text[1:] or '0'}E{power}"


JAVA = Cells(_java_text, line_end="\n")
"""As Java writes values: 1.0E7, 10.0, fractions of three or six digits, ``.000Z``; bare LF."""

_BERLIN = timezone(timedelta(hours=2))
_INDIA = timezone(timedelta(hours=5, minutes=30))
_TRUTH = {
    "is_target": ("FALSE", "TRUE"),
    "is_customer": ("no", "yes"),
    "has_intent": ("False", "True"),
}
_THOUSAND = 1000


def _quoted_text(name: str, value: object) -> str:
    match value:
        case bool():
            return _TRUTH[name][value]
        case int() if name == "employee_count":
            return f"{value}.0"  # as pandas writes a column that has empty cells
        case int() if value and name == "visits" and not value % _THOUSAND:
            return f"{value // _THOUSAND}E3"
        case datetime():
            return _quoted_moment(name, value)
        case _:
            return cell_text(value)


def _quoted_moment(name: str, value: datetime) -> str:
    match name:
        case "created_at":
            return str(value.astimezone(_BERLIN))
        case "updated_at":
            return value.replace(tzinfo=None).isoformat()
        case _:
            return value.astimezone(_INDIA).strftime("%Y-%m-%dT%H:%M:%S%z")


QUOTED = Cells(_quoted_text, csv.QUOTE_ALL, is_loose=True)
"""All cells quoted; TRUE, yes and True; 5.0 and 2E3 in columns of whole numbers; offsets, a blank
instead of T, no zone."""
