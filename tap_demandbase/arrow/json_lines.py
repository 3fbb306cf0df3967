"""Encodes rows as lines of JSON: RECORD messages, or the records of a batch file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
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

_NULL_AS_WORD = pc.JoinOptions(null_handling="replace", null_replacement="null")

_MOST_JOINED = 16
"""Arrays joined at once. With sixty, each takes a quarter longer: they exceed the caches."""


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
        self._opening = opening
        self._closing = closing

    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return a line for each row, including its line feed.

        Args:
            values: UTF-8 as binary, by property.
        """
        arrays: list[pa.Array | pa.Scalar] = []
        before, between = _NO_QUOTES, self._opening + "{"
        for column in self._columns:
            array = values[column.name]
            after = _Quotes('"', _are_null(array)) if column.is_text else _NO_QUOTES
            between += json.dumps(column.name) + ":"
            arrays.append(_separator(before, between, after))
            arrays.append(escape(array) if column.is_free_text else array)
            before, between = after, ","
        arrays.append(_separator(before, "}" + self._closing() + "\n", _NO_QUOTES))
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
    for text, replacement in _escapes(bytes_of(texts)).items():
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


@dataclass(frozen=True, slots=True)
class _Quotes:
    """The quotes on both sides of a column's values."""

    quote: str = ""
    """Written next to values that are not null."""
    are_null: pa.Array | None = None
    """Whether each value is null; ``None`` if none is."""

    def choose(
        self, at_value: pa.Array | pa.Scalar, at_null: pa.Array | pa.Scalar
    ) -> pa.Array | pa.Scalar:
        """Return for each row one of two texts, by whether its value is null."""
        if self.are_null is None:
            return at_value
        return pc.if_else(self.are_null, at_null, at_value)


_NO_QUOTES = _Quotes()


def _are_null(values: pa.Array) -> pa.Array | None:
    return values.is_null() if values.null_count else None


def _separator(before: _Quotes, between: str, after: _Quotes) -> pa.Array | pa.Scalar:
    """Return the texts between the values of two columns; a scalar if all are equal.

    Args:
        before: Quotes of the first column.
        between: Text between the quotes.
        after: Quotes of the second column.
    """

    def with_first(quote: str) -> pa.Array | pa.Scalar:
        return after.choose(_scalar(quote + between + after.quote), _scalar(quote + between))

    at_value = with_first(before.quote)
    return at_value if before.are_null is None else before.choose(at_value, with_first(""))


def _join(arrays: Sequence[pa.Array | pa.Scalar]) -> pa.Array:
    return pc.binary_join_element_wise(*arrays, _EMPTY, options=_NULL_AS_WORD)


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text.encode())
