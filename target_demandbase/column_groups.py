"""The rows that wait to be sent: one CSV file for each set of columns that they have.

An absent property must not become an empty cell, which would blank the field in Demandbase; so rows
with other columns need a file and a job of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_demandbase.csv_row import header_row
from target_demandbase.staging import StagedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from typing_extensions import Buffer


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


@dataclass(frozen=True, slots=True)
class LaterRows:
    """Rows that are encoded when they are written.

    Args:
        make: Returns the encoded rows.
        most_bytes: How many bytes they are at most.
    """

    make: Callable[[], Buffer]
    most_bytes: int


@dataclass(slots=True)
class _Group:
    """Rows of one set of columns.

    Args:
        file: They.
        last_rows: The last row of each match key.
        superseded: The rows that a later one of their key replaces.
    """

    file: StagedFile
    last_rows: dict[str, int] = field(default_factory=dict)
    superseded: set[int] = field(default_factory=set)


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
        # Whether Demandbase tells capitals apart in keys is not documented: rows whose keys differ
        # in no more than that are kept apart, but in order. Made when somebody asks.
        self._columns_by_key: dict[int, Columns] | None = None

    @property
    def rows(self) -> int:
        """How many rows wait, those that a later one supersedes included."""
        return sum(group.file.rows for group in self._groups.values())

    def takes(self, columns: Columns, size: int, keys: Sequence[str]) -> bool:
        """Whether rows can be added before all that waits is sent.

        Args:
            columns: The columns that they have.
            size: The encoded rows, in bytes.
            keys: Their cells of the match key; empty where they have none.
        """
        group = self._groups.get(columns)
        if len(self._groups) > (group is not None):
            known = self._index()
            if any(known.get(digest, columns) != columns for digest in self._digests(keys)):
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
        keys: Sequence[str],
    ) -> int:
        """Add rows.

        Args:
            columns: The columns that they have.
            rows: The encoded rows, or how they are made.
            messages: The messages that they come from, one a line.
            keys: Their cells of the match key, one a row; empty texts where they have none.

        Returns:
            How many rows that waited, or are among these, they supersede.
        """
        group = self._groups.get(columns)
        if group is None:
            group = self._groups[columns] = _Group(StagedFile(self._folder, self._header(columns)))
        superseded = len(group.superseded)
        if keys[0]:
            _supersede(group, keys)
            if self._columns_by_key is not None:
                self._columns_by_key.update(dict.fromkeys(self._digests(keys), columns))
        if isinstance(rows, LaterRows):
            group.file.append_later(rows.make, rows.most_bytes, messages, len(keys))
        else:
            group.file.append(rows, messages, len(keys))
        return len(group.superseded) - superseded

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

    def take(self, files: list[StagedFile]) -> None:
        """Hand over the files in the order of their first rows, and begin anew.

        Args:
            files: Gets them, one by one: at no moment is one in neither place.
        """
        while self._groups:
            columns, group = next(iter(self._groups.items()))
            is_whole = not group.superseded
            files.append(group.file if is_whole else group.file.without(group.superseded))
            del self._groups[columns]
            if not is_whole:
                group.file.close()
        self._columns_by_key = None

    def close(self) -> None:
        """Remove the files."""
        for group in self._groups.values():
            group.file.close()
        self._groups = {}

    def _index(self) -> dict[int, Columns]:
        if self._columns_by_key is None:
            self._columns_by_key = {
                digest: columns
                for columns, group in self._groups.items()
                for digest in self._digests(group.last_rows)
            }
        return self._columns_by_key

    def _digests(self, keys: Iterable[str]) -> Iterator[int]:
        return (key_digest(text) for key in keys for text in self._identities(key))


def _supersede(group: _Group, keys: Sequence[str]) -> None:
    """Note which rows are superseded by new ones of these keys."""
    last_rows = group.last_rows
    if not last_rows.keys().isdisjoint(keys):
        group.superseded.update(last_rows[key] for key in last_rows.keys() & set(keys))
        for key in keys:
            last_rows.pop(key, None)
    start, known = group.file.rows, len(last_rows)
    last_rows.update(zip(keys, range(start, start + len(keys)), strict=True))
    if len(last_rows) < known + len(keys):  # some are among themselves
        group.superseded.update(row for row, key in enumerate(keys, start) if last_rows[key] != row)


def key_digest(key: str) -> int:
    """Return a number that equal keys share, whatever their capitals; others hardly ever."""
    return hash(key.strip().casefold())
