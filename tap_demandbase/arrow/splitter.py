"""Cuts a CSV file into blocks of whole rows, as far as its quotes tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.arrow.values import each_byte
from tap_demandbase.csv_reader import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

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


BLOCK_BYTES = 1536 * 1024
"""Smaller blocks cost time for each call, larger ones nothing but memory."""

MAX_BLOCKS_A_ROW = 64
"""A row that is longer goes out in pieces, which have no line feed at their end."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file.

    Args:
        data: Their bytes.
        offset: How many plain bytes the file has before them.
        are_quotes: Which of them are quotes.
        is_piece: Whether they are only a piece of a row.
        damage: What reading raised behind them.
    """

    data: bytes | bytearray
    offset: int
    are_quotes: pa.BooleanArray
    is_piece: bool = False
    damage: Exception | None = None


class BlockSplitter:
    """Reads a file once, from its start to its end.

    Args:
        file: Plain bytes.
        block_bytes: About how many a block has.
    """

    def __init__(self, file: BinaryIO, block_bytes: int = BLOCK_BYTES) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._rest: bytes | bytearray = b""
        self._damage: Exception | None = None
        self.offset = 0
        """Bytes that went out so far."""

    def header(self) -> bytes | None:
        """Return the first row with its end; ``None`` where it has none that is near."""
        data = self._read(b"", self._block_bytes)
        end = data.find(b"\n") + 1
        while end and data.count(b'"', 0, end) % 2:
            end = data.find(b"\n", end) + 1
        if not end and (len(data) == self._block_bytes or self._damage):
            return None
        head = bytes(data[:end] if end else data)
        self._rest = data[len(head) :]
        self.offset = len(head)
        return head

    def blocks(self) -> Iterator[Block]:
        """Yield the rows behind the header, every byte of them."""
        wanted = max(self._block_bytes - len(self._rest), 1)
        while True:
            data = self._read(self._rest, wanted)
            if len(data) == len(self._rest):
                if data or self._damage:
                    self._rest = b""
                    yield self._block(data, of(data))
                return
            are_quotes = of(data)
            end = _whole_rows(data, are_quotes)
            if not end and len(data) < MAX_BLOCKS_A_ROW * self._block_bytes:
                # A row that is longer than a block.
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
        # What is still to be read is behind the damage, and never comes.
        damage = self._damage if not self._rest else None
        block = Block(data, self.offset, are_quotes, is_piece, damage)
        self.offset += len(data)
        return block

    def _read(self, rest: bytes | bytearray, size: int) -> bytearray:
        """Return some bytes and the next ones, all that there are before the end or some damage."""
        start = len(rest)
        # With room for all of it: putting pieces together copies them twice more.
        data = bytearray(start + size)
        data[:start] = rest
        with memoryview(data) as view:
            stop = start + self._read_into(view[start:])
        del data[stop:]
        return data

    def _read_into(self, room: memoryview) -> int:
        """Fill some room as far as there are bytes; return how many there were."""
        size = 0
        while size < len(room) and self._damage is None:
            try:
                # Not readinto(), which would lose what came before the damage.
                count = self._file.readinto1(room[size:])  # type: ignore[attr-defined]
            except DAMAGE as damage:
                # Its traceback would hold on to the room.
                self._damage = damage.with_traceback(None)
                break
            if not count:
                break
            size += count
        return size


def _whole_rows(data: bytearray, are_quotes: pa.BooleanArray) -> int:
    """Return where the last row ends that is there as a whole.

    A row ends at a line feed with an even number of quotes before it.
    """
    end = data.rfind(b"\n") + 1
    count = are_quotes[:end].true_count
    while count % 2:
        end_before = data.rfind(b"\n", 0, data.rfind(b'"', 0, end)) + 1
        count -= data.count(b'"', end_before, end)
        end = end_before
    return end
