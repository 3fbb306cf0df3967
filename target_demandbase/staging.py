"""Rows staged on disk: CSV files by sets of columns, each with the records of its rows."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO
from unicodedata import normalize

from singer_sdk.singerlib.json import deserialize_json

from demandbase_api.errors import SpoolError, spool_error
from demandbase_api.files import make_private_folder
from demandbase_api.process import signals_deferred
from demandbase_api.threads import OrderedWorkers, result_of, wait_for
from target_demandbase.csv_writer import header_row, read_rows, split_rows
from target_demandbase.keys import RowKeys, key_texts, number_key
from target_demandbase.open_files import GroupBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    import pyarrow as pa
    from typing_extensions import Buffer

    from target_demandbase.keys import Keys


_TOGETHER_BYTES = 1024 * 1024
"""Size of the messages whose rows are written together: each write costs two thread switches."""

_MAX_PENDING = 2
"""Maximum number of such writes that wait."""


_MAX_GROUPS = 256
"""Maximum number of files of one stream: each is an import job."""

_NUMBER_STARTS = frozenset("+-0123456789")

Columns = tuple[str, ...]


class ColumnGroups:
    """Staged rows of one stream, in one file for each set of columns.

    The files are sent one after the other, so all staged rows of one match key must be in the same
    file: in two, an older row could be imported after a newer one.

    Args:
        folder: Folder of the files. Default: the system's temporary folder.
        max_bytes: Maximum size of a file.
        budget: Counts the files of all streams. Default: a budget of its own.
        header: Returns the header for some columns.
        identities: Returns the texts by any of which rows of a key may be matched. Default: the
            key.
    """

    def __init__(
        self,
        folder: Path | None,
        max_bytes: int,
        *,
        budget: GroupBudget | None = None,
        header: Callable[[Columns], Columns] = lambda columns: columns,
        identities: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._budget = GroupBudget(_MAX_GROUPS) if budget is None else budget
        self._header = header
        self._identities = identities
        self._groups: dict[Columns, _Group] = {}
        self._made = 0
        self._latest: StagedFile | None = None
        # Whether keys are case-sensitive in Demandbase is not documented: rows whose keys differ
        # only in case are all sent, but in order. Built when it is needed.
        self._groups_by_key: dict[int, int] | None = None
        self._marked: dict[Columns, int] = {}

    @property
    def rows(self) -> int:
        """Number of rows, including those that a later row supersedes."""
        return sum(group.file.rows for group in self._groups.values())

    def fits(self, columns: Columns, size: int, keys: Keys) -> bool:
        """Return whether rows can be added before the staged rows are sent.

        Args:
            columns: Their columns.
            size: Maximum size of the encoded rows in bytes.
            keys: Their match keys; empty texts if they have none.
        """
        return self.fit_together([(columns, size, keys)]) is not None

    def _has_room(self, columns: Columns, size: int) -> bool:
        group = self._groups.get(columns)
        if group is None:
            fits = len(header_row(self._header(columns))) + size <= self._max_bytes
            return fits and len(self._groups) < _MAX_GROUPS and self._budget.has_room
        return group.file.fits(size, self._max_bytes)

    def fit_together(
        self, parts: Sequence[tuple[Columns, int, Keys]]
    ) -> Sequence[Sequence[int]] | None:
        """Check that rows of several sets of columns can be added before staged rows are sent.

        Args:
            parts: The rows, as for ``fits``, each set of columns once.

        Returns:
            The digests of the match keys of each part if they are needed. ``None``: not all fit.
        """
        if not all(self._has_room(columns, size) for columns, size, _ in parts):
            return None
        if self._groups.keys() | {columns for columns, _, _ in parts} == {parts[0][0]}:
            return [()]
        known = self._index()
        digests = [self._digests(keys) for _, _, keys in parts]
        for (columns, _, _), of_part in zip(parts, digests, strict=True):
            group = self._groups.get(columns)
            own = None if group is None else group.number
            if not set(map(known.get, of_part)) <= {None, own}:
                return None
        distinct = [*map(set, digests)] if len(parts) > 1 else []
        if len(set[int]().union(*distinct)) < sum(map(len, distinct)):
            return None
        return digests

    def add(
        self,
        columns: Columns,
        rows: bytes | PendingRows,
        messages: bytes,
        keys: Keys,
        digests: Sequence[int] = (),
    ) -> None:
        """Add rows.

        Args:
            columns: Their columns.
            rows: The rows, encoded or to be encoded.
            messages: The messages that they come from, one a line.
            keys: Their match keys, one a row; empty texts if they have none.
            digests: Digests of the keys, if ``fit_together`` returned them.
        """
        group = self._groups.get(columns)
        if group is None:
            file = StagedFile(self._folder, self._header(columns))
            group = self._groups[columns] = _Group(self._made, file)
            self._made += 1
            self._budget.used += 1
        if self._latest is not None and self._latest is not group.file:
            # Only one file at a time may have rows in memory.
            self._latest.write_later()
        self._latest = group.file
        group.keys.add(keys)
        if self._groups_by_key is not None:
            digests = digests or self._digests(keys)
            self._groups_by_key |= dict.fromkeys(digests, group.number)
        if isinstance(rows, PendingRows):
            group.file.append_later(rows, messages, len(keys))
        else:
            group.file.append(rows, messages, len(keys))

    @property
    def keys(self) -> frozenset[int]:
        """Digests of the staged match keys."""
        return frozenset(self._index())

    @property
    def files(self) -> list[StagedFile]:
        """The files."""
        return [group.file for group in self._groups.values()]

    def needs_file(self, columns: Columns) -> bool:
        """Return whether rows of some columns need a further file."""
        return columns not in self._groups

    def has_key(self, key: str) -> bool:
        """Return whether a row of a match key is staged."""
        known = self._index()
        return any(digest in known for digest in self._digests((key,)))

    def mark(self) -> None:
        """Mark the rows that are staged."""
        self._marked = {columns: group.file.rows for columns, group in self._groups.items()}

    def rewind(self) -> None:
        """Remove the rows that were added after the last mark."""
        for columns, group in [*self._groups.items()]:
            before, rows = group.file, self._marked.get(columns, 0)
            if rows == before.rows:
                continue
            replaced = (
                replace(group, file=before.first(rows), keys=group.keys.first(rows))
                if rows
                else None
            )
            with signals_deferred():
                if replaced is None:
                    del self._groups[columns]
                    self._budget.used -= 1
                else:
                    self._groups[columns] = replaced
            before.close()
        self._latest = None
        self._groups_by_key = None

    def move_to(self, files: list[StagedFile], *, deduplicates: bool = True) -> int:
        """Append the files to a list, in the order of their first rows, and begin anew.

        Args:
            files: The list.
            deduplicates: Whether only the last of several rows of one key is kept.

        Returns:
            How many rows are left out because a later row has the same key.
        """
        self._latest = None
        self._marked = {}
        left_out = 0
        while self._groups:
            columns, group = next(iter(self._groups.items()))
            superseded = group.keys.superseded() if deduplicates else []
            left_out += len(superseded)
            file = group.file.without(superseded) if superseded else group.file
            with signals_deferred():
                files.append(file)
                del self._groups[columns]
                self._budget.used -= 1
            if superseded:
                group.file.close()
        self._groups_by_key = None
        return left_out

    def close(self) -> None:
        """Remove the files."""
        for group in self._groups.values():
            group.file.close()
        self._budget.used -= len(self._groups)
        self._groups, self._latest = {}, None

    def _index(self) -> dict[int, int]:
        """Return the number of each staged key's group, by the key's digest."""
        if self._groups_by_key is None:
            self._groups_by_key = {
                digest: group.number
                for group in self._groups.values()
                for digest in self._digests([*group.keys])
            }
        return self._groups_by_key

    def _digests(self, keys: Keys) -> list[int]:
        """Return the digests of all texts by which rows of some keys may be matched."""
        texts = [*filter(None, key_texts(keys))]
        if self._identities is not None:
            texts = [text for key in texts for text in self._identities(key)]
        return key_digests(texts)


@dataclass(slots=True)
class _Group:
    """Rows of one set of columns, and their match keys."""

    number: int
    file: StagedFile
    keys: RowKeys = field(default_factory=RowKeys)


def key_digest(key: str) -> int:
    """Return a digest that is equal for keys that Demandbase may take for one.

    They may differ in case, surrounding space, Unicode form, and the notation of a number.
    """
    text = key.strip().casefold()
    if not text.isascii():
        text = normalize("NFKC", text).casefold()
    return hash(number_key(text) if text[:1] in _NUMBER_STARTS else text)


def key_digests(keys: Sequence[str]) -> list[int]:
    """Return the digest of each key."""
    together = "\n".join(keys)
    folded = together.casefold().split("\n") if together.isascii() else []
    if len(folded) != len(keys):  # or a key has two lines
        return [*map(key_digest, keys)]
    return [
        hash(number_key(text) if text[:1] in _NUMBER_STARTS else text)
        for text in map(str.strip, folded)
    ]


@dataclass(frozen=True, slots=True)
class PendingRows:
    """Rows that are encoded when they are written.

    Args:
        values: Their values, by column.
        encode: Encodes the values of several such rows.
        max_bytes: Maximum size of the encoded rows.
    """

    values: Sequence[pa.Array]
    encode: Callable[[Sequence[Sequence[pa.Array]]], Buffer]
    max_bytes: int


class StagedFile:
    """A growing CSV file, with a second file of its RECORD messages for rejected rows.

    Both are unnamed temporary files, which are removed when they are closed or the process ends.

    Args:
        folder: Folder of the files. Default: the system's temporary folder.
        columns: The header.

    Raises:
        SpoolError: From every method, if a file cannot be written.
    """

    def __init__(self, folder: Path | None, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.rows = 0
        """Number of rows without the header."""
        self._folder = folder
        self._later: deque[tuple[PendingRows, bytes, int]] = deque()
        self._later_bytes = 0
        self._pending: deque[Future[None]] = deque()
        # The header is a row of the file, but has no record.
        self._rows = ChunkFile(folder, split_rows)
        self._records = ChunkFile(folder, split_lines)
        self._digest = hashlib.sha256()
        self._append_rows(header_row(self.columns), 1)
        self._max_size = self._rows.size

    def fits(self, size: int, limit: int) -> bool:
        """Return whether rows fit into the file.

        Args:
            size: Maximum size of the rows in bytes.
            limit: Maximum size of the file in bytes.
        """
        return self._max_size + size <= limit or self.size + size <= limit

    @property
    def size(self) -> int:
        """Size in bytes, including the header."""
        self._wait()
        self._max_size = self._rows.size
        return self._max_size

    def append(self, rows: bytes, messages: bytes, count: int = 1) -> None:
        """Append rows and the messages that they come from, one a line."""
        self._wait()
        self._append(rows, messages, count)
        self.rows += count
        self._max_size += len(rows)

    def append_later(self, rows: PendingRows, messages: bytes, count: int) -> None:
        """Append rows that another thread encodes and writes.

        Args:
            rows: The rows.
            messages: The messages that they come from, one a line.
            count: Number of rows.
        """
        # Counted first: a signal in between must not hide rows that are in the file.
        self.rows += count
        self._max_size += rows.max_bytes
        self._later.append((rows, messages, count))
        self._later_bytes += len(messages)
        if self._later_bytes >= _TOGETHER_BYTES:
            self.write_later()

    def write_later(self) -> None:
        """Start to write the rows that wait for more."""
        if not self._later_bytes:
            return
        while len(self._pending) >= _MAX_PENDING:
            result_of(self._pending[0])
            self._pending.popleft()
        self._begin_to_write()

    def _begin_to_write(self) -> None:
        self._pending.append(_writer().submit(self._write))
        self._later_bytes = 0

    def _write(self) -> None:
        """Write all rows that wait; called in the writer's thread."""
        # By index: the main thread may append rows at the same time.
        waiting = [self._later[place] for place in range(len(self._later))]
        if waiting:
            first = waiting[0][0]
            self._append(
                first.encode([rows.values for rows, _, _ in waiting]),
                b"".join([messages for _, messages, _ in waiting]),
                sum(count for _, _, count in waiting),
            )
        # Not before: other methods wait for what is in the queue.
        for _ in waiting:
            self._later.popleft()

    def _append(self, rows: Buffer, messages: bytes, count: int) -> None:
        self._append_rows(rows, count)
        self._records.append(messages, count)

    def _append_rows(self, rows: Buffer, count: int) -> None:
        self._rows.append(rows, count)
        self._digest.update(rows)

    def _wait(self) -> None:
        """Wait until all rows are written."""
        if self._later:
            self._begin_to_write()
        while self._pending:
            result_of(self._pending[0])
            self._pending.popleft()

    def open(self) -> BinaryIO:
        """Return the CSV file, positioned at its start."""
        self._wait()
        return self._rows.open()

    def record(self, row: int) -> dict[str, Any]:
        """Return the record of a row, counted from 0."""
        self._wait()
        message: dict[str, Any] = deserialize_json(
            self._records.row(row).decode("utf-8", "surrogatepass")
        )
        record: dict[str, Any] = message["record"]
        return record

    def messages(self) -> Iterator[tuple[bytes, int]]:
        """Yield the messages in chunks of whole lines, each with its number of messages."""
        self._wait()
        return self._records.chunks()

    def cells(self) -> Iterator[list[str]]:
        """Yield the fields of each row."""
        self._wait()
        for rows, _ in islice(self._rows.chunks(), 1, None):
            yield from read_rows(rows)

    def sha256(self) -> str:
        """Return the SHA-256 digest of the CSV file."""
        self._wait()
        return self._digest.hexdigest()

    def without(self, rows: Collection[int]) -> StagedFile:
        """Return a copy without some rows."""
        return self._copy(range(self.rows), sorted(rows))

    def first(self, rows: int) -> StagedFile:
        """Return a copy of the first rows."""
        return self._copy(range(rows), ())

    def halves(self) -> tuple[StagedFile, StagedFile]:
        """Return two new files of half of the rows each, in order."""
        middle = self.rows // 2
        return self._copy(range(middle), ()), self._copy(range(middle, self.rows), ())

    def _copy(self, rows: range, left_out: Sequence[int]) -> StagedFile:
        """Return a copy of some rows; chunks that stay whole are copied as they are."""
        self._wait()
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
        """Remove the files."""
        for each in self._pending:
            each.cancel()
        for each in self._pending:
            wait_for(each)
        self._pending.clear()
        self._later.clear()
        # The system takes a while to free what was written.
        _writer().submit(self._close)

    def _close(self) -> None:
        self._rows.close()
        self._records.close()


class ChunkFile:
    """Rows in an unnamed temporary file, which is removed when it is closed or the process ends.

    Rows that are appended together are one chunk; only the chunks' positions are in memory.

    Args:
        folder: Folder of the file. Default: the system's temporary folder.
        split: Splits a chunk into its rows.

    Raises:
        SpoolError: From every method, if the file cannot be written.
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
                make_private_folder(folder)
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
        """Yield all chunks, each with its number of rows."""
        for number in range(len(self._starts)):
            first = self._first_rows[number]
            yield self._chunk(number), self._end(self._first_rows, number, self.rows) - first

    def open(self) -> BinaryIO:
        """Return the file, positioned at its start; nothing can be appended from then on."""
        self._flush()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Remove the file."""
        with suppress(OSError):  # what cannot be written is no longer needed
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


def split_lines(lines: bytes) -> list[bytes]:
    """Return lines, each with its end."""
    return [line + b"\n" for line in lines.removesuffix(b"\n").split(b"\n")]


@cache
def _writer() -> OrderedWorkers:
    """Return the one thread that writes staged files, in the order of the calls."""
    return OrderedWorkers(1, name="staging")
