"""From lines of records to rows that are staged, many at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from target_demandbase.blocks.cells import NotPlainError, block_cells, csv_lines, empty_cells
from target_demandbase.blocks.column_kind import ColumnKind, is_plain_name, plain_columns
from target_demandbase.blocks.record_block import RecordDecoder
from target_demandbase.staging import LaterRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from target_demandbase.blocks.record_block import RecordBlock
    from target_demandbase.stream_plan import StreamPlan


_LONGEST_DATE_TIME = len('"2026-01-02T03:04:05.123456Z"')


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows of CSV.

    Args:
        columns: Their columns.
        cells: The cells, by column.
        has_empty_texts: Whether texts may be empty.
        lines: How they are encoded.
        keys: Their cells of the match key; empty texts where there is no match key.
    """

    columns: tuple[str, ...]
    cells: Mapping[str, pa.Array]
    has_empty_texts: bool
    lines: LaterRows
    keys: Sequence[str]

    def empty(self, columns: Iterable[str]) -> Mapping[str, int]:
        """Return how many cells of some of the columns are empty."""
        if self.has_empty_texts:
            return {name: empty_cells(self.cells[name]) for name in columns}
        return {name: self.cells[name].null_count for name in columns}


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

    def rows(self, lines: Sequence[bytes], size: int) -> RowBlock | None:
        """Return the rows of some lines, each a RECORD message.

        Args:
            lines: The lines.
            size: How many bytes they are at most.

        Returns:
            ``None`` where any of them needs a closer look.
        """
        block = self._decoder.decode(lines)
        if block is None or not self._plan.required <= block.columns.keys():
            return None
        try:
            keys = self._keys(block)
            names = [name for name in self._plan.fields if name in block.columns]
            cells, has_empty_texts = block_cells(
                [(self._plain[name], block.columns[name]) for name in names]
            )
        except NotPlainError:
            return None
        if self._omit_null and (has_empty_texts or any(each.null_count for each in cells)):
            return None
        if len(names) < 2:  # noqa: PLR2004 - a null alone in its row
            return None
        # A cell is no longer than its value in JSON, but for a date-time that is written out.
        date_times = len(lines) * self._date_times
        later = LaterRows(cells, csv_lines, size + date_times * _LONGEST_DATE_TIME)
        columns = dict(zip(names, cells, strict=True))
        return RowBlock(tuple(names), columns, has_empty_texts, later, keys)

    def _fresh_decoder(self) -> RecordDecoder:
        return RecordDecoder(
            self._plan.stream, tuple(self._plain.values()), self._plan.fields, self._known
        )

    def _keys(self, block: RecordBlock) -> Sequence[str]:
        if self._key is None:
            return [""] * block.rows
        values: Sequence[Any] = block.columns.get(self._key, ())
        if not values or None in values or "" in values:
            raise NotPlainError
        return values if isinstance(values[0], str) else list(map(str, values))
