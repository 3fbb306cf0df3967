"""Cuts a CSV file into blocks of whole rows, as far as its quotes tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from tap_demandbase.blocks import quotes
from tap_demandbase.plain_file import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

BLOCK_BYTES = 1536 * 1024
"""Smaller blocks cost time for each call, larger ones leave the processor's cache."""
MAX_BLOCKS_A_ROW = 64
"""A row that is longer goes out in pieces, which have no line feed at their end."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file.

    Args:
        data: Their bytes.
        offset: How many plain bytes the file has before them.
        quotes: Which of them are quotes.
        is_piece: Whether they are only a piece of a row.
        damage: What reading raised behind them.
    """

    data: bytes
    offset: int
    quotes: pa.BooleanArray
    is_piece: bool = False
    damage: Exception | None = None


class Cutter:
    """Reads a file once, from its start to its end.

    Args:
        file: Plain bytes.
        block_bytes: About how many a block has.
    """

    def __init__(self, file: BinaryIO, block_bytes: int = BLOCK_BYTES) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._rest = b""
        self._damage: Exception | None = None
        self.offset = 0
        """Bytes that went out so far."""

    def header(self) -> bytes | None:
        """Return the first row with its end; ``None`` where it has none that is near."""
        data = self._read(self._block_bytes)
        end = data.find(b"\n") + 1
        while end and data.count(b'"', 0, end) % 2:
            end = data.find(b"\n", end) + 1
        if not end and (len(data) == self._block_bytes or self._damage):
            return None
        head = data[:end] if end else data
        self._rest = data[len(head) :]
        self.offset = len(head)
        return head

    def blocks(self) -> Iterator[Block]:
        """Yield the rows behind the header, every byte of them."""
        wanted = max(self._block_bytes - len(self._rest), 1)
        while True:
            chunk = self._read(wanted)
            data = self._rest + chunk if self._rest else chunk
            if not chunk:
                if data or self._damage:
                    self._rest = b""
                    yield self._block(data, quotes.of(data))
                return
            are_quotes = quotes.of(data)
            end = _whole_rows(data, are_quotes)
            if not end and len(data) < MAX_BLOCKS_A_ROW * self._block_bytes:
                # A row that is longer than a block.
                self._rest = data
                wanted = len(data)
                continue
            wanted = self._block_bytes
            stop = end or len(data)
            self._rest = data[stop:]
            yield self._block(data[:stop], are_quotes[:stop], is_piece=not end)

    def _block(self, data: bytes, are_quotes: pa.BooleanArray, *, is_piece: bool = False) -> Block:
        # What is still to be read is behind the damage, and never comes.
        damage = self._damage if not self._rest else None
        block = Block(data, self.offset, are_quotes, is_piece, damage)
        self.offset += len(data)
        return block

    def _read(self, size: int) -> bytes:
        """Return the next bytes, all that there are before the end or some damage."""
        pieces: list[bytes] = []
        while size and self._damage is None:
            try:
                # Not read(), which would lose what came before the damage.
                piece = self._file.read1(size)  # type: ignore[attr-defined]
            except DAMAGE as damage:
                self._damage = damage
                break
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


def _whole_rows(data: bytes, are_quotes: pa.BooleanArray) -> int:
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
