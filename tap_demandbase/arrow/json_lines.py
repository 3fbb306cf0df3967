"""Encodes rows as lines of JSON: RECORD messages, or the records of a batch file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.arrow.values import byte_array, bytes_of

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

_SAMPLE_ROWS = 128
_FEW_TEXTS = 32
"""A column with at most that many texts in so many rows is escaped text by text, not row by row."""

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
        self._names = [json.dumps(column.name) + ":" for column in columns]
        self._opening = opening
        self._closing = closing

    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return a line for each row, including its line feed.

        Args:
            values: UTF-8 as binary, by property.
        """
        arrays: list[pa.Array | pa.Scalar] = []
        constant = self._opening + "{"
        for number, (column, name) in enumerate(zip(self._columns, self._names, strict=True)):
            array = values[column.name]
            constant += f",{name}" if number else name
            if array.null_count == len(array):
                constant += "null"
                continue
            if column.is_free_text:
                array = escape(array)
            quote = '"' if column.is_text else ""
            if array.null_count:
                array = _with_null(
                    _with_end(_with_start(array, constant + quote), quote), constant + "null"
                )
                constant = ""
            else:
                array = _with_start(array, constant + quote)
                constant = quote
            arrays.append(array)
        arrays.append(pa.scalar(f"{constant}}}{self._closing()}\n".encode()))
        if len(arrays) == 1:
            return pa.repeat(arrays[0], len(values[self._columns[0].name]))
        while len(arrays) > _MOST_JOINED:
            arrays = [
                _join(arrays[first : first + _MOST_JOINED])
                for first in range(0, len(arrays), _MOST_JOINED)
            ]
        return _join(arrays)


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
    if escapes and pc.count_distinct(texts[:_SAMPLE_ROWS]).as_py() <= _FEW_TEXTS:
        encoded = texts.dictionary_encode()
        return _replaced(encoded.dictionary, escapes).take(encoded.indices)
    return _replaced(texts, escapes)


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


def _with_start(texts: pa.Array, start: str) -> pa.Array:
    """Return texts with a constant before each; null stays null."""
    return _REPLACE_SLICE.call([texts], _insertion(0, start))


def _with_end(texts: pa.Array, end: str) -> pa.Array:
    """Return texts with a constant after each; null stays null."""
    return _REPLACE_SLICE.call([texts], _insertion(_END, end)) if end else texts


def _with_null(texts: pa.Array, null: str) -> pa.Array:
    """Return texts with a constant in place of null."""
    return _COALESCE.call([texts, _scalar(null)])


@lru_cache(_MOST_CONSTANTS)
def _insertion(place: int, text: str) -> pc.ReplaceSliceOptions:
    return pc.ReplaceSliceOptions(place, place, text.encode())


@lru_cache(_MOST_CONSTANTS)
def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text.encode())


def _join(arrays: Sequence[pa.Array | pa.Scalar]) -> pa.Array:
    return _JOIN.call([*arrays, _EMPTY])
