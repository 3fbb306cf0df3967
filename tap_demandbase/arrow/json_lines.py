"""From columns of values to lines of JSON, one for each row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.arrow.values import bytes_of, each_byte

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_demandbase.arrow.values import Column


_FIRST_PLAIN = 0x20

# What JSON does not have in a text as it is; the backslash first, since the others bring it in.
_MARKS = {b"\\": rb"\\", b'"': rb"\""}

_CONTROLS = {
    **{bytes([byte]): b"\\u%04x" % byte for byte in range(_FIRST_PLAIN)},
    b"\b": rb"\b",
    b"\f": rb"\f",
    b"\n": rb"\n",
    b"\r": rb"\r",
    b"\t": rb"\t",
}

# Line ends of Unicode, which some readers of lines take for such; by the byte that they begin with.
_LINE_ENDS = {
    b"\xc2": {"\x85".encode(): rb"\u0085"},
    b"\xe2": {"\u2028".encode(): rb"\u2028", "\u2029".encode(): rb"\u2029"},
}


def escaped(texts: pa.Array) -> pa.Array:
    """Return texts with all escaped that has to be; null stays null.

    Args:
        texts: UTF-8 as binary.
    """
    for text, escape in _escapes(bytes_of(texts)).items():
        texts = pc.replace_substring(texts, text, escape)
    return texts


def _escapes(data: bytes) -> dict[bytes, bytes]:
    """Return what has to be replaced in some bytes, and by what."""
    needed = {mark: escape for mark, escape in _MARKS.items() if mark in data}
    if _lowest(data) < _FIRST_PLAIN:
        needed |= {control: escape for control, escape in _CONTROLS.items() if control in data}
    if not data.isascii():
        for first, ends in _LINE_ENDS.items():
            if first in data:
                needed |= {end: escape for end, escape in ends.items() if end in data}
    return needed


def _lowest(data: bytes) -> int:
    lowest: int | None = pc.min(each_byte(data)).as_py()
    return _FIRST_PLAIN if lowest is None else lowest


_NOTHING = pa.scalar(b"")

_NULL_AS_WORD = pc.JoinOptions(null_handling="replace", null_replacement="null")

_TOGETHER = 16
"""Pieces that are joined at once. Of sixty, each costs a quarter more: they leave the caches."""


class RecordLines:
    """Writes rows as JSON objects.

    Args:
        columns: The properties, in the order of the records.
        opening: Text before each object.
        closing: Returns the text behind each object; called once a block.
    """

    is_typed = False

    def __init__(
        self, columns: Sequence[Column], opening: str = "", closing: Callable[[], str] = str
    ) -> None:
        self._columns = columns
        self._opening = opening
        self._closing = closing

    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return a line for each row, its line feed included.

        Args:
            values: UTF-8 as binary, by property.
        """
        pieces: list[pa.Array | pa.Scalar] = []
        behind, between = _NO_QUOTES, self._opening + "{"
        for column in self._columns:
            array = values[column.name]
            side = _Side('"', _are_null(array)) if column.is_text else _NO_QUOTES
            between += json.dumps(column.name) + ":"
            pieces.append(_seam(behind, between, side))
            pieces.append(escaped(array) if column.is_free_text else array)
            behind, between = side, ","
        pieces.append(_seam(behind, "}" + self._closing() + "\n", _NO_QUOTES))
        while len(pieces) > _TOGETHER:
            pieces = [
                _joined(pieces[first : first + _TOGETHER])
                for first in range(0, len(pieces), _TOGETHER)
            ]
        return _joined(pieces)


@dataclass(frozen=True, slots=True)
class _Side:
    """What stands on both sides of a column's values."""

    at_value: str = ""
    """It is missing where the value is null."""
    are_null: pa.Array | None = None
    """Where they are; ``None`` where none is."""

    def either(
        self, at_value: pa.Array | pa.Scalar, at_null: pa.Array | pa.Scalar
    ) -> pa.Array | pa.Scalar:
        """Return for each row what depends on whether the column's value is null there."""
        if self.are_null is None:
            return at_value
        return pc.if_else(self.are_null, at_null, at_value)


_NO_QUOTES = _Side()


def _are_null(values: pa.Array) -> pa.Array | None:
    return values.is_null() if values.null_count else None


def _seam(behind: _Side, between: str, before: _Side) -> pa.Array | pa.Scalar:
    """Return what stands between the values of two columns, one text where it is always the same.

    Args:
        behind: The side of the first column.
        between: What stands there always.
        before: The side of the second column.
    """

    def after(first: str) -> pa.Array | pa.Scalar:
        return before.either(_text(first + between + before.at_value), _text(first + between))

    at_value = after(behind.at_value)
    return at_value if behind.are_null is None else behind.either(at_value, after(""))


def _joined(pieces: Sequence[pa.Array | pa.Scalar]) -> pa.Array:
    return pc.binary_join_element_wise(*pieces, _NOTHING, options=_NULL_AS_WORD)


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text.encode())


def record_messages(stream: str, columns: Sequence[Column], version: int | None) -> RecordLines:
    """Return what writes RECORD messages as the SDK does.

    Args:
        stream: Name of the stream.
        columns: The properties that go out, in the order of the records.
        version: The stream's version; ``None`` where it has none.
    """
    opening = f'{{"type":"RECORD","stream":{json.dumps(stream)},"record":'
    middle = "" if version is None else f',"version":{version}'

    def closing() -> str:
        return f'{middle},"time_extracted":"{datetime.now(UTC).isoformat()}"}}'

    return RecordLines(columns, opening, closing)


def pieces(lines: pa.Array, first: int, every: int) -> Iterator[tuple[memoryview, int]]:
    """Yield the bytes of lines and how many these are, cut where something comes in between.

    Args:
        lines: Each with its line feed.
        first: How many lines may go out before the first cut.
        every: How many between two cuts.
    """
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("i")[lines.offset : lines.offset + len(lines) + 1]
    start = 0
    stop = min(first, len(lines))
    while start < stop:
        yield memoryview(data)[ends[start] : ends[stop]], stop - start
        start, stop = stop, min(stop + every, len(lines))
