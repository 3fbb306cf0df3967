"""A file of rows that come one by one or many at a time, each of which can be read again."""

from __future__ import annotations

import errno
import os
import tempfile
from array import array
from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.errors import SpoolError, spool_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typing_extensions import Buffer


class ChunkFile:
    """Rows in a file without a name: gone once it is closed or the process ends.

    What came together is one chunk; only the chunks' places are kept in memory.

    Args:
        folder: Where it lies; the system's temporary folder where absent.
        split: Returns the rows of a chunk.

    Raises:
        SpoolError: From every method, where the folder or the disk does not take it.
    """

    def __init__(self, folder: Path | None, split: Callable[[bytes], list[bytes]]) -> None:
        self.rows = 0
        self.size = 0
        self._split = split
        self._starts = array("Q")
        self._first_rows = array("Q")
        self._last_read: tuple[int, list[bytes]] = (-1, [])
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

    def append(self, chunk: Buffer, rows: int) -> None:
        """Add rows."""
        try:
            self._file.write(chunk)
        except OSError as error:
            raise spool_error(error) from error
        self._starts.append(self.size)
        self._first_rows.append(self.rows)
        self.size += memoryview(chunk).nbytes
        self.rows += rows

    def row(self, index: int) -> bytes:
        """Return a row, counted from 0."""
        number = bisect_right(self._first_rows, index) - 1
        if self._last_read[0] != number:
            self._last_read = (number, self._split(self._chunk(number)))
        return self._last_read[1][index - self._first_rows[number]]

    def chunks(self) -> Iterator[tuple[bytes, int]]:
        """Yield all chunks, and how many rows each holds."""
        for number in range(len(self._starts)):
            first = self._first_rows[number]
            yield self._chunk(number), self._end(self._first_rows, number, self.rows) - first

    def open(self) -> BinaryIO:
        """Return the file, standing at its start; nothing can be added from then on."""
        self._flush()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Remove the file."""
        with suppress(OSError):  # what could not be written any more is not needed any more
            self._file.close()

    def _chunk(self, number: int) -> bytes:
        self._flush()
        start = self._starts[number]
        size = self._end(self._starts, number, self.size) - start
        return os.pread(self._file.fileno(), size, start)

    def _flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise spool_error(error) from error

    @staticmethod
    def _end(places: array[int], number: int, last: int) -> int:
        return places[number + 1] if number + 1 < len(places) else last
