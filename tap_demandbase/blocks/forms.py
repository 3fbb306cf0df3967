r"""Which cells are in their one form already: that of Python's str() and isoformat(), and of JSON.

``PATTERNS`` tells for each cell. Arrow's own parsers are five times as fast and tell for a whole
column, whatever they take beside that form being ruled out: ``007``, ``0x1F``, a blank for the T.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase import cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_demandbase.cast import Value

_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_DAY = (
    r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
)
_DATE = f"(?:{_YEAR}-{_DAY}|{_LEAP_DAY})"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"

FORMS: dict[Callable[[str], Value], str] = {
    cast.to_integer: r"(?:0|-?[1-9][0-9]{0,99})",
    cast.to_number: r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)",
    cast.to_boolean: r"(?:true|false)",
    cast.to_date: _DATE,
    cast.to_date_time: f"(?:{_DATE}T{_TIME}Z)",
}
"""Regular expression for a cell, by what casts it."""
ROW_FORMS = FORMS | {cast.to_integer: r"(?:0|-?[1-9][0-9]*)"}
"""The same within a row, where how many digits there may be is looked at by itself: told to count
them, the expression would take a fifth longer."""
PATTERNS = {to_value: rf"\A{form}\z" for to_value, form in FORMS.items()}
"""The same for a whole cell, as RE2 has it."""

_MOST_DIGITS = 100
_DATE_BYTES = len("2026-01-01")
_MOMENT_BYTES = len("2026-01-01T00:00:00Z")


def are_in_form(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> bool:
    """Return whether all cells are in their one form; where there is doubt, they are not.

    Args:
        cells: UTF-8 as binary, of one column or several; null is in any form.
        to_value: What casts a cell.
    """
    try:
        return _CHECKS[to_value](cells)
    except pa.ArrowInvalid:  # a cell that the parser does not take
        return False


def are_short(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> bool:
    """Return whether no integer has more digits than casting takes; other cells may be long.

    Args:
        cells: Cells that are in their one form but for that.
        to_value: What casts a cell.
    """
    if to_value is not cast.to_integer:
        return True
    longest: int | None = pc.max(pc.binary_length(cells)).as_py()
    return longest is None or longest <= _MOST_DIGITS


def _are_integers(cells: pa.ChunkedArray) -> bool:
    _texts(cells).cast(pa.int64())
    return not _any(pc.starts_with(cells, b"-0")) and _count(pc.starts_with(cells, b"0")) == _count(
        pc.equal(cells, pa.scalar(b"0"))
    )


def _are_booleans(cells: pa.ChunkedArray) -> bool:
    words = pc.or_(pc.equal(cells, pa.scalar(b"true")), pc.equal(cells, pa.scalar(b"false")))
    return _all(words)


def _are_dates(cells: pa.ChunkedArray) -> bool:
    return _are_of_length(cells, _DATE_BYTES) and _are_in_the_calendar(cells, pa.date32())


def _are_moments(cells: pa.ChunkedArray) -> bool:
    if not _are_of_length(cells, _MOMENT_BYTES):
        return False
    between = pc.binary_slice(cells, _DATE_BYTES, _DATE_BYTES + 1)
    return _all(pc.equal(between, pa.scalar(b"T"))) and _are_in_the_calendar(
        cells, pa.timestamp("s", "UTC")
    )


def _are_numbers(cells: pa.ChunkedArray) -> bool:
    return _all(pc.match_substring_regex(cells, PATTERNS[cast.to_number]))


_CHECKS: dict[Callable[[str], Value], Callable[[pa.ChunkedArray], bool]] = {
    cast.to_string: lambda _: True,
    cast.to_number: _are_numbers,
    cast.to_integer: _are_integers,
    cast.to_boolean: _are_booleans,
    cast.to_date: _are_dates,
    cast.to_date_time: _are_moments,
}


def _are_in_the_calendar(cells: pa.ChunkedArray, kind: pa.DataType) -> bool:
    _texts(cells).cast(kind)
    # Python's begins with year 1.
    return not _any(pc.starts_with(cells, b"0000"))


def _texts(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.view(pa.string()) for chunk in cells.chunks], pa.string())


def _are_of_length(cells: pa.ChunkedArray, length: int) -> bool:
    lengths = pc.min_max(pc.binary_length(cells))
    return set(lengths.as_py().values()) <= {length, None}


def _all(found: pa.ChunkedArray) -> bool:
    return bool(pc.all(found, min_count=0).as_py())


def _any(found: pa.ChunkedArray) -> bool:
    return bool(pc.any(found, min_count=0).as_py())


def _count(found: pa.ChunkedArray) -> int:
    count: int | None = pc.sum(found).as_py()
    return count or 0
