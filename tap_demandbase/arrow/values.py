"""From columns of cells to columns of values: texts in their one form, or of Arrow's types.

Each is what ``cast`` makes of its cell.
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

FORM_BYTES = len("2026-01-01T00:00:00Z")
"""Of this length, Arrow takes nothing but the one form and a blank in it for the T."""

_DATE_BYTES = len("2026-01-01")

_END = 64
"""Behind the last letter of any."""

_USUAL = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?\z"
)
"""What Arrow and casting both take; Arrow would take hours without minutes, too."""

_UTC = pa.timestamp("us", "UTC")

_NAIVE = pa.timestamp("us")

_FIRST = pa.scalar("0001-01-01").cast(_NAIVE).value

_LAST = pa.scalar("9999-12-31T23:59:59.999999").cast(_NAIVE).value
"""Those that Python has; Arrow has more."""


def are_of_length(texts: pa.ChunkedArray) -> bool:
    """Return whether all date-times are as long as the one form."""
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    return set(lengths.values()) <= {FORM_BYTES, None}


def read_timestamps(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return moments of UTC in microseconds; ``None`` where there is doubt.

    Args:
        texts: All with an offset or Z, or none, which means UTC.

    Raises:
        pa.ArrowInvalid: One is none of the calendar.
    """
    if not are_of_length(texts) and not _are_usual(texts):
        return None
    # To try what fails takes Arrow a microsecond a cell.
    moments = texts.cast(_UTC if _has_offset(pc.first(texts).as_py()) else _NAIVE).cast(_UTC)
    least, most = (bound.value for bound in pc.min_max(moments).values())
    return moments if least is None or (least >= _FIRST and most <= _LAST) else None


def texts_of(moments: pa.Array) -> pa.Array:
    """Return moments of UTC in the one form, as binary: with a fraction where it is not zero."""
    # With its zone, Arrow writes a moment twenty times as slowly.
    naive = moments.cast(_NAIVE)
    seconds = naive.cast(pa.timestamp("s"), safe=False)
    are_whole = pc.equal(seconds.cast(_NAIVE), naive)
    return pc.if_else(are_whole, _texts_of(seconds), _texts_of(naive))


def _are_usual(texts: pa.ChunkedArray) -> bool:
    found: bool = pc.all(pc.match_substring_regex(texts, _USUAL), min_count=0).as_py()
    return found


def _has_offset(text: str | None) -> bool:
    time = text[_DATE_BYTES:] if text else ""
    return any(mark in time for mark in "Z+-")


def _texts_of(moments: pa.Array) -> pa.Array:
    """Return moments without a zone as Arrow writes them, but with T and Z."""
    texts = moments.cast(pa.string()).view(pa.binary())
    return pc.binary_replace_slice(
        pc.binary_replace_slice(texts, _DATE_BYTES, _DATE_BYTES + 1, b"T"), _END, _END, b"Z"
    )


def cell(data: bytes | bytearray, kind: pa.DataType) -> pa.Array:
    """Return an array whose one cell is all of the bytes."""
    offsets = (0).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def each_byte(data: Buffer) -> pa.UInt8Array:
    """Return an array whose cells are the bytes."""
    view = memoryview(data)
    return pa.Array.from_buffers(pa.uint8(), len(view), [None, pa.py_buffer(view)])


def bytes_of(texts: pa.Array) -> bytes:
    """Return what all texts hold, one behind the other; what is around them may come along."""
    buffer = texts.buffers()[2]
    return b"" if buffer is None else buffer.to_pybytes()


_SURE_LENGTH = 15
"""A decimal of so many digits comes out of a double as it went in, if it has no exponent."""


def read_float64(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return numbers as doubles; ``None`` where one loses a digit, or is none that casting takes.

    Raises:
        pa.ArrowInvalid: Arrow takes one for no number.
    """
    doubles = texts.cast(pa.float64())
    is_exact = pc.all(pc.is_finite(doubles), min_count=0).as_py() and _are_exact(texts, doubles)
    return doubles if is_exact else None


def _are_exact(texts: pa.ChunkedArray, doubles: pa.ChunkedArray) -> bool:
    lengths = pc.binary_length(texts)
    longest = pc.max(lengths).as_py()
    if longest is None or (longest <= _SURE_LENGTH and not _has_exponents(texts)):
        return True
    doubtful = pc.or_(
        pc.greater(lengths, _SURE_LENGTH), pc.match_substring(texts, "e", ignore_case=True)
    )
    pairs = zip(
        texts.filter(doubtful).to_pylist(), doubles.filter(doubtful).to_pylist(), strict=True
    )
    try:
        return all(Decimal(repr(double)) == cast.to_number(text) for text, double in pairs)
    except ValueError:
        return False


def _has_exponents(texts: pa.ChunkedArray) -> bool:
    return any(mark in bytes_of(chunk) for chunk in texts.chunks for mark in (b"e", b"E"))


_FIRST_DAY = pa.scalar(date.min).value
"""The first one that Python has; Arrow has a year 0."""


def read_typed(cells: pa.ChunkedArray, to_value: Callable[[str], Value]) -> pa.ChunkedArray | None:
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
    cast.to_number: read_float64,
    cast.to_boolean: _booleans,
    cast.to_date: _dates,
    cast.to_date_time: read_timestamps,
}

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
    return read_typed(cells, to_value) is not None


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
        are_of_length(cells)
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


@dataclass(frozen=True, slots=True)
class Column:
    """A property and how its cells are cast.

    Args:
        name: The property.
        to_value: What casts one cell.
    """

    name: str
    to_value: Callable[[str], Value]

    @classmethod
    def from_schema(cls, name: str, schema: Mapping[str, Any]) -> Column:
        """Return the column of a property with a JSON Schema."""
        return cls(name, cast.caster(schema))

    @property
    def is_free_text(self) -> bool:
        """Whether any text may be in a cell."""
        return self.to_value is cast.to_string

    @property
    def is_text(self) -> bool:
        """Whether its values are texts in JSON."""
        return self.to_value in {cast.to_string, cast.to_date, cast.to_date_time}

    def values(self, cells: pa.Array) -> pa.Array:
        """Return the values of cells as texts in their one form; null stays null.

        Args:
            cells: UTF-8 as binary.

        Raises:
            ValueError: A cell does not fit; the error does not hold it.
        """
        if self.is_free_text:
            return cells
        if self.to_value is cast.to_date_time:
            read = read_typed(pa.chunked_array([cells]), self.to_value)
            if read is not None:
                return texts_of(_in_one(read))
        fits = pc.match_substring_regex(cells, PATTERNS[self.to_value])
        if pc.all(fits).as_py():  # of no cell: true
            return cells
        odd = pc.fill_null(pc.invert(fits), False)  # noqa: FBT003 - Arrow's own argument
        texts = cells.filter(odd)
        return pc.replace_with_mask(cells, odd, self._cast(texts))

    def _cast(self, texts: pa.Array) -> pa.Array:
        """Cast cells one by one, each text once."""
        coded = texts.dictionary_encode()
        words = [self.to_value(text.decode()) for text in coded.dictionary.to_pylist()]
        return pa.array([_form(word).encode() for word in words], pa.binary()).take(coded.indices)


def values_of(
    columns: Sequence[Column], cells: pa.Table, *, typed: bool = False
) -> dict[str, pa.Array]:
    """Return the values of all columns by name.

    Args:
        columns: The columns.
        cells: UTF-8 as binary, by column.
        typed: Whether they are of Arrow's types where these are exact; else, they are texts in
            their one form.

    Raises:
        ValueError: A cell does not fit; the error does not hold it.
    """
    found = {name: _in_one(cells.column(name)) for name in cells.column_names}
    rows = cells.num_rows
    for to_value in {column.to_value for column in columns if not column.is_free_text}:
        alike = [column for column in columns if column.to_value is to_value]
        # All columns of a type at once: a call costs as much as some hundred cells.
        together = pa.chunked_array([found[column.name] for column in alike], pa.binary())
        if typed and (values := read_typed(together, to_value)) is not None:
            for number, column in enumerate(alike):
                found[column.name] = _in_one(values.slice(number * rows, rows))
        elif typed or not are_in_form(together, to_value):
            found |= {column.name: column.values(found[column.name]) for column in alike}
    return found


def _in_one(cells: pa.ChunkedArray) -> pa.Array:
    # Combining copies, even where there is nothing to combine.
    return cells.chunk(0) if cells.num_chunks == 1 else cells.combine_chunks()


def _form(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
