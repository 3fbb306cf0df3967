"""Proves of some rows that their quotes stand only where strict CSV has them.

Arrow's reader takes a quote amid a cell, and text behind a closing one, for more of the cell. A
quote that has an even number before it opens, the others close; two in a row, the first of which
closes, are one within a cell. It is enough to look at the bytes beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.blocks.bytes_view import each_byte

if TYPE_CHECKING:
    from typing_extensions import Buffer

_QUOTE = pa.scalar(ord('"'), pa.uint8())
_FITTING = b',\r\n"'
"""What may stand before an opening quote and behind a closing one."""


def of(data: Buffer) -> pa.BooleanArray:
    """Return which bytes are quotes."""
    return pc.equal(each_byte(data), _QUOTE)


def are_in_place(data: bytes | bytearray, are_quotes: pa.BooleanArray) -> bool:
    """Return whether all quotes are where they should.

    Args:
        data: Whole rows.
        are_quotes: Which of the bytes are quotes.
    """
    view = each_byte(data)
    before = _bytes(view[:-1].filter(are_quotes[1:]))
    behind = _bytes(view[1:].filter(are_quotes[:-1]))
    if data.startswith(b'"'):
        before = b"\n" + before
    if len(before) % 2:
        return False
    openings, closings = before[::2], behind[1::2]
    return not openings.translate(None, _FITTING) and not closings.translate(None, _FITTING)


def _bytes(values: pa.UInt8Array) -> bytes:
    return memoryview(values.buffers()[1])[: len(values)].tobytes() if len(values) else b""
