"""Encodes rows as lines of JSON: RECORD messages, or the records of a batch file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.arrow.values import byte_array, bytes_of
from tap_demandbase.cast import to_boolean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_demandbase.arrow.values import Column


_FIRST_PRINTABLE = 0x20

# Characters that JSON escapes. The backslash is first, since the other escapes contain it.
_ESCAPED = {b"\\": rb"\\", b'"': rb"\""}

_CONTROLS = {
    **{bytes([byte]): b"\\u%04x" % byte for byte in range(_FIRST_PRINTABLE)},
    b"\b": rb"\b",
    b"\f": rb"\f",
    b"\n": rb"\n",
    b"\r": rb"\r",
    b"\t": rb"\t",
}

# Unicode line ends, at which some readers split lines, by their first byte.
_LINE_ENDS = {
    b"\xc2": {"\x85".encode(): rb"\u0085"},
    b"\xe2": {"\u2028".encode(): rb"\u2028", "\u2029".encode(): rb"\u2029"},
}

_EMPTY = pa.scalar(b"")

_END = 2**31 - 1
"""An offset after the end of any text."""

_SAMPLE_ROWS = 64
_FEW_TEXTS = 16
"""A column with at most that many texts in so many rows is escaped text by text, not row by row."""

_MOST_CHOICES = 256
_MOST_CHOICE_BYTES = 4096
"""Combinations of values that are made for a block, and the size of one column's values."""

_TRUE = pa.scalar(b"true")

_MOST_CONSTANTS = 4096
"""Constant texts that are kept for the next block."""

_MOST_JOINED = 40
"""Arrays joined at once; joining in two steps copies all bytes once more."""


class RecordLines:
    """Encodes rows as JSON objects, one line each.

    Args:
        columns: The properties, in the order of the records.
        opening: Text before each object.
        closing: Returns the text after each object; called once a block.
    """

    is_typed = False

    def __init__(
        self, columns: Sequence[Column], opening: str = "", closing: Callable[[], str] = str
    ) -> None:
        self._columns = columns
        self._names = [
            f"{',' if number else '{'}{json.dumps(column.name)}:".encode()
            for number, column in enumerate(columns)
        ]
        self._opening = opening.encode()
        self._closing = closing

    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return a line for each row, including its line feed.

        Args:
            values: UTF-8 as binary, by property.
        """
        line = _Line(len(values[self._columns[0].name]))
        line.add(self._opening)
        for column, name in zip(self._columns, self._names, strict=True):
            array = values[column.name]
            quote = b'"' if column.is_text else b""
            line.add(name)
            if array.null_count == len(array):
                line.add(b"null")
            elif (choice := _choice(column, array, quote)) is not None:
                line.add_choice(choice)
            else:
                line.add_values(escape(array) if column.is_free_text else array, quote)
        line.add(f"}}{self._closing()}\n".encode())
        return line.joined()


def record_messages(stream: str, columns: Sequence[Column], version: int | None) -> RecordLines:
    """Return the encoder of RECORD messages in the SDK's format.

    Args:
        stream: Name of the stream.
        columns: The properties that are sent, in the order of the records.
        version: Version of the stream, if any.
    """
    opening = f'{{"type":"RECORD","stream":{json.dumps(stream)},"record":'
    middle = "" if version is None else f',"version":{version}'

    def closing() -> str:
        return f'{middle},"time_extracted":"{datetime.now(UTC).isoformat()}"}}'

    return RecordLines(columns, opening, closing)


def pieces(lines: pa.Array, first: int, every: int) -> Iterator[tuple[memoryview, int]]:
    """Yield the bytes and the number of lines, split where another message comes in between.

    Args:
        lines: Each with its line feed.
        first: Maximum number of lines in the first piece.
        every: Maximum number of lines in each further piece.
    """
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("i")[lines.offset : lines.offset + len(lines) + 1]
    start = 0
    stop = min(first, len(lines))
    while start < stop:
        yield memoryview(data)[ends[start] : ends[stop]], stop - start
        start, stop = stop, min(stop + every, len(lines))


def escape(texts: pa.Array) -> pa.Array:
    """Return texts with the escapes of a JSON string; null stays null.

    Args:
        texts: UTF-8 as binary.
    """
    escapes = _escapes(bytes_of(texts))
    if escapes and _seem_few(texts):
        encoded = texts.dictionary_encode()
        return _replaced(encoded.dictionary, escapes).take(encoded.indices)
    return _replaced(texts, escapes)


def _seem_few(texts: pa.Array) -> bool:
    return len(set(texts[:_SAMPLE_ROWS].to_pylist())) <= _FEW_TEXTS


def _replaced(texts: pa.Array, replacements: Mapping[bytes, bytes]) -> pa.Array:
    for text, replacement in replacements.items():
        texts = pc.replace_substring(texts, text, replacement)
    return texts


def _escapes(data: bytes) -> dict[bytes, bytes]:
    """Return the replacements that some bytes need."""
    needed = {mark: replacement for mark, replacement in _ESCAPED.items() if mark in data}
    if _lowest(data) < _FIRST_PRINTABLE:
        needed |= {
            control: replacement for control, replacement in _CONTROLS.items() if control in data
        }
    if not data.isascii():
        for first, ends in _LINE_ENDS.items():
            if first in data:
                needed |= {end: replacement for end, replacement in ends.items() if end in data}
    return needed


def _lowest(data: bytes) -> int:
    lowest: int | None = pc.min(byte_array(data)).as_py()
    return _FIRST_PRINTABLE if lowest is None else lowest


# Functions and options are looked up once: for a block, Arrow's wrappers take as long as rows.
_REPLACE_SLICE = pc.get_function("binary_replace_slice")
_COALESCE = pc.get_function("coalesce")
_JOIN = pc.get_function("binary_join_element_wise")


@dataclass(frozen=True, slots=True)
class _Choice:
    """A column of few values.

    Args:
        texts: What they are in JSON.
        indices: Number of each row's text.
    """

    texts: Sequence[bytes]
    indices: pa.Int32Array


def _choice(column: Column, values: pa.Array, quote: bytes) -> _Choice | None:
    """Return a column as one of few values; ``None`` if it has many."""
    if column.to_value is to_boolean:
        texts = [b"false", b"true"]
        indices = pc.equal(values, _TRUE).cast(pa.int32())
    elif column.is_free_text and _seem_few(values):
        encoded = values.dictionary_encode()
        distinct = encoded.dictionary
        if len(distinct) >= _MOST_CHOICES or distinct.nbytes > _MOST_CHOICE_BYTES:
            return None
        texts = [quote + text + quote for text in escape(distinct).to_pylist()]
        indices = encoded.indices
    else:
        return None
    if values.null_count:
        indices = pc.fill_null(indices, len(texts))
        texts.append(b"null")
    return _Choice(texts, indices)


class _Line:
    """Builds a line for each row, from left to right.

    What is between two columns of many values, constants and columns of few values, is made once
    for each combination: to put a constant before each value costs as much as to join a column.

    Args:
        rows: Number of rows.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._arrays: list[pa.Array | pa.Scalar] = []
        self._texts = [b""]
        self._indices: pa.Int32Array | None = None

    def add(self, text: bytes) -> None:
        """Add a constant."""
        self._texts = [before + text for before in self._texts]

    def add_choice(self, choice: _Choice) -> None:
        """Add a column of few values."""
        if len(self._texts) * len(choice.texts) > min(self._rows, _MOST_CHOICES):
            self._finish_texts()
        self._texts = [before + text for before in self._texts for text in choice.texts]
        if self._indices is None:
            self._indices = choice.indices
        else:
            count = pa.scalar(len(choice.texts), pa.int32())
            self._indices = pc.add(pc.multiply(self._indices, count), choice.indices)

    def add_values(self, values: pa.Array, quote: bytes) -> None:
        """Add a column of many values, each but null in quotes."""
        if not values.null_count:
            self.add(quote)
        if self._indices is not None:
            self._finish_texts()
        (start,) = self._texts
        if values.null_count:
            values = _with_end(_with_start(values, start + quote), quote)
            self._arrays.append(_with_null(values, start + b"null"))
            self._texts = [b""]
        else:
            self._arrays.append(_with_start(values, start))
            self._texts = [quote]

    def joined(self) -> pa.Array:
        """Return the lines."""
        if self._indices is None and not self._arrays:
            return pa.repeat(pa.scalar(self._texts[0]), self._rows)
        self._finish_texts()
        arrays = self._arrays
        while len(arrays) > _MOST_JOINED:
            arrays = [
                _join(arrays[first : first + _MOST_JOINED])
                for first in range(0, len(arrays), _MOST_JOINED)
            ]
        return _join(arrays)

    def _finish_texts(self) -> None:
        if self._indices is None:
            (text,) = self._texts
            self._arrays.append(pa.scalar(text))
        else:
            self._arrays.append(pa.array(self._texts, pa.binary()).take(self._indices))
        self._texts, self._indices = [b""], None


def _with_start(texts: pa.Array, start: bytes) -> pa.Array:
    """Return texts with a constant before each; null stays null."""
    return _REPLACE_SLICE.call([texts], _insertion(0, start)) if start else texts


def _with_end(texts: pa.Array, end: bytes) -> pa.Array:
    """Return texts with a constant after each; null stays null."""
    return _REPLACE_SLICE.call([texts], _insertion(_END, end)) if end else texts


def _with_null(texts: pa.Array, null: bytes) -> pa.Array:
    """Return texts with a constant in place of null."""
    return _COALESCE.call([texts, _scalar(null)])


@lru_cache(_MOST_CONSTANTS)
def _insertion(place: int, text: bytes) -> pc.ReplaceSliceOptions:
    return pc.ReplaceSliceOptions(place, place, text)


@lru_cache(_MOST_CONSTANTS)
def _scalar(text: bytes) -> pa.Scalar:
    return pa.scalar(text)


def _join(arrays: Sequence[pa.Array | pa.Scalar]) -> pa.Array:
    return _JOIN.call([*arrays, _EMPTY])
