"""Views bytes as Arrow arrays, without a copy: its kernels run while other threads do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

if TYPE_CHECKING:
    from typing_extensions import Buffer


def cell(data: bytes, kind: pa.DataType) -> pa.Array:
    """Return an array whose one cell is all of the bytes."""
    offsets = (0).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def count_byte(data: Buffer, byte: bytes) -> int:
    """Return how often a byte is among others."""
    view = memoryview(data)
    array = pa.Array.from_buffers(pa.uint8(), len(view), [None, pa.py_buffer(view)])
    found: int = pc.sum(pc.equal(array, pa.scalar(byte[0], pa.uint8())), min_count=0).as_py()
    return found
