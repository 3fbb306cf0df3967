"""From columns of values to lines of JSON, one for each row."""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_demandbase.blocks.cells import Column

# What JSON does not have in a text as it is. And line ends of Unicode, which some readers of
# lines take for such.
_LINE_ENDS = {end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
_SPECIAL = r'["\\\x00-\x1f]|\xc2\x85|\xe2\x80[\xa8\xa9]'
_FIRST_PLAIN = 0x20
_RARE = (b'"', b"\\", *(end.encode() for end in _LINE_ENDS))
_ESCAPES = str.maketrans(_LINE_ENDS)
_QUOTE = pa.scalar(b'"')
_NOTHING = pa.scalar(b"")


class RecordLines:
    """Writes rows as JSON objects.

    Args:
        columns: The properties, in the order of the records.
        opening: Text before each object.
        closing: Returns the text behind each object; called once a block.
    """

    def __init__(self, columns: Sequence[Column], opening: str, closing: Callable[[], str]) -> None:
        self._columns = columns
        self._opening = opening
        self._closing = closing

    def lines(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return a line for each row, its line feed included.

        Args:
            values: UTF-8 as binary, by property.
        """
        pieces: list[pa.Array | pa.Scalar] = []
        before = self._opening + "{"
        for column in self._columns:
            before += json.dumps(column.name) + ":"
            array = values[column.name]
            if column.is_free_text:
                array = _escaped(array)
            after = ""
            if column.is_text and array.null_count:
                array = pc.binary_join_element_wise(_QUOTE, array, _QUOTE, _NOTHING)
            elif column.is_text:
                before += '"'
                after = '"'
            pieces += [pa.scalar(before.encode()), array]
            before = after + ","
        end = before.removesuffix(",") + "}" + self._closing() + "\n"
        pieces.append(pa.scalar(end.encode()))
        return pc.binary_join_element_wise(
            *pieces, _NOTHING, null_handling="replace", null_replacement=b"null"
        )


def _escaped(texts: pa.Array) -> pa.Array:
    if not _has_special(texts):
        return texts
    special = pc.fill_null(pc.match_substring_regex(texts, _SPECIAL), False)  # noqa: FBT003
    escaped = [_escape(text) for text in texts.filter(special).to_pylist()]
    return pc.replace_with_mask(texts, special, pa.array(escaped, pa.binary()))


def _has_special(texts: pa.Array) -> bool:
    """Return whether any text has to be escaped, from their bytes as a whole."""
    buffer = texts.buffers()[2]
    if buffer is None:
        return False
    data = buffer.to_pybytes()
    if any(rare in data for rare in _RARE):
        return True
    lowest = pc.min(pa.Array.from_buffers(pa.uint8(), len(data), [None, buffer])).as_py()
    return lowest is not None and lowest < _FIRST_PLAIN


def _escape(text: bytes) -> bytes:
    return encode_basestring(text.decode())[1:-1].translate(_ESCAPES).encode()
