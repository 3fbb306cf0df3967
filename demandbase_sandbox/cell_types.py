"""Which texts fit which field types."""

from __future__ import annotations

import re
from datetime import date, datetime

_PATTERNS = {
    "integer": re.compile(r"[+-]?[0-9]+"),
    "number": re.compile(r"[+-]?[0-9]+(\.[0-9]+)?"),
    "boolean": re.compile(r"true|false"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "datetime": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z"),
    "email": re.compile(r"[^@\s]+@[^@\s]+"),
}
_ALIASES = {"long": "integer", "double": "number", "currency": "number", "percent": "number"}


def fits(kind: str, value: str) -> bool:
    """Whether a cell fits a field's type; texts of any kind fit."""
    kind = _ALIASES.get(kind, kind)
    pattern = _PATTERNS.get(kind)
    if pattern is None:
        return True
    if not pattern.fullmatch(value):
        return False
    try:
        if kind == "date":
            date.fromisoformat(value)
        elif kind == "datetime":
            datetime.fromisoformat(value[:19])
    except ValueError:
        return False
    return True
