"""Rows on their way: one CSV file for each set of columns, and the records that they came from."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import tempfile
from array import array
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.download import spool_error
from demandbase_api.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

_HASH_BYTES = 1024 * 1024


class StagedFile:
    """A CSV file that grows row by row; gone once it is closed or the process ends.

    Beside it lies a file of the records as they came in, for those that Demandbase does not take.

    Args:
        folder: Where it lies; the system's temporary folder where absent.
        columns: Its header.

    Raises:
        SpoolError: From every method, where the folder or the disk does not take it.
    """

    def __init__(self, folder: Path | None, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._folder = folder
        self._rows = _Lines(folder)
        self._records = _Lines(folder)
        self._rows.append(encode_row(self.columns))

    @property
    def rows(self) -> int:
        """How many rows it has, without the header."""
        return len(self._records)

    @property
    def size(self) -> int:
        """Its bytes, the header included."""
        return self._rows.size

    def append(self, row: bytes, record: bytes) -> None:
        """Add an encoded row and the record that it comes from."""
        self._rows.append(row)
        self._records.append(record)

    def open(self) -> BinaryIO:
        """Return the file, standing at its start."""
        return self._rows.open()

    def record(self, row: int) -> bytes:
        """Return the record of a row, counted from 0."""
        return self._records.line(row)

    def cell(self, row: int, column: str) -> str | None:
        """Return a cell of a row, counted from 0; ``None`` for a column that is not there."""
        if column not in self.columns:
            return None
        text = self._rows.line(row + 1).decode()
        [cells] = csv.reader(io.StringIO(text, newline=""), strict=True)
        return cells[self.columns.index(column)] if cells else ""

    def sha256(self) -> str:
        """Return a digest of the content."""
        digest = hashlib.sha256()
        file = self.open()
        while chunk := file.read(_HASH_BYTES):
            digest.update(chunk)
        return digest.hexdigest()

    def without(self, rows: Collection[int]) -> StagedFile:
        """Return a copy without some rows; this one is closed."""
        return self._copy(row for row in range(self.rows) if row not in rows)

    def halves(self) -> tuple[StagedFile, StagedFile]:
        """Return two files of half of the rows each, in order; this one is closed."""
        middle = self.rows // 2
        first = self._copy(range(middle), close=False)
        return first, self._copy(range(middle, self.rows))

    def _copy(self, rows: Iterable[int], *, close: bool = True) -> StagedFile:
        copy = StagedFile(self._folder, self.columns)
        for row in rows:
            copy.append(self._rows.line(row + 1), self._records.line(row))
        if close:
            self.close()
        return copy

    def close(self) -> None:
        """Remove the file."""
        self._rows.close()
        self._records.close()


class _Lines:
    """A file of byte strings, each of which can be read again."""

    def __init__(self, folder: Path | None) -> None:
        self.size = 0
        # Eight bytes a line: what is in memory stays small whatever the lines are.
        self._starts = array("Q")
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = tempfile.TemporaryFile(  # noqa: SIM115 - closed by close()
                dir=folder, prefix="target-demandbase-"
            )
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise SpoolError(
                    "The target has as many files open as the system allows and cannot stage "
                    "more rows. Raise that limit (ulimit -n) and run again."
                ) from error
            raise spool_error(error) from error

    def __len__(self) -> int:
        return len(self._starts)

    def append(self, line: bytes) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            raise spool_error(error) from error
        self._starts.append(self.size)
        self.size += len(line)

    def line(self, index: int) -> bytes:
        start = self._starts[index]
        stop = self._starts[index + 1] if index + 1 < len(self._starts) else self.size
        position = self._file.tell()
        self.open().seek(start)
        line = self._file.read(stop - start)
        self._file.seek(position)
        return line

    def open(self) -> BinaryIO:
        try:
            self._file.flush()
        except OSError as error:
            raise spool_error(error) from error
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        self._file.close()


def encode_row(cells: Sequence[str]) -> bytes:
    """Return a row of CSV as UTF-8, quoted where needed.

    Raises:
        UnicodeEncodeError: A text holds half of a character (a lone surrogate).
    """
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
