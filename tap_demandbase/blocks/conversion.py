"""From a block's bytes to what goes out for its rows; no state, so that threads can share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_demandbase.blocks.cells import columns_of, values_of
from tap_demandbase.blocks.row_block import RowBlock, RowSource
from tap_demandbase.blocks.row_form import RowForm
from tap_demandbase.blocks.table import TableReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

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
        names = [column.name for column in columns]
        self._columns = columns
        self._form = RowForm(header, columns)
        self._reader = TableReader(header, names)
        self._typed_reader: TableReader | None = None
        if output.types and not output.keeps_source:
            self._typed_reader = TableReader(header, names, output.types)
        self._output = output

    def in_form(self, blocks: Sequence[Block]) -> Sequence[bool]:
        """Return which blocks are strict CSV whose cells are all in their one form, as far as seen.

        Args:
            blocks: Some blocks; the more, the less each takes.
        """
        return self._form.held([block.data for block in blocks])

    def convert(self, block: Block, *, is_in_form: bool) -> RowBlock | None:
        """Return a block's rows; ``None`` where they have to be looked at one by one.

        Args:
            block: The block.
            is_in_form: What ``in_form`` says of it.
        """
        if block.is_piece or block.damage is not None:
            return None
        data, nul_bytes = block.data, 0
        if b"\0" in data:
            if b"\r\0" in data or data.endswith(b"\0"):
                # Without them, the lines would not be what they are with them.
                return None
            nul_bytes = data.count(b"\0")
            data = data.replace(b"\0", b"")
            is_in_form = False
        if is_in_form and (encoded := self._typed(data)) is not None:
            return RowBlock(len(encoded), encoded, 0, None)
        is_strict = is_in_form or not block.quotes
        cells = self._reader.read(data, is_strict=is_strict)
        if cells is None:
            return None
        try:
            values = values_of(self._columns, cells, are_in_form=is_in_form)
            encoded = self._output.encode(values)
        except ValueError:
            return None
        source = RowSource(values, cells) if self._output.keeps_source else None
        return RowBlock(cells.num_rows, encoded, nul_bytes, source)

    def _typed(self, data: bytes) -> pa.Array | None:
        """Return what goes out for rows in form whose cells are read as values at once.

        Cells in their one form mean nothing else to Arrow; those that its types cannot hold, such
        as integers beyond 64 bits, are found when they are read.
        """
        reader = self._typed_reader
        cells = None if reader is None else reader.read(data, is_strict=True)
        if cells is None:
            return None
        try:
            return self._output.encode(columns_of(cells))
        except ValueError:
            return None
