"""Converts columns of cells to columns of values: canonical texts, or values of Arrow types.

Each value equals what ``cast`` returns for its cell. The canonical text of a value is the one that
RECORD messages have: ``7``, ``1.50``, ``true``, ``2026-01-31``, ``2026-01-31T00:00:00Z``.

The sections: a property's column, values of Arrow types, canonical texts, arrays of bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase import cast
from tap_demandbase.arrow.spellings import (
    CANONICAL,
    CANONICAL_BYTES,
    FIRST_TIMESTAMP,
    LAST_TIMESTAMP,
    rewritten,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Buffer

    from tap_demandbase.cast import Value

    Reader = Callable[[pa.ChunkedArray], pa.ChunkedArray | None]

_DATE_BYTES = len("2026-01-01")

_TIMESTAMP_PATTERN = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?\z"
)
"""Texts that both Arrow and ``cast`` read; Arrow would read hours without minutes, too."""

_UTC = pa.timestamp("us", "UTC")
_NAIVE = pa.timestamp("us")

_FIRST_DAY = pa.scalar(date.min).value
"""Python's first day; Arrow has a year 0."""

_INTEGER_BYTES = b"-0123456789"

_EXACT_DIGITS = 15
"""A decimal number of up to 15 characters without an exponent is exact as a double."""


@dataclass(frozen=True, slots=True)
class Column:
    """A property and the function that casts its cells.

    Args:
        name: Name of the property.
        to_value: Casts one cell.
    """

    name: str
    to_value: Callable[[str], Value]

    @classmethod
    def from_schema(cls, name: str, schema: Mapping[str, Any]) -> Column:
        """Return the column of a property with a JSON Schema."""
        return cls(name, cast.caster(schema))

    @property
    def is_free_text(self) -> bool:
        """Whether cells may hold any text."""
        return self.to_value is cast.to_string

    @property
    def is_text(self) -> bool:
        """Whether the values are strings in JSON."""
        return self.to_value in {cast.to_string, cast.to_date, cast.to_date_time}


def convert(columns: Sequence[Column], cells: pa.Table, *, typed: bool = False) -> dict[str, Any]:
    """Return the values of all columns by name.

    Args:
        columns: The columns.
        cells: UTF-8 as binary, by column.
        typed: Whether to return values of Arrow types if these are exact, instead of canonical
            texts.

    Raises:
        ValueError: A cell does not fit; the error does not quote it.
    """
    found = {name: _combined(cells.column(name)) for name in cells.column_names}
    rows = cells.num_rows
    for to_value in {column.to_value for column in columns if not column.is_free_text}:
        alike = [column for column in columns if column.to_value is to_value]
        # All columns of a type in one array: a call costs as much as some hundred cells, even a
        # call for each chunk.
        array = pa.concat_arrays([found[column.name] for column in alike])
        together = pa.chunked_array([array], pa.binary())
        values = read_typed(together, to_value) if typed else None
        if values is not None:
            array = _combined(values)
        elif to_value is cast.to_number:
            # The same expression proves them and finds those to rewrite.
            array = rewritten(array, to_value)
        elif typed or not are_canonical(together, to_value):
            # A writer has one spelling a column.
            for column in alike:
                found[column.name] = rewritten(found[column.name], to_value)
            continue
        else:
            continue
        for number, column in enumerate(alike):
            found[column.name] = array.slice(number * rows, rows)
    return found


def read_typed(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> pa.ChunkedArray | None:
    """Return the values of cells; ``None`` if one might not be exact. Null stays null.

    Args:
        cells: UTF-8 as binary, of one column or several.
        to_value: Casts a cell.
    """
    texts = pa.chunked_array([chunk.view(pa.string()) for chunk in cells.chunks], pa.string())
    try:
        return _READERS[to_value](texts)
    except pa.ArrowInvalid:  # Arrow cannot parse a cell
        return None


def _read_int64(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    # Arrow reads hexadecimal numbers, too; and a cell that it rejects takes it a microsecond.
    if any(bytes_of(chunk).translate(None, _INTEGER_BYTES) for chunk in texts.chunks):
        return None
    return texts.cast(pa.int64())


def read_float64(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return numbers as float64; ``None`` if one loses a digit, or ``cast`` cannot read it.

    Raises:
        pa.ArrowInvalid: Arrow cannot read one of them.
    """
    numbers = texts.cast(pa.float64())
    is_exact = pc.all(pc.is_finite(numbers), min_count=0).as_py() and _are_exact(texts, numbers)
    return numbers if is_exact else None


def _are_exact(texts: pa.ChunkedArray, numbers: pa.ChunkedArray) -> bool:
    lengths = pc.binary_length(texts)
    longest = pc.max(lengths).as_py()
    if longest is None or (longest <= _EXACT_DIGITS and not _have(texts, b"e", b"E")):
        return True
    doubtful = pc.or_(
        pc.greater(lengths, _EXACT_DIGITS), pc.match_substring(texts, "e", ignore_case=True)
    )
    pairs = zip(
        texts.filter(doubtful).to_pylist(), numbers.filter(doubtful).to_pylist(), strict=True
    )
    try:
        return all(Decimal(repr(number)) == cast.to_number(text) for text, number in pairs)
    except ValueError:
        return False


def _read_booleans(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    values = pc.equal(texts, "true")
    are_words = pc.or_(values, pc.equal(texts, "false"))
    return values if pc.all(are_words, min_count=0).as_py() else None


def _read_dates(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    if not _have_length(texts, _DATE_BYTES):
        return None
    days = texts.cast(pa.date32())
    least: int | None = pc.min(days).value
    return days if least is None or least >= _FIRST_DAY else None


def read_timestamps(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return timestamps in microseconds, in UTC; ``None`` if Arrow might read one differently.

    Args:
        texts: All with an offset or Z, or none, which means UTC.

    Raises:
        pa.ArrowInvalid: One of them is no valid timestamp.
    """
    if not _have_length(texts, CANONICAL_BYTES) and not _match_pattern(texts):
        return None
    # A cast that fails takes Arrow a microsecond a cell.
    kind = _UTC if _has_offset(pc.first(texts).as_py()) else _NAIVE
    timestamps = texts.cast(kind).cast(_UTC)
    least, most = (bound.value for bound in pc.min_max(timestamps).values())
    is_in_range = least is None or (least >= FIRST_TIMESTAMP and most <= LAST_TIMESTAMP)
    return timestamps if is_in_range else None


def _have_length(texts: pa.ChunkedArray, length: int) -> bool:
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    return set(lengths.values()) <= {length, None}


def _match_pattern(texts: pa.ChunkedArray) -> bool:
    found: bool = pc.all(pc.match_substring_regex(texts, _TIMESTAMP_PATTERN), min_count=0).as_py()
    return found


def _has_offset(text: str | None) -> bool:
    time = text[_DATE_BYTES:] if text else ""
    return any(mark in time for mark in "Z+-")


_READERS: dict[Callable[[str], Value], Reader] = {
    cast.to_integer: _read_int64,
    cast.to_number: read_float64,
    cast.to_boolean: _read_booleans,
    cast.to_date: _read_dates,
    cast.to_date_time: read_timestamps,
}


def are_canonical(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> bool:
    """Return whether all cells are canonical texts; false in case of doubt.

    Args:
        cells: UTF-8 as binary, of one column or several; null counts as canonical.
        to_value: Casts a cell.
    """
    return _CHECKS[to_value](cells)


def _is_readable(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> bool:
    return read_typed(cells, to_value) is not None


def _are_canonical_integers(cells: pa.ChunkedArray) -> bool:
    return (
        _is_readable(cells, cast.to_integer)
        # In whole numbers, a minus is at the start.
        and not _have(cells, b"-0")
        and _count(pc.starts_with(cells, b"0")) == _count(pc.equal(cells, pa.scalar(b"0")))
    )


def _are_canonical_numbers(cells: pa.ChunkedArray) -> bool:
    return _all(pc.match_substring_regex(cells, CANONICAL[cast.to_number]))


def _are_canonical_timestamps(cells: pa.ChunkedArray) -> bool:
    return (
        _have_length(cells, CANONICAL_BYTES)
        and not _have(cells, b" ")
        and _is_readable(cells, cast.to_date_time)
    )


_CHECKS: dict[Callable[[str], Value], Callable[[pa.ChunkedArray], bool]] = {
    cast.to_integer: _are_canonical_integers,
    cast.to_number: _are_canonical_numbers,
    cast.to_boolean: partial(_is_readable, to_value=cast.to_boolean),
    cast.to_date: partial(_is_readable, to_value=cast.to_date),
    cast.to_date_time: _are_canonical_timestamps,
}


def _all(found: pa.ChunkedArray) -> bool:
    return bool(pc.all(found, min_count=0).as_py())


def _have(cells: pa.ChunkedArray, *marks: bytes) -> bool:
    """Return whether the bytes of the cells, one after the other, include a mark."""
    return any(mark in bytes_of(chunk) for chunk in cells.chunks for mark in marks)


def _count(found: pa.ChunkedArray) -> int:
    count: int | None = pc.sum(found).as_py()
    return count or 0


def _combined(cells: pa.ChunkedArray) -> pa.Array:
    # combine_chunks() copies even a single chunk.
    return cells.chunk(0) if cells.num_chunks == 1 else cells.combine_chunks()


def single_value(data: bytes | bytearray, kind: pa.DataType) -> pa.Array:
    """Return an array whose only value is all of the bytes."""
    offsets = (0).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def byte_array(data: Buffer) -> pa.UInt8Array:
    """Return an array with one value for each byte."""
    view = memoryview(data)
    return pa.Array.from_buffers(pa.uint8(), len(view), [None, pa.py_buffer(view)])


def bytes_of(texts: pa.Array) -> bytes:
    """Return the bytes of all texts, concatenated; bytes of a larger array may be included."""
    buffer = texts.buffers()[2]
    return b"" if buffer is None else buffer.to_pybytes()
