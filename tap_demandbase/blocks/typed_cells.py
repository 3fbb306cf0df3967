"""Reads whole columns as Arrow's values, if these are what casting makes of the cells."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase import cast
from tap_demandbase.blocks import doubles, moments
from tap_demandbase.blocks.bytes_view import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_demandbase.cast import Value

    Reader = Callable[[pa.ChunkedArray], pa.ChunkedArray | None]

_FIRST_DAY = pa.scalar(date.min).value
"""The first one that Python has; Arrow has a year 0."""


def read(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> pa.ChunkedArray | None:
    """Return the values of cells; ``None`` where there is doubt. Null stays null.

    Args:
        cells: UTF-8 as binary, of one column or several.
        to_value: What casts a cell.
    """
    texts = pa.chunked_array([chunk.view(pa.string()) for chunk in cells.chunks], pa.string())
    try:
        return _READERS[to_value](texts)
    except pa.ArrowInvalid:  # a cell that the parser does not take
        return None


def _integers(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    # Arrow takes 0x1F for a number, too.
    if any(mark in bytes_of(chunk) for chunk in texts.chunks for mark in (b"x", b"X")):
        return None
    return texts.cast(pa.int64())


def _booleans(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    values = pc.equal(texts, "true")
    are_words = pc.or_(values, pc.equal(texts, "false"))
    return values if pc.all(are_words, min_count=0).as_py() else None


def _dates(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    days = texts.cast(pa.date32())
    least: int | None = pc.min(days).value
    return days if least is None or least >= _FIRST_DAY else None


_READERS: dict[Callable[[str], Value], Reader] = {
    cast.to_integer: _integers,
    cast.to_number: doubles.read,
    cast.to_boolean: _booleans,
    cast.to_date: _dates,
    cast.to_date_time: moments.read,
}
