"""Splits a CSV file into blocks of whole rows, by its quotes."""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.arrow.values import byte_array
from tap_demandbase.csv_reader import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer


BLOCK_BYTES = 1536 * 1024
"""Smaller blocks cost time for each call; larger blocks cost memory and save no time."""

MAX_BLOCKS_A_ROW = 8
"""A longer row is split into pieces, which only the slow path reads."""

_QUOTE = pa.scalar(ord('"'), pa.uint8())

_NEXT_TO_QUOTE = b',\r\n"'
"""Bytes that may precede an opening quote and follow a closing one."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a file.

    Args:
        data: Bytes of the rows.
        offset: Number of uncompressed bytes before them in the file.
        are_quotes: Whether each byte is a quote.
        is_piece: Whether it is only a piece of a row.
        damage: Error that reading raised after them.
    """

    data: bytes | bytearray
    offset: int
    are_quotes: pa.BooleanArray
    is_piece: bool = False
    damage: Exception | None = None


class BlockSplitter:
    """Reads a file once, from start to end.

    Args:
        file: The uncompressed file.
        block_bytes: Approximate size of a block.
    """

    def __init__(self, file: BinaryIO, block_bytes: int = BLOCK_BYTES) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._head = b""
        self._rest: bytes | bytearray = b""
        self._damage: Exception | None = None
        self.offset = 0
        """Number of bytes that have been returned so far."""

    def header(self) -> bytes | None:
        """Return the first row with its line end; ``None`` if it does not end within a block."""
        data = self._read(b"", self._block_bytes)
        end = data.find(b"\n") + 1
        while end and data.count(b'"', 0, end) % 2:
            end = data.find(b"\n", end) + 1
        if not end and (len(data) == self._block_bytes or self._damage):
            return None
        head = bytes(data[:end] if end else data)
        self._head = head
        self._rest = data[len(head) :]
        self.offset = len(head)
        return head

    def start_over(self) -> None:
        """Let the blocks start with the first row, which is no header."""
        head = self._head.removeprefix(BOM_UTF8)
        self.offset = len(self._head) - len(head)
        self._rest = head + self._rest

    def blocks(self) -> Iterator[Block]:
        """Yield all rows after the header, or all rows."""
        wanted = max(self._block_bytes - len(self._rest), 1)
        while True:
            data = self._read(self._rest, wanted)
            if len(data) == len(self._rest):
                if data or self._damage:
                    self._rest = b""
                    yield self._block(data, find_quotes(data))
                return
            are_quotes = find_quotes(data)
            end = _end_of_rows(data, are_quotes)
            if not end and len(data) < MAX_BLOCKS_A_ROW * self._block_bytes:
                # The row is longer than a block.
                self._rest = data
                wanted = len(data)
                continue
            wanted = self._block_bytes
            stop = end or len(data)
            self._rest = data[stop:]
            del data[stop:]
            yield self._block(data, are_quotes[:stop], is_piece=not end)

    def _block(
        self, data: bytearray, are_quotes: pa.BooleanArray, *, is_piece: bool = False
    ) -> Block:
        # With bytes left over, the damage comes after those.
        damage = self._damage if not self._rest else None
        block = Block(data, self.offset, are_quotes, is_piece, damage)
        self.offset += len(data)
        return block

    def _read(self, rest: bytes | bytearray, size: int) -> bytearray:
        """Return some bytes and the next ones, up to the end of the file or some damage."""
        start = len(rest)
        # Allocated at once: joining pieces would copy them twice more.
        data = bytearray(start + size)
        data[:start] = rest
        with memoryview(data) as view:
            stop = start + self._read_into(view[start:])
        del data[stop:]
        return data

    def _read_into(self, room: memoryview) -> int:
        """Fill a buffer as far as there are bytes; return their number."""
        size = 0
        while size < len(room) and self._damage is None:
            try:
                # readinto() would lose the bytes before the damage.
                count = self._file.readinto1(room[size:])  # type: ignore[attr-defined]
            except DAMAGE as damage:
                # The traceback would keep a reference to the buffer.
                self._damage = damage.with_traceback(None)
                break
            if not count:
                break
            size += count
        return size


def _end_of_rows(data: bytearray, are_quotes: pa.BooleanArray) -> int:
    """Return the end of the last complete row.

    A row ends at a line feed with an even number of quotes before it.
    """
    end = data.rfind(b"\n") + 1
    count = are_quotes[:end].true_count
    while count % 2:
        end_before = data.rfind(b"\n", 0, data.rfind(b'"', 0, end)) + 1
        count -= data.count(b'"', end_before, end)
        end = end_before
    return end


def find_quotes(data: Buffer) -> pa.BooleanArray:
    """Return whether each byte is a quote."""
    return pc.equal(byte_array(data), _QUOTE)


def are_valid_quotes(data: bytes | bytearray, are_quotes: pa.BooleanArray) -> bool:
    """Return whether all quotes enclose cells or are doubled inside a cell.

    Args:
        data: Whole rows.
        are_quotes: Whether each byte is a quote.
    """
    return are_valid_closings(data, are_quotes) and are_valid_openings(data, are_quotes)


def are_valid_closings(data: bytes | bytearray, are_quotes: pa.BooleanArray) -> bool:
    """Return whether each second quote ends a cell, or another quote follows it.

    Args:
        data: Whole rows.
        are_quotes: Whether each byte is a quote.
    """
    if are_quotes.true_count % 2:
        return False
    behind = _bytes(byte_array(data)[1:].filter(are_quotes[:-1]))
    return not behind[1::2].translate(None, _NEXT_TO_QUOTE)


def are_valid_openings(data: bytes | bytearray, are_quotes: pa.BooleanArray) -> bool:
    """Return whether each other quote begins a cell, or follows another quote.

    Args:
        data: Whole rows.
        are_quotes: Whether each byte is a quote.
    """
    before = _bytes(byte_array(data)[:-1].filter(are_quotes[1:]))
    if data.startswith(b'"'):
        before = b"\n" + before
    return not before[::2].translate(None, _NEXT_TO_QUOTE)


def _bytes(values: pa.UInt8Array) -> bytes:
    return memoryview(values.buffers()[1])[: len(values)].tobytes() if len(values) else b""
