"""``filters`` of an export: operators by data type, turned into SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_sandbox.cell_types import fits
from demandbase_sandbox.uapi.date_range import moment_text
from demandbase_sandbox.uapi.error_codes import coded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from demandbase_sandbox.uapi.published_fields import PublishedField

NUMBERS = frozenset({"Integer", "Long", "Double", "Currency", "Percent"})
DATES = frozenset({"Date", "Datetime"})

_TEXT = {
    "Contains": "LIKE",
    "Does Not Contain": "NOT LIKE",
    "Begins With": "LIKE",
    "Does Not Begin With": "NOT LIKE",
    "Ends With": "LIKE",
    "Does Not End With": "NOT LIKE",
}
_ORDER = {
    "Greater Than": ">",
    "Greater Than or Equal To": ">=",
    "Less Than": "<",
    "Less Than or Equal To": "<=",
}
_SETS = {"Equals": "IN", "In": "IN", "Does Not Equal": "NOT IN", "Not In": "NOT IN"}
_PRESENCE = {"Exists": "IS NOT NULL", "Does Not Exist": "IS NULL"}
_BETWEEN = "Between"
OPERATORS = frozenset({*_TEXT, *_ORDER, *_SETS, *_PRESENCE, _BETWEEN})


def filter_condition(
    filters: Iterable[Mapping[str, Any]], fields: Mapping[str, PublishedField]
) -> tuple[str, list[str]]:
    """Return SQL and its values for filters, of which all must hold.

    Operators on texts take one value or several, of which one must hold (for the negative ones:
    none may). Comparisons take one value, ``Between`` two, ``Exists`` none. Empty cells match
    only ``Does Not Exist`` and the negative operators.

    Raises:
        RefusalError: 400-103, 400-104, 400-111, 400-115 or 400-140.
    """
    conditions, values = ["1"], []
    for item in filters:
        if not item.get("field") or not item.get("operator"):
            raise coded("400-104", "filters need field and operator")
        field = fields.get(item["field"])
        if field is None:
            raise coded("400-115", item["field"])
        given = [_value(field, text) for text in item.get("values", ())]
        condition, bound = _condition(field, item["operator"], given)
        conditions.append(f"({condition})")
        values += bound
    return " AND ".join(conditions), values


def _value(field: PublishedField, text: str) -> str:
    if field.data_type in DATES:
        return moment_text(field.name, text)
    if field.data_type in NUMBERS and not fits("number", text):
        raise coded("400-103", f"a value for {field.name} is no number")
    return text


def _condition(field: PublishedField, operator: str, given: Sequence[str]) -> tuple[str, list[str]]:
    is_number = field.data_type in NUMBERS
    cell, mark = (
        (f"CAST({field.sql} AS REAL)", "CAST(? AS REAL)") if is_number else (field.sql, "?")
    )
    if operator in _PRESENCE:
        return f"{field.sql} {_PRESENCE[operator]}", []
    if not given:
        raise coded("400-104", f"{operator} needs values")
    if operator in _SETS:
        marks = ", ".join(mark for _ in given)
        empty = f" OR {field.sql} IS NULL" if _SETS[operator] == "NOT IN" else ""
        return f"{cell} {_SETS[operator]} ({marks}){empty}", [*given]
    is_ordered = is_number or field.data_type in DATES
    if operator in _ORDER and is_ordered:
        _exactly(operator, 1, given)
        return f"{cell} {_ORDER[operator]} {mark}", [*given]
    if operator == _BETWEEN and is_ordered:
        _exactly(operator, 2, given)
        return f"{cell} BETWEEN {mark} AND {mark}", [*given]
    if operator in _TEXT and not is_ordered and field.data_type != "Boolean":
        patterns = [_pattern(operator, text) for text in given]
        if _TEXT[operator] == "LIKE":
            return " OR ".join(rf"{cell} LIKE ? ESCAPE '\'" for _ in given), patterns
        none = " AND ".join(rf"{cell} NOT LIKE ? ESCAPE '\'" for _ in given)
        return f"{field.sql} IS NULL OR ({none})", patterns
    raise coded("400-140", f"{operator} on {field.name}")


def _exactly(operator: str, count: int, given: Sequence[str]) -> None:
    if len(given) != count:
        raise coded("400-103", f"{operator} takes {count} values")


def _pattern(operator: str, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    before = "" if "Begin" in operator else "%"
    after = "" if "End" in operator else "%"
    return f"{before}{escaped}{after}"
