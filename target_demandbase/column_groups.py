"""The rows that wait to be sent: one CSV file for each set of columns that they have.

An absent property must not become an empty cell, which would blank the field in Demandbase; so rows
with other columns need a file and a job of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_demandbase.csv_row import header_row
from target_demandbase.row_keys import RowKeys, key_texts
from target_demandbase.staging import LaterRows, StagedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from target_demandbase.row_keys import Keys


def _open_groups() -> int:
    """Return how many groups may wait at a time: each is two of the files that may be open."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 32
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 256 if limit == resource.RLIM_INFINITY else min(256, max(16, limit // 8))


MAX_OPEN_GROUPS = _open_groups()

Columns = tuple[str, ...]


@dataclass(slots=True)
class _Group:
    """Rows of one set of columns, and their match keys."""

    file: StagedFile
    keys: RowKeys = field(default_factory=RowKeys)


class ColumnGroups:
    """Rows of one stream in files by their columns, until they are taken to be sent.

    The files are sent one after the other, so all waiting rows of one match key are kept in one
    file: were they in two, an older row could land after a newer one. Of several rows of one key in
    a file the last is sent.

    Args:
        folder: Where the files lie; the system's temporary folder where absent.
        max_bytes: Bytes in one file at most.
        max_groups: How many files may wait.
        header: Returns what heads some columns in a file.
        identities: Returns the texts that rows of a key share with others that may be about the
            same record; the key itself where absent.
    """

    def __init__(
        self,
        folder: Path | None,
        max_bytes: int,
        max_groups: int = MAX_OPEN_GROUPS,
        *,
        header: Callable[[Columns], Columns] = lambda columns: columns,
        identities: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_groups = max_groups
        self._header = header
        self._identities = identities or (lambda key: (key,))
        self._groups: dict[Columns, _Group] = {}
        self._latest: StagedFile | None = None
        # Whether Demandbase tells capitals apart in keys is not documented: rows whose keys differ
        # in no more than that are kept apart, but in order. Made when somebody asks.
        self._columns_by_key: dict[int, Columns] | None = None

    @property
    def rows(self) -> int:
        """How many rows wait, those that a later one supersedes included."""
        return sum(group.file.rows for group in self._groups.values())

    def takes(self, columns: Columns, size: int, keys: Keys) -> bool:
        """Whether rows can be added before all that waits is sent.

        Args:
            columns: The columns that they have.
            size: The encoded rows, in bytes.
            keys: Their cells of the match key; empty where they have none.
        """
        group = self._groups.get(columns)
        if len(self._groups) > (group is not None):
            known = self._index()
            digests = self._digests(key_texts(keys))
            if any(known.get(digest, columns) != columns for digest in digests):
                return False
        if group is None:
            fits = len(header_row(self._header(columns))) + size <= self._max_bytes
            return fits and len(self._groups) < self._max_groups
        return group.file.fits(size, self._max_bytes)

    def add(
        self,
        columns: Columns,
        rows: bytes | LaterRows,
        messages: bytes,
        keys: Keys,
    ) -> None:
        """Add rows.

        Args:
            columns: The columns that they have.
            rows: The encoded rows, or how they are made.
            messages: The messages that they come from, one a line.
            keys: Their cells of the match key, one a row; empty texts where they have none.
        """
        group = self._groups.get(columns)
        if group is None:
            group = self._groups[columns] = _Group(StagedFile(self._folder, self._header(columns)))
        if self._latest is not None and self._latest is not group.file:
            # Many files must not hold rows in memory at a time.
            self._latest.write_later()
        self._latest = group.file
        group.keys.add(keys)
        if self._columns_by_key is not None:
            digests = self._digests(filter(None, key_texts(keys)))
            self._columns_by_key.update(dict.fromkeys(digests, columns))
        if isinstance(rows, LaterRows):
            group.file.append_later(rows, messages, len(keys))
        else:
            group.file.append(rows, messages, len(keys))

    @property
    def keys(self) -> frozenset[int]:
        """Digests of the match keys that wait."""
        return frozenset(self._index())

    @property
    def files(self) -> list[StagedFile]:
        """The files that wait."""
        return [group.file for group in self._groups.values()]

    def holds(self, key: str) -> bool:
        """Whether a row of a match key waits."""
        known = self._index()
        return any(digest in known for digest in self._digests([key]))

    def take(self, files: list[StagedFile]) -> int:
        """Hand over the files in the order of their first rows, and begin anew.

        Args:
            files: Gets them, one by one: at no moment is one in neither place.

        Returns:
            How many rows are left out, since a later one of their key supersedes them.
        """
        self._latest = None
        left_out = 0
        while self._groups:
            columns, group = next(iter(self._groups.items()))
            superseded = group.keys.superseded()
            left_out += len(superseded)
            files.append(group.file.without(superseded) if superseded else group.file)
            del self._groups[columns]
            if superseded:
                group.file.close()
        self._columns_by_key = None
        return left_out

    def close(self) -> None:
        """Remove the files."""
        for group in self._groups.values():
            group.file.close()
        self._groups, self._latest = {}, None

    def _index(self) -> dict[int, Columns]:
        if self._columns_by_key is None:
            self._columns_by_key = {
                digest: columns
                for columns, group in self._groups.items()
                for digest in self._digests(filter(None, group.keys))
            }
        return self._columns_by_key

    def _digests(self, keys: Iterable[str]) -> Iterator[int]:
        return (key_digest(text) for key in keys for text in self._identities(key))


def key_digest(key: str) -> int:
    """Return a number that equal keys share, whatever their capitals; others hardly ever."""
    return hash(key.strip().casefold())
