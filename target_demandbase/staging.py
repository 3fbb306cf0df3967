"""Rows on their way: a CSV file, and the records that they came from."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from singer_sdk.singerlib.json import deserialize_json

from target_demandbase.chunk_file import ChunkFile
from target_demandbase.csv_row import header_row, read_row, split_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

_HASH_BYTES = 1024 * 1024


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
        self._folder = folder
        # The header is a row of the file, but none of a record.
        self._rows = ChunkFile(folder, split_rows)
        self._records = ChunkFile(folder, split_lines)
        self._rows.append(header_row(self.columns), 1)

    @property
    def rows(self) -> int:
        """How many rows it has, without the header."""
        return self._records.rows

    @property
    def size(self) -> int:
        """Its bytes, the header included."""
        return self._rows.size

    def append(self, rows: bytes | memoryview, messages: bytes, count: int = 1) -> None:
        """Add rows and the messages that they come from, one a line."""
        self._rows.append(rows, count)
        self._records.append(messages, count)

    def open(self) -> BinaryIO:
        """Return the file, standing at its start."""
        return self._rows.open()

    def record(self, row: int) -> dict[str, Any]:
        """Return the record of a row, counted from 0."""
        message: dict[str, Any] = deserialize_json(
            self._records.row(row).decode("utf-8", "surrogatepass")
        )
        record: dict[str, Any] = message["record"]
        return record

    def messages(self) -> Iterator[tuple[bytes, int]]:
        """Yield the messages in pieces of whole lines, and how many they are."""
        return self._records.chunks()

    def cell(self, row: int, column: str) -> str | None:
        """Return a cell of a row, counted from 0; ``None`` for a column that is not there."""
        if column not in self.columns:
            return None
        return read_row(self._rows.row(row + 1))[self.columns.index(column)]

    def sha256(self) -> str:
        """Return a digest of the content."""
        digest = hashlib.sha256()
        file = self.open()
        while chunk := file.read(_HASH_BYTES):
            digest.update(chunk)
        return digest.hexdigest()

    def without(self, rows: Collection[int]) -> StagedFile:
        """Return a copy without some rows; this one is closed."""
        copy = self._copy(range(self.rows), sorted(rows))
        self.close()
        return copy

    def halves(self) -> tuple[StagedFile, StagedFile]:
        """Return two files of half of the rows each, in order; this one is closed."""
        middle = self.rows // 2
        halves = self._copy(range(middle), ()), self._copy(range(middle, self.rows), ())
        self.close()
        return halves

    def _copy(self, rows: range, left_out: Sequence[int]) -> StagedFile:
        """Return a copy of some rows, chunk by chunk where a chunk is whole."""
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
        self._rows.close()
        self._records.close()


def split_lines(lines: bytes) -> list[bytes]:
    """Return lines, each with its end."""
    return [line + b"\n" for line in lines.removesuffix(b"\n").split(b"\n")]
