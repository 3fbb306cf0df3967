"""From lines of records to rows that are staged, many at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from target_demandbase.blocks.cells import NotPlainError, block_cells, csv_lines, empty_cells
from target_demandbase.blocks.column_kind import ColumnKind, is_plain_name, plain_columns
from target_demandbase.blocks.key_column import KeyColumn
from target_demandbase.blocks.record_block import RecordDecoder
from target_demandbase.staging import LaterRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from target_demandbase.row_keys import Keys
    from target_demandbase.stream_plan import StreamPlan


_LONGEST_DATE_TIME = len('"2026-01-02T03:04:05.123456Z"')


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows of CSV.

    Args:
        rows: How many they are.
        size: How many bytes the lines are that they come from.
        columns: Their columns.
        cells: The cells, by column.
        lines: How they are encoded.
        keys: Their cells of the match key; empty texts where there is no match key.
    """

    rows: int
    size: int
    columns: tuple[str, ...]
    cells: Mapping[str, pa.Array]
    lines: LaterRows
    keys: Keys

    def empty(self, columns: Iterable[str]) -> Mapping[str, int]:
        """Return how many cells of some of the columns are empty."""
        return {name: empty_cells(self.cells[name]) for name in columns}


class BlockIntake:
    """Encodes the records of one stream, many at a time.

    Args:
        plan: The stream's plan.
        omit_null: Whether null and empty texts are left out instead of blanking a field.
    """

    def __init__(self, plan: StreamPlan, *, omit_null: bool) -> None:
        self._plan = plan
        self._omit_null = omit_null
        self._key = plan.key_column
        self._plain = {
            column.name: replace(column, required=True)
            if column.name in plan.key_properties
            else column
            for column in plain_columns(plan.schema) or ()
        }
        self._date_times = sum(
            self._plain[name].kind is ColumnKind.DATE_TIME for name in plan.fields
        )
        self._known: frozenset[str] = frozenset()
        self._decoder = self._fresh_decoder()

    def knows(self, names: frozenset[str]) -> None:
        """Note which properties the records have beside the schema's; nobody is told of them."""
        names = frozenset(filter(is_plain_name, names))
        if names != self._known:
            self._known = names
            self._decoder = self._fresh_decoder()

    def rows(self, lines: bytes, most: int | None = None) -> RowBlock | None:
        """Return the rows of lines, each a message.

        Args:
            lines: The lines. They are read up to the first that is no plain record.
            most: How many of them to read at most.

        Returns:
            ``None`` where that is the first line, or where any before needs a closer look.
        """
        block = self._decoder.decode(lines, most)
        if block is None or not self._plan.required <= block.columns.keys():
            return None
        try:
            found = block_cells(block, self._plain)
            keys = self._keys(block.rows, found)
        except NotPlainError:
            return None
        cells = {name: found[name] for name in self._plan.fields if name in found}
        if self._omit_null and any(map(empty_cells, cells.values())):
            return None
        if len(cells) < 2:  # noqa: PLR2004 - a null alone in its row
            return None
        # A cell is no longer than its value in JSON, but for a date-time that is written out.
        date_times = block.rows * self._date_times
        most_bytes = block.size + date_times * _LONGEST_DATE_TIME
        later = LaterRows(list(cells.values()), csv_lines, most_bytes)
        return RowBlock(block.rows, block.size, tuple(cells), cells, later, keys)

    def _fresh_decoder(self) -> RecordDecoder:
        return RecordDecoder(
            self._plan.stream, tuple(self._plain.values()), self._plan.fields, self._known
        )

    def _keys(self, rows: int, cells: Mapping[str, pa.Array]) -> Keys:
        if self._key is None:
            return [""] * rows
        column = cells.get(self._key)
        if column is None or empty_cells(column):
            raise NotPlainError
        return KeyColumn(column)
