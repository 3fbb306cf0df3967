"""The open batch of one stream: rows are staged in files by their columns."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from target_demandbase.keys import identities
from target_demandbase.staging import ColumnGroups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from target_demandbase.arrow.encoder import EncodedRows
    from target_demandbase.csv_writer import Row
    from target_demandbase.keys import Keys
    from target_demandbase.open_files import GroupBudget
    from target_demandbase.plan import StreamPlan
    from target_demandbase.rejects import Undelivered
    from target_demandbase.staging import Columns, StagedFile


logger = logging.getLogger("target-demandbase")

MIN_ROWS = 100
"""Rows below which no column counts as mostly null."""

MAX_NULL_PERCENT = 95

_MANY_FILES = 10

_MAX_AGE_SECONDS = 300.0


class StreamBatch:
    """The open batch of one stream.

    Args:
        plan: The stream's plan.
        folder: The spool folder. Default: the system's temporary folder.
        max_rows: Maximum number of rows.
        max_bytes: Maximum size of a file.
        counts_nulls: Whether to warn of columns that are mostly null.
        budget: Counts the files of all streams. Default: a budget of its own.
    """

    def __init__(  # noqa: PLR0913 - settings of one batch
        self,
        plan: StreamPlan,
        folder: Path | None,
        *,
        max_rows: int,
        max_bytes: int,
        counts_nulls: bool,
        budget: GroupBudget | None = None,
    ) -> None:
        self.number = 0
        """Number of the batch; 0 if none is open."""
        self.goes_on = False
        """Whether rows were added after the last mark."""
        self.sealed: list[StagedFile] = []
        """Files that are complete, in the order of their first rows, and not queued yet."""
        self._plan = plan
        self._max_rows = max_rows
        self._counts_nulls = counts_nulls
        self._groups = ColumnGroups(
            folder,
            max_bytes,
            budget=budget,
            header=plan.header,
            identities=identities if plan.identity else None,
        )
        self._opened_at = 0.0
        self._max_bytes = max_bytes
        self._is_cut = False
        self._files = 0
        self._nulls = NullCounter(max_rows)
        self._warned: set[str] = set()
        self._nul_characters = 0

    @property
    def is_open(self) -> bool:
        """Whether a batch is open."""
        return self.number > 0

    @property
    def rows_left(self) -> int:
        """How many rows can be added."""
        return self._max_rows - self._groups.rows

    @property
    def is_worth_ending(self) -> bool:
        """Whether there is at least half a file to send since a batch ended at a mark.

        That goes for a batch which follows one that ended between marks, whatever its size.
        """
        return self.is_open and (
            self._is_cut
            or self._groups.rows * 2 >= self._max_rows
            or self._files > 0
            or not all(file.fits(0, self._max_bytes // 2) for file in self._groups.files)
        )

    @property
    def is_old(self) -> bool:
        """Whether the batch has been open for five minutes."""
        return self._age > _MAX_AGE_SECONDS

    @property
    def is_aging(self) -> bool:
        """Whether the batch has been open for half as long."""
        return self._age * 2 > _MAX_AGE_SECONDS

    @property
    def keys(self) -> frozenset[int]:
        """Digests of the match keys that are staged."""
        return self._groups.keys

    @property
    def files(self) -> int:
        """Number of files that rows are staged in."""
        return len(self._groups.files)

    def needs_file(self, columns: Columns) -> bool:
        """Return whether rows of some columns need a further file."""
        return self._groups.needs_file(columns)

    def has_key(self, key: str) -> bool:
        """Return whether a row of a match key is staged."""
        return self._groups.has_key(key)

    def open(self, number: int) -> None:
        """Open a batch."""
        self.number = number
        self._opened_at = time.monotonic()

    def fits(self, columns: Columns, size: int, keys: Keys) -> bool:
        """Return whether rows can be staged before the staged files are queued.

        Args:
            columns: Their columns.
            size: Their maximum size in bytes.
            keys: Their match keys.
        """
        return self._groups.fits(columns, size, keys)

    def stage_row(self, row: Row, message: bytes) -> None:
        """Add a row and the RECORD message that it comes from."""
        self.goes_on = True
        self._groups.add(row.columns, row.line, message, (row.key,))
        self._nul_characters += row.nul_characters
        if self._counts_nulls:
            values = dict(zip(row.columns, row.values, strict=True))
            counted = self._nulls.counted(row.columns)
            self._nulls.add(1, {column: not values[column] for column in counted})

    def fit_together(self, groups: Sequence[EncodedRows]) -> bool:
        """Return whether rows of several sets of columns can be staged before files are queued."""
        return self._groups.fit_together(
            [(rows.columns, rows.lines.max_bytes, rows.keys) for rows in groups]
        )

    def stage_rows(self, rows: EncodedRows) -> None:
        """Add rows of the same columns."""
        self.goes_on = True
        self._groups.add(rows.columns, rows.lines, rows.messages, rows.keys)
        if self._counts_nulls:
            self._nulls.add(rows.rows, rows.empty(self._nulls.counted(rows.columns)))

    def mark(self) -> None:
        """Mark the rows that are staged."""
        self.goes_on = False
        if not self.is_open:
            self._is_cut = False
        self._groups.mark()

    def rewind(self) -> None:
        """Remove the staged rows that were added after the last mark."""
        self.goes_on = False
        self._groups.rewind()

    def seal_files(self) -> int:
        """Complete the staged files.

        Returns:
            How many rows are left out because a later row has the same key.
        """
        self._warn_mostly_null()
        superseded = self._groups.move_to(self.sealed, deduplicates=not self._plan.is_add_only)
        before, self._files = self._files, self._files + len(self.sealed)
        if before <= _MANY_FILES < self._files:
            logger.warning(
                "One batch of stream %s needs %d import jobs and may need more, because its "
                "records have so many different sets of columns. Let the tap send all properties, "
                "set on_null: blank_absent if a missing one may clear its field, or lower "
                "batch_size_rows.",
                self._plan.stream,
                self._files,
            )
        return superseded

    def close(self) -> int:
        """Close the batch, whose files are all queued, and return its number."""
        if self._nul_characters:
            logger.warning(
                "%d NUL characters were removed from records of stream %s",
                self._nul_characters,
                self._plan.stream,
            )
            self._nul_characters = 0
        number, self.number, self._files = self.number, 0, 0
        self._is_cut, self.goes_on = self.goes_on, False
        self._nulls = NullCounter(self._max_rows)
        self._warned = set()
        return number

    def discard(self, undelivered: Undelivered | None) -> None:
        """Remove the files.

        Args:
            undelivered: Gets the rows first, unless it is ``None``.
        """
        if undelivered is not None:
            undelivered.add(self._plan, [*self.sealed, *self._groups.files])
        for file in self.sealed:
            file.close()
        self._groups.close()

    @property
    def _age(self) -> float:
        return time.monotonic() - self._opened_at if self.is_open else 0.0

    def _warn_mostly_null(self) -> None:
        columns = [name for name in self._nulls.mostly_null() if name not in self._warned]
        if not columns:
            return
        self._warned.update(columns)
        logger.warning(
            "More than 95 %% of the rows of a batch of stream %s are empty in %s: that blanks "
            "these fields in Demandbase. If that is not intended, set on_null: omit, or deselect "
            "the columns.",
            self._plan.stream,
            ", ".join(columns),
        )


class NullCounter:
    """Counts null and empty values of one batch, by column.

    Args:
        max_rows: Maximum number of rows in the batch. Default: unknown.
    """

    def __init__(self, max_rows: int | None = None) -> None:
        # A column with this many other values stays below the limit, whatever follows.
        self._enough = (
            None
            if max_rows is None
            else max(max_rows, MIN_ROWS) * (100 - MAX_NULL_PERCENT) // 100 + 1
        )
        self._empty: dict[str, int] = {}
        self._passed: set[str] = set()
        self._rows = 0

    def counted(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that may still be mostly null at the end."""
        return [column for column in columns if column not in self._passed]

    def add(self, rows: int, empty: Mapping[str, int]) -> None:
        """Count rows.

        Args:
            rows: Number of rows.
            empty: Number of null or empty values by column; 0 for columns that are not named.
        """
        self._rows += rows
        for column, values in empty.items():
            found = self._empty[column] = self._empty.get(column, 0) + values
            if self._enough is not None and self._rows - found >= self._enough:
                self._passed.add(column)

    def mostly_null(self) -> tuple[str, ...]:
        """Return the columns that are empty in more than 95 % of at least 100 rows."""
        if self._rows < MIN_ROWS:
            return ()
        return tuple(
            column
            for column, empty in self._empty.items()
            if empty * 100 > self._rows * MAX_NULL_PERCENT
        )
