"""The rows that wait to be sent: one CSV file for each set of columns that they have.

An absent property must not become an empty cell, which would blank the field in Demandbase; so rows
with other columns need a file and a job of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_demandbase.errors import InputError
from target_demandbase.staging import StagedFile, encode_row

if TYPE_CHECKING:
    from pathlib import Path

# Each group is an open file, and a process may open no more than a few hundred on some systems.
MAX_OPEN_GROUPS = 32


class ColumnGroups:
    """Rows of one stream in files by their columns, until they are taken to be sent.

    The files are sent one after the other, so all waiting rows of one match key are kept in one
    file: were they in two, an older row could land after a newer one.

    Args:
        stream: Name of the stream, for messages.
        folder: Where the files lie; the system's temporary folder where absent.
        max_bytes: Bytes in one file at most.
    """

    def __init__(self, stream: str, folder: Path | None, max_bytes: int) -> None:
        self._stream = stream
        self._folder = folder
        self._max_bytes = max_bytes
        self._files: dict[tuple[str, ...], StagedFile] = {}
        # Digests rather than keys: 100,000 of them stay small whatever the keys are. Two keys of
        # one digest do no harm, since rows are only sent earlier.
        self._columns_by_key: dict[int, tuple[str, ...]] = {}

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(file.rows for file in self._files.values())

    def takes(self, columns: tuple[str, ...], row: bytes, key: str) -> bool:
        """Whether a row can be added before all that waits is sent.

        Args:
            columns: The columns that it has.
            row: The encoded row.
            key: Its cell of the match key; empty where it has none.
        """
        if self._columns_by_key.get(_digest(key), columns) != columns:
            return False
        file = self._files.get(columns)
        if file is None:
            return len(self._files) < MAX_OPEN_GROUPS
        return file.size + len(row) <= self._max_bytes

    def add(self, columns: tuple[str, ...], row: bytes, key: str) -> None:
        """Add a row.

        Raises:
            InputError: It is larger than a file may be.
        """
        file = self._files.get(columns)
        if file is None:
            if len(encode_row(columns)) + len(row) > self._max_bytes:
                raise InputError(
                    f"A record of stream {self._stream} is larger than max_file_bytes "
                    f"({self._max_bytes}). Raise that setting or shorten the record.",
                    stream=self._stream,
                )
            file = self._files[columns] = StagedFile(self._folder, columns)
        file.append(row)
        if key:
            self._columns_by_key[_digest(key)] = columns

    def take(self) -> list[StagedFile]:
        """Return the files in the order of their first rows, and begin anew."""
        files = list(self._files.values())
        self._files = {}
        self._columns_by_key = {}
        return files

    def close(self) -> None:
        """Remove the files."""
        for file in self.take():
            file.close()


def _digest(key: str) -> int:
    # Whether Demandbase tells capitals apart in keys is not documented; sending earlier is safe.
    return hash(key.strip().casefold())
