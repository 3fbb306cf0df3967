"""From a block's bytes to what goes out for its rows; no state, so that threads can share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_demandbase.blocks.cells import values_of
from tap_demandbase.blocks.row_block import RowBlock, RowSource
from tap_demandbase.blocks.row_form import RowForm
from tap_demandbase.blocks.table import TableReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from tap_demandbase.blocks.cells import Column
    from tap_demandbase.blocks.cutter import Block

    Encoder = Callable[[Mapping[str, pa.Array]], pa.Array]


class Conversion:
    """Converts the blocks of one part.

    Args:
        header: The part's columns.
        columns: All properties to read.
        encode: Returns what goes out for some rows, from their values by property; a
            ``ValueError`` sends them through the slow path.
        keeps_source: Whether blocks keep what they were made of.
    """

    def __init__(
        self,
        header: Sequence[str],
        columns: Sequence[Column],
        encode: Encoder,
        *,
        keeps_source: bool,
    ) -> None:
        self._columns = columns
        self._form = RowForm(header, columns)
        self._reader = TableReader(header, [column.name for column in columns])
        self._encode = encode
        self._keeps_source = keeps_source

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
        is_strict = is_in_form or not block.quotes
        cells = self._reader.read(data, is_strict=is_strict)
        if cells is None:
            return None
        try:
            values = values_of(self._columns, cells, are_in_form=is_in_form)
            encoded = self._encode(values)
        except ValueError:
            return None
        source = RowSource(values, cells) if self._keeps_source else None
        return RowBlock(cells.num_rows, encoded, nul_bytes, source)
