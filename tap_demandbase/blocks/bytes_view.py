"""Bytes as Arrow arrays, without a copy, and back: its kernels run while other threads do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from typing_extensions import Buffer


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
