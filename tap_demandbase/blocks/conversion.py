"""From a block's bytes to what goes out for its rows; no state, so that threads can share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_demandbase.blocks import quotes
from tap_demandbase.blocks.cells import values_of
from tap_demandbase.blocks.row_block import RowBlock, RowSource
from tap_demandbase.blocks.table import TableReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_demandbase.blocks.cells import Column
    from tap_demandbase.blocks.cutter import Block
    from tap_demandbase.blocks.output import Output


class Conversion:
    """Converts the blocks of one part.

    Args:
        header: The part's columns.
        columns: All properties to read.
        output: What the rows become.
    """

    def __init__(self, header: Sequence[str], columns: Sequence[Column], output: Output) -> None:
        self._columns = columns
        self._reader = TableReader(header, [column.name for column in columns])
        self._output = output

    def convert(self, block: Block) -> RowBlock | None:
        """Return a block's rows; ``None`` where they have to be looked at one by one.

        Args:
            block: The block.
        """
        if block.is_piece or block.damage is not None:
            return None
        data, are_quotes, nul_bytes = block.data, block.are_quotes, 0
        if b"\0" in data:
            if b"\r\0" in data or data.endswith(b"\0"):
                # Without them, the lines would not be what they are with them.
                return None
            nul_bytes = data.count(b"\0")
            data = data.replace(b"\0", b"")
            are_quotes = quotes.of(data)
        cells = self._reader.read(data, are_quotes)
        if cells is None:
            return None
        try:
            values = values_of(self._columns, cells, typed=self._output.is_typed)
            encoded = self._output.encode(values)
        except ValueError:
            return None
        source = RowSource(values, cells) if self._output.keeps_source else None
        return RowBlock(cells.num_rows, encoded, nul_bytes, source)
