"""Rows on their way: a CSV file, and the records that they came from."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import deque
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from singer_sdk.singerlib.json import deserialize_json

from demandbase_api.threads import start_pool
from target_demandbase.chunk_file import ChunkFile
from target_demandbase.csv_row import header_row, read_row, split_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    import pyarrow as pa
    from typing_extensions import Buffer

_TOGETHER_BYTES = 1024 * 1024
"""Messages whose rows are encoded and written together: each time costs two switches of threads."""
_MOST_PENDING = 2
"""How often as much may wait in memory until it is written."""


@dataclass(frozen=True, slots=True)
class LaterRows:
    """Rows that are encoded when they are written.

    Args:
        cells: Their cells, by column.
        encode: Returns the encoded rows of several such.
        most_bytes: How many bytes they are at most.
    """

    cells: Sequence[pa.Array]
    encode: Callable[[Sequence[Sequence[pa.Array]]], Buffer]
    most_bytes: int


class StagedFile:
    """A CSV file that grows by rows; gone once it is closed or the process ends.

    Beside it lies a file of the RECORD messages, for those that Demandbase does not take.

    Args:
        folder: Where it lies; the system's temporary folder where absent.
        columns: Its header.

    Raises:
        SpoolError: From every method, where the folder or the disk does not take it.
    """

    def __init__(self, folder: Path | None, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.rows = 0
        """How many rows it has, without the header."""
        self._folder = folder
        self._later: deque[tuple[LaterRows, bytes, int]] = deque()
        self._later_bytes = 0
        self._pending: deque[Future[None]] = deque()
        # The header is a row of the file, but none of a record.
        self._rows = ChunkFile(folder, split_rows)
        self._records = ChunkFile(folder, split_lines)
        self._digest = hashlib.sha256()
        self._append_rows(header_row(self.columns), 1)
        self._most = self._rows.size

    def fits(self, size: int, limit: int) -> bool:
        """Return whether the file has room for more bytes.

        Args:
            size: How many there will be at most.
            limit: How many the whole file may have.
        """
        return self._most + size <= limit or self.size + size <= limit

    @property
    def size(self) -> int:
        """Its bytes, the header included."""
        self._settle()
        self._most = self._rows.size
        return self._most

    def append(self, rows: bytes, messages: bytes, count: int = 1) -> None:
        """Add rows and the messages that they come from, one a line."""
        self._settle()
        self._append(rows, messages, count)
        self.rows += count
        self._most += len(rows)

    def append_later(self, rows: LaterRows, messages: bytes, count: int) -> None:
        """Add rows that are encoded and written while the caller goes on.

        Args:
            rows: The rows; they are encoded in another thread.
            messages: The messages that they come from, one a line.
            count: How many they are.
        """
        # Counted first: a signal in between must not hide rows that are there.
        self.rows += count
        self._most += rows.most_bytes
        self._later.append((rows, messages, count))
        self._later_bytes += len(messages)
        if self._later_bytes >= _TOGETHER_BYTES:
            self.write_later()

    def write_later(self) -> None:
        """Begin to write what waits for more to be written together with."""
        if not self._later_bytes:
            return
        while len(self._pending) >= _MOST_PENDING:
            self._pending[0].result()
            self._pending.popleft()
        self._begin_to_write()

    def _begin_to_write(self) -> None:
        self._pending.append(_writer().submit(self._write))
        self._later_bytes = 0

    def _write(self) -> None:
        """Write all that waits, in the thread for that."""
        # By their places: rows may come behind them at the same time.
        waiting = [self._later[place] for place in range(len(self._later))]
        if waiting:
            first = waiting[0][0]
            self._append(
                first.encode([rows.cells for rows, _, _ in waiting]),
                b"".join([messages for _, messages, _ in waiting]),
                sum(count for _, _, count in waiting),
            )
        # Not before: what is there, others wait for.
        for _ in waiting:
            self._later.popleft()

    def _append(self, rows: Buffer, messages: bytes, count: int) -> None:
        self._append_rows(rows, count)
        self._records.append(messages, count)

    def _append_rows(self, rows: Buffer, count: int) -> None:
        self._rows.append(rows, count)
        self._digest.update(rows)

    def _settle(self) -> None:
        """Wait until all rows are written."""
        if self._later:
            self._begin_to_write()
        while self._pending:
            self._pending[0].result()
            self._pending.popleft()

    def open(self) -> BinaryIO:
        """Return the file, standing at its start."""
        self._settle()
        return self._rows.open()

    def record(self, row: int) -> dict[str, Any]:
        """Return the record of a row, counted from 0."""
        self._settle()
        message: dict[str, Any] = deserialize_json(
            self._records.row(row).decode("utf-8", "surrogatepass")
        )
        record: dict[str, Any] = message["record"]
        return record

    def messages(self) -> Iterator[tuple[bytes, int]]:
        """Yield the messages in pieces of whole lines, and how many they are."""
        self._settle()
        return self._records.chunks()

    def cell(self, row: int, column: str) -> str | None:
        """Return a cell of a row, counted from 0; ``None`` for a column that is not there."""
        if column not in self.columns:
            return None
        self._settle()
        return read_row(self._rows.row(row + 1))[self.columns.index(column)]

    def sha256(self) -> str:
        """Return a digest of the content."""
        self._settle()
        return self._digest.hexdigest()

    def without(self, rows: Collection[int]) -> StagedFile:
        """Return a copy without some rows."""
        return self._copy(range(self.rows), sorted(rows))

    def halves(self) -> tuple[StagedFile, StagedFile]:
        """Return two files of half of the rows each, in order; this one is closed."""
        middle = self.rows // 2
        halves = self._copy(range(middle), ()), self._copy(range(middle, self.rows), ())
        self.close()
        return halves

    def _copy(self, rows: range, left_out: Sequence[int]) -> StagedFile:
        """Return a copy of some rows, chunk by chunk where a chunk is whole."""
        self._settle()
        copy = StagedFile(self._folder, self.columns)
        chunks = zip(islice(self._rows.chunks(), 1, None), self._records.chunks(), strict=True)
        start = 0
        for (lines, count), (messages, _) in chunks:
            chunk = range(start, start + count)
            start = chunk.stop
            out = set(left_out[bisect_left(left_out, chunk.start) : bisect_left(left_out, start)])
            kept = [row - chunk.start for row in chunk if row in rows and row not in out]
            if len(kept) == count:
                copy.append(lines, messages, count)
            elif kept:
                each_line, each_message = split_rows(lines), split_lines(messages)
                copy.append(
                    b"".join([each_line[row] for row in kept]),
                    b"".join([each_message[row] for row in kept]),
                    len(kept),
                )
        return copy

    def close(self) -> None:
        """Remove the file."""
        for each in self._pending:
            each.cancel()
        wait(self._pending)
        self._pending.clear()
        self._later.clear()
        # It takes the system a while to let go of what was written.
        _writer().submit(self._close)

    def _close(self) -> None:
        self._rows.close()
        self._records.close()


def split_lines(lines: bytes) -> list[bytes]:
    """Return lines, each with its end."""
    return [line + b"\n" for line in lines.removesuffix(b"\n").split(b"\n")]


@cache
def _writer() -> ThreadPoolExecutor:
    """Return the one thread that writes: what is given to it first is written first."""
    return start_pool(1, "staging")
