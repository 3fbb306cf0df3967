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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Buffer

    from tap_demandbase.cast import Value

    Reader = Callable[[pa.ChunkedArray], pa.ChunkedArray | None]

CANONICAL_BYTES = len("2026-01-01T00:00:00Z")
"""Of texts of this length, Arrow reads only the canonical ones, and those with a space for T."""

_DATE_BYTES = len("2026-01-01")

_END = 64
"""An offset after the end of any timestamp."""

_TIMESTAMP_PATTERN = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?\z"
)
"""Texts that both Arrow and ``cast`` read; Arrow would read hours without minutes, too."""

_UTC = pa.timestamp("us", "UTC")
_NAIVE = pa.timestamp("us")

_FIRST_TIMESTAMP = pa.scalar("0001-01-01").cast(_NAIVE).value
_LAST_TIMESTAMP = pa.scalar("9999-12-31T23:59:59.999999").cast(_NAIVE).value
"""Python's first and last timestamp; Arrow has earlier and later ones."""

_FIRST_DAY = pa.scalar(date.min).value
"""Python's first day; Arrow has a year 0."""

_EXACT_DIGITS = 15
"""A decimal number of up to 15 characters without an exponent is exact as a double."""

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

CANONICAL: dict[Callable[[str], Value], str] = {
    cast.to_integer: r"\A(?:0|-?[1-9][0-9]{0,99})\z",
    cast.to_number: r"\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\z",
    cast.to_boolean: r"\A(?:true|false)\z",
    cast.to_date: rf"\A{_DATE}\z",
    cast.to_date_time: rf"\A{_DATE}T{_TIME}Z\z",
}
"""Regular expression (RE2) of canonical texts, by the function that casts a cell."""


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

    def canonical(self, cells: pa.Array) -> pa.Array:
        """Return the values of cells as canonical texts; null stays null.

        Args:
            cells: UTF-8 as binary.

        Raises:
            ValueError: A cell does not fit; the error does not quote it.
        """
        if self.is_free_text:
            return cells
        if self.to_value is cast.to_date_time:
            timestamps = read_typed(pa.chunked_array([cells]), self.to_value)
            if timestamps is not None:
                return format_timestamps(_combined(timestamps))
        fits = pc.match_substring_regex(cells, CANONICAL[self.to_value])
        if pc.all(fits).as_py():  # true for no cells
            return cells
        odd = pc.fill_null(pc.invert(fits), False)  # noqa: FBT003 - Arrow's own argument
        texts = cells.filter(odd)
        return pc.replace_with_mask(cells, odd, self._cast(texts))

    def _cast(self, texts: pa.Array) -> pa.Array:
        """Cast cells one by one, each distinct text once."""
        encoded = texts.dictionary_encode()
        values = [self.to_value(text.decode()) for text in encoded.dictionary.to_pylist()]
        canonical = pa.array([_canonical(value).encode() for value in values], pa.binary())
        return canonical.take(encoded.indices)


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
        # All columns of a type at once: a call costs as much as some hundred cells.
        together = pa.chunked_array([found[column.name] for column in alike], pa.binary())
        if typed and (values := read_typed(together, to_value)) is not None:
            for number, column in enumerate(alike):
                found[column.name] = _combined(values.slice(number * rows, rows))
        elif typed or not are_canonical(together, to_value):
            found |= {column.name: column.canonical(found[column.name]) for column in alike}
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
    # Arrow reads hexadecimal numbers, too.
    if any(mark in bytes_of(chunk) for chunk in texts.chunks for mark in (b"x", b"X")):
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
    if longest is None or (longest <= _EXACT_DIGITS and not _has_exponents(texts)):
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


def _has_exponents(texts: pa.ChunkedArray) -> bool:
    return any(mark in bytes_of(chunk) for chunk in texts.chunks for mark in (b"e", b"E"))


def _read_booleans(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    values = pc.equal(texts, "true")
    are_words = pc.or_(values, pc.equal(texts, "false"))
    return values if pc.all(are_words, min_count=0).as_py() else None


def _read_dates(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
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
    if not _have_canonical_length(texts) and not _match_pattern(texts):
        return None
    # A cast that fails takes Arrow a microsecond a cell.
    kind = _UTC if _has_offset(pc.first(texts).as_py()) else _NAIVE
    timestamps = texts.cast(kind).cast(_UTC)
    least, most = (bound.value for bound in pc.min_max(timestamps).values())
    is_in_range = least is None or (least >= _FIRST_TIMESTAMP and most <= _LAST_TIMESTAMP)
    return timestamps if is_in_range else None


def _have_canonical_length(texts: pa.ChunkedArray) -> bool:
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    return set(lengths.values()) <= {CANONICAL_BYTES, None}


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


def format_timestamps(timestamps: pa.Array) -> pa.Array:
    """Return UTC timestamps as canonical texts, as binary, with a fraction if it is not zero."""
    # With a time zone, Arrow's formatting takes twenty times as long.
    naive = timestamps.cast(_NAIVE)
    seconds = naive.cast(pa.timestamp("s"), safe=False)
    are_whole = pc.equal(seconds.cast(_NAIVE), naive)
    return pc.if_else(are_whole, _format_naive(seconds), _format_naive(naive))


def _format_naive(timestamps: pa.Array) -> pa.Array:
    """Return timestamps without a time zone in Arrow's format, but with T and Z."""
    texts = timestamps.cast(pa.string()).view(pa.binary())
    return pc.binary_replace_slice(
        pc.binary_replace_slice(texts, _DATE_BYTES, _DATE_BYTES + 1, b"T"), _END, _END, b"Z"
    )


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
        and not _any(pc.starts_with(cells, b"-0"))
        and _count(pc.starts_with(cells, b"0")) == _count(pc.equal(cells, pa.scalar(b"0")))
    )


def _are_canonical_numbers(cells: pa.ChunkedArray) -> bool:
    return _all(pc.match_substring_regex(cells, CANONICAL[cast.to_number]))


def _are_canonical_timestamps(cells: pa.ChunkedArray) -> bool:
    return (
        _have_canonical_length(cells)
        and _is_readable(cells, cast.to_date_time)
        and _all(pc.match_substring(cells, b"T"))
    )


_CHECKS: dict[Callable[[str], Value], Callable[[pa.ChunkedArray], bool]] = {
    cast.to_integer: _are_canonical_integers,
    cast.to_number: _are_canonical_numbers,
    cast.to_boolean: partial(_is_readable, to_value=cast.to_boolean),
    cast.to_date: partial(_is_readable, to_value=cast.to_date),
    cast.to_date_time: _are_canonical_timestamps,
}


def _canonical(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _all(found: pa.ChunkedArray) -> bool:
    return bool(pc.all(found, min_count=0).as_py())


def _any(found: pa.ChunkedArray) -> bool:
    return bool(pc.any(found, min_count=0).as_py())


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
