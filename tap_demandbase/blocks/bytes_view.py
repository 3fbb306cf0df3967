"""Views bytes as Arrow arrays, without a copy: its kernels run while other threads do."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer


def cell(data: bytes, kind: pa.DataType) -> pa.Array:
    """Return an array whose one cell is all of the bytes."""
    return cells(data, [len(data)], kind)


def cells(data: bytes, lengths: Iterable[int], kind: pa.DataType) -> pa.Array:
    """Return an array whose cells are the bytes, one piece after the other.

    Args:
        data: All bytes.
        lengths: How many each cell has.
        kind: What they are.
    """
    offsets = array("i", accumulate(lengths, initial=0))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers)


def count_byte(data: Buffer, byte: bytes) -> int:
    """Return how often a byte is among others."""
    view = memoryview(data)
    array = pa.Array.from_buffers(pa.uint8(), len(view), [None, pa.py_buffer(view)])
    found: int = pc.sum(pc.equal(array, pa.scalar(byte[0], pa.uint8())), min_count=0).as_py()
    return found
