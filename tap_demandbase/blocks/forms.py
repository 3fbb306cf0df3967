r"""Which cells are in their one form already: that of Python's str() and isoformat(), and of JSON.

``PATTERNS`` tells for each cell. But for numbers, Arrow's own parsers are faster and tell for a
whole column, whatever they take beside that form being ruled out: ``007``, a blank for the T.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase import cast
from tap_demandbase.blocks import moments, typed_cells

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

PATTERNS: dict[Callable[[str], Value], str] = {
    cast.to_integer: r"\A(?:0|-?[1-9][0-9]{0,99})\z",
    cast.to_number: r"\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\z",
    cast.to_boolean: r"\A(?:true|false)\z",
    cast.to_date: rf"\A{_DATE}\z",
    cast.to_date_time: rf"\A{_DATE}T{_TIME}Z\z",
}
"""Regular expression for a cell, as RE2 has it, by what casts it."""


def are_in_form(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> bool:
    """Return whether all cells are in their one form; where there is doubt, they are not.

    Args:
        cells: UTF-8 as binary, of one column or several; null is in any form.
        to_value: What casts a cell.
    """
    return _CHECKS[to_value](cells)


def _are_typed(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> bool:
    return typed_cells.read(cells, to_value) is not None


def _are_integers(cells: pa.ChunkedArray) -> bool:
    return (
        _are_typed(cells, cast.to_integer)
        and not _any(pc.starts_with(cells, b"-0"))
        and _count(pc.starts_with(cells, b"0")) == _count(pc.equal(cells, pa.scalar(b"0")))
    )


def _are_numbers(cells: pa.ChunkedArray) -> bool:
    return _all(pc.match_substring_regex(cells, PATTERNS[cast.to_number]))


def _are_moments(cells: pa.ChunkedArray) -> bool:
    return (
        moments.are_of_length(cells)
        and _are_typed(cells, cast.to_date_time)
        and _all(pc.match_substring(cells, b"T"))
    )


_CHECKS: dict[Callable[[str], Value], Callable[[pa.ChunkedArray], bool]] = {
    cast.to_integer: _are_integers,
    cast.to_number: _are_numbers,
    cast.to_boolean: partial(_are_typed, to_value=cast.to_boolean),
    cast.to_date: partial(_are_typed, to_value=cast.to_date),
    cast.to_date_time: _are_moments,
}


def _all(found: pa.ChunkedArray) -> bool:
    return bool(pc.all(found, min_count=0).as_py())


def _any(found: pa.ChunkedArray) -> bool:
    return bool(pc.any(found, min_count=0).as_py())


def _count(found: pa.ChunkedArray) -> int:
    count: int | None = pc.sum(found).as_py()
    return count or 0
