"""Rows on their way: one CSV file for each set of columns, counted in encoded bytes."""

from __future__ import annotations

import csv
import errno
import io
import tempfile
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.download import spool_error
from demandbase_api.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class StagedFile:
    """A CSV file that grows row by row; gone once it is closed or the process ends.

    Args:
        folder: Where it lies; the system's temporary folder where absent.
        columns: Its header.

    Raises:
        SpoolError: From every method, where the folder or the disk does not take it.
    """

    def __init__(self, folder: Path | None, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.rows = 0
        self.size = 0
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
        self._write(encode_row(self.columns))

    def append(self, row: bytes) -> None:
        """Add an encoded row."""
        self._write(row)
        self.rows += 1

    def open(self) -> BinaryIO:
        """Return the file, standing at its start."""
        try:
            self._file.flush()
        except OSError as error:
            raise spool_error(error) from error
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def _write(self, row: bytes) -> None:
        try:
            self._file.write(row)
        except OSError as error:
            raise spool_error(error) from error
        self.size += len(row)


def encode_row(cells: Sequence[str]) -> bytes:
    """Return a row of CSV as UTF-8, quoted where needed.

    Raises:
        UnicodeEncodeError: A text holds half of a character (a lone surrogate).
    """
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
