"""The batches of one stream: rows are staged in files by their columns, files are shipped."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from demandbase_api.config import spool_folder
from target_demandbase.import_queue import ImportBatch
from target_demandbase.keys import identities, identity_keys
from target_demandbase.rejects import Reject, record_message
from target_demandbase.staging import ColumnGroups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_demandbase.arrow.encoder import RowBlock
    from target_demandbase.csv_writer import Row, RowError
    from target_demandbase.keys import Keys
    from target_demandbase.loader import Loader
    from target_demandbase.plan import StreamPlan
    from target_demandbase.rejects import Undelivered
    from target_demandbase.staging import StagedFile


MIN_ROWS = 100

MAX_BLANK_PERCENT = 95


class BlankGuard:
    """Counts the empty cells of one batch, by column.

    Args:
        most_rows: How many rows the batch has at most, where that is known.
    """

    def __init__(self, most_rows: int | None = None) -> None:
        # A column that is not empty in so many rows stays below the limit whatever follows.
        self._enough = (
            None
            if most_rows is None
            else max(most_rows, MIN_ROWS) * (100 - MAX_BLANK_PERCENT) // 100 + 1
        )
        self._empty: dict[str, int] = {}
        self._passed: set[str] = set()
        self._rows = 0

    def watched(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that may still be mostly blank at the end."""
        return [column for column in columns if column not in self._passed]

    def count(self, rows: int, empty: Mapping[str, int]) -> None:
        """Count rows.

        Args:
            rows: How many they are.
            empty: How many cells of each watched column are empty; none where it is absent.
        """
        self._rows += rows
        for column, cells in empty.items():
            found = self._empty[column] = self._empty.get(column, 0) + cells
            if self._enough is not None and self._rows - found >= self._enough:
                self._passed.add(column)

    def mostly_blank(self) -> tuple[str, ...]:
        """Return the columns that are empty in more than 95 % of at least 100 rows."""
        if self._rows < MIN_ROWS:
            return ()
        return tuple(
            column
            for column, empty in self._empty.items()
            if empty * 100 > self._rows * MAX_BLANK_PERCENT
        )


logger = logging.getLogger("target-demandbase")

_MANY_JOBS = 10

_MAX_AGE_SECONDS = 300.0


class StreamBatches:
    """Gathers a stream's rows in batches and ships them.

    Args:
        run: What the streams of one run share.
        plan: The stream's plan.
        config: The settings.
    """

    def __init__(self, run: Loader, plan: StreamPlan, config: Mapping[str, Any]) -> None:
        self._run = run
        self._plan = plan
        self._groups = ColumnGroups(
            spool_folder(config),
            config["max_file_bytes"],
            header=plan.header,
            identities=identities if plan.identity else None,
        )
        self._max_rows: int = config["batch_size_rows"]
        self._is_overlapping = config["max_concurrent_jobs"] > 1
        self._guards_blanks = config["on_null"] == "blank"
        self._blanks = BlankGuard(self._max_rows)
        self._told_of_blanks: set[str] = set()
        self._files: list[StagedFile] = []
        self._batch: int | None = None
        self._began = 0.0
        self._shipped = 0

    @property
    def room(self) -> int:
        """How many rows the open batch still takes."""
        return self._max_rows - self._groups.rows

    @property
    def is_old(self) -> bool:
        """Whether rows have waited for five minutes and nothing is on its way."""
        if self._batch is None or self._run.lane.is_busy:
            # While a job runs, rows gather: else a slow job would make the next batches tiny.
            return False
        return time.monotonic() - self._began > _MAX_AGE_SECONDS

    def holds(self, key: str) -> bool:
        """Return whether a row of a match key waits to be shipped."""
        return self._groups.holds(key)

    def reject(self, original: Mapping[str, Any], error: RowError) -> None:
        """Keep a record that cannot be sent, as the tap sent it."""
        batch = self._read(1)
        reject = Reject(error.reason, error.field, error.type, None)
        self._run.settlement.unsendable(self._plan, batch, original, reject)

    def stage(self, row: Row, original: Mapping[str, Any]) -> None:
        """Stage a row and the record that it comes from, as the tap sent it."""
        batch = self._read(1)
        keys = (row.key,)
        if not self._groups.takes(row.columns, len(row.line), keys):
            self._ship(batch)
        message = record_message(self._plan.source.stream, original)
        self._groups.add(row.columns, row.line, message, keys)
        self._run.report.add_staged(self._plan.stream, 1)
        if self._guards_blanks:
            cells = dict(zip(row.columns, row.cells, strict=True))
            watched = self._blanks.watched(row.columns)
            self._blanks.count(1, {column: not cells[column] for column in watched})

    def stage_block(self, block: RowBlock, messages: bytes) -> bool:
        """Stage many rows and the messages that they come from, one a line.

        Args:
            block: The rows, no more than there is room for.
            messages: The messages.

        Returns:
            Whether they fit beside what waits; where not, nothing is staged.
        """
        keys: Keys = block.keys
        if self._plan.identity:
            keys = identity_keys(self._plan.identity, block.cells, block.rows)
        if not self._groups.takes(block.columns, block.lines.most_bytes, keys):
            return False
        self._read(block.rows)
        self._groups.add(block.columns, block.lines, messages, keys)
        self._run.report.add_staged(self._plan.stream, block.rows)
        if self._guards_blanks:
            self._blanks.count(block.rows, block.empty(self._blanks.watched(block.columns)))
        return True

    def close_batch(self) -> None:
        """Ship what is left of the open batch."""
        if self._batch is None:
            return
        self._ship(self._batch)
        batch, self._batch, self._shipped = self._batch, None, 0
        self._blanks = BlankGuard(self._max_rows)
        self._told_of_blanks = set()
        self._run.close_batch(batch)

    def discard(self, undelivered: Undelivered | None) -> None:
        """Remove what is staged and will not be shipped.

        Args:
            undelivered: Where to keep it before, if anywhere.
        """
        if undelivered is not None:
            undelivered.keep(self._plan, [*self._files, *self._groups.files])
        for file in self._files:
            file.close()
        self._groups.close()

    def _read(self, records: int) -> int:
        """Count records of the open batch, opening one where none is; return its number."""
        if self._batch is None:
            self._batch = self._run.open_batch()
            self._began = time.monotonic()
        self._run.settlement.read(self._plan.stream, self._batch, records)
        return self._batch

    def _ship(self, batch: int) -> None:
        """Ship all that is staged, in the order of the files' first rows."""
        self._warn_of_blanks()
        keys = self._groups.keys if self._is_overlapping else frozenset[int]()
        superseded = self._groups.take(self._files)
        self._run.report.add_deduplicated(self._plan.stream, superseded)
        jobs = self._shipped + len(self._files)
        if self._shipped <= _MANY_JOBS < jobs:
            logger.warning(
                "One batch of stream %s takes %d jobs and may take more, since its records have "
                "so many different sets of columns. Let the tap send all properties, or lower "
                "batch_size_rows.",
                self._plan.stream,
                jobs,
            )
        while self._files:
            # From here on the file is the lane's.
            self._run.lane.ship(ImportBatch(self._plan, self._files.pop(0), batch, keys))
            self._shipped += 1

    def _warn_of_blanks(self) -> None:
        blank = [name for name in self._blanks.mostly_blank() if name not in self._told_of_blanks]
        if not blank:
            return
        self._told_of_blanks.update(blank)
        logger.warning(
            "More than 95 %% of the rows of a batch of stream %s are empty in %s: that blanks "
            "these fields in Demandbase. Set on_null: omit, or deselect them, if it should not.",
            self._plan.stream,
            ", ".join(blank),
        )
