"""Texts as JSON has them between its quotes, a column at a time."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.blocks.bytes_view import bytes_of, each_byte

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
