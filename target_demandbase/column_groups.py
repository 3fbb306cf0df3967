"""The rows that wait to be sent: one CSV file for each set of columns that they have.

An absent property must not become an empty cell, which would blank the field in Demandbase; so rows
with other columns need a file and a job of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_demandbase.staging import StagedFile

if TYPE_CHECKING:
    from pathlib import Path

# Each group is two open files, and a process may open no more than a few hundred on some systems.
MAX_OPEN_GROUPS = 32


class ColumnGroups:
    """Rows of one stream in files by their columns, until they are taken to be sent.

    The files are sent one after the other, so all waiting rows of one match key are kept in one
    file: were they in two, an older row could land after a newer one. Of several rows of one key in
    a file the last is sent.

    Args:
        folder: Where the files lie; the system's temporary folder where absent.
        max_bytes: Bytes in one file at most.
    """

    def __init__(self, folder: Path | None, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._files: dict[tuple[str, ...], StagedFile] = {}
        # Whether Demandbase tells capitals apart in keys is not documented: rows whose keys differ
        # in no more than that are kept apart, but in order.
        self._columns_by_key: dict[int, tuple[str, ...]] = {}
        self._last_rows: dict[tuple[str, ...], dict[str, int]] = {}
        self._superseded: dict[tuple[str, ...], set[int]] = {}

    @property
    def rows(self) -> int:
        """How many rows wait, those that a later one supersedes included."""
        return sum(file.rows for file in self._files.values())

    def takes(self, columns: tuple[str, ...], row: bytes, key: str) -> bool:
        """Whether a row can be added before all that waits is sent.

        Args:
            columns: The columns that it has.
            row: The encoded row.
            key: Its cell of the match key; empty where it has none.
        """
        if self._columns_by_key.get(key_digest(key), columns) != columns:
            return False
        file = self._files.get(columns)
        if file is None:
            return len(self._files) < MAX_OPEN_GROUPS
        return file.size + len(row) <= self._max_bytes

    def add(self, columns: tuple[str, ...], row: bytes, record: bytes, key: str) -> bool:
        """Add a row.

        Returns:
            Whether it supersedes one that waits.
        """
        file = self._files.get(columns)
        if file is None:
            file = self._files[columns] = StagedFile(self._folder, columns)
            self._last_rows[columns] = {}
            self._superseded[columns] = set()
        supersedes = False
        if key:
            last_rows = self._last_rows[columns]
            if (before := last_rows.get(key)) is not None:
                self._superseded[columns].add(before)
                supersedes = True
            last_rows[key] = file.rows
            self._columns_by_key[key_digest(key)] = columns
        file.append(row, record)
        return supersedes

    @property
    def keys(self) -> frozenset[int]:
        """Digests of the match keys that wait."""
        return frozenset(self._columns_by_key)

    def take(self) -> list[StagedFile]:
        """Return the files in the order of their first rows, and begin anew."""
        files = [
            file.without(self._superseded[columns]) if self._superseded[columns] else file
            for columns, file in self._files.items()
        ]
        self._files = {}
        self._columns_by_key = {}
        self._last_rows = {}
        self._superseded = {}
        return files

    @property
    def files(self) -> list[StagedFile]:
        """The files that wait."""
        return list(self._files.values())

    def holds(self, key: str) -> bool:
        """Whether a row of a match key waits."""
        return key_digest(key) in self._columns_by_key

    def close(self) -> None:
        """Remove the files."""
        for file in self._files.values():
            file.close()
        self._files = {}


def key_digest(key: str) -> int:
    """Return a number that equal keys share, whatever their capitals; others hardly ever."""
    return hash(key.strip().casefold())
