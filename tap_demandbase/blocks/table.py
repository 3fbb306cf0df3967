"""From a block's bytes to columns of cells, if it is strict CSV beyond doubt."""

from __future__ import annotations

from codecs import BOM_UTF8
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import csv

from tap_demandbase.blocks import quotes
from tap_demandbase.blocks.bytes_view import cell

if TYPE_CHECKING:
    from collections.abc import Sequence


class TableReader:
    """Reads blocks of one part.

    Args:
        header: The part's columns.
        wanted: The columns to read.
    """

    def __init__(self, header: Sequence[str], wanted: Sequence[str]) -> None:
        self._header = list(header)
        self._parse = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        # Bytes: whether they are UTF-8 is looked at for the block as a whole.
        self._convert = csv.ConvertOptions(
            include_columns=list(wanted),
            column_types=dict.fromkeys(wanted, pa.binary()),
            null_values=[""],
            strings_can_be_null=True,
        )

    def read(self, data: bytes | bytearray, are_quotes: pa.BooleanArray) -> pa.Table | None:
        """Return the cells of a block, empty ones as null; ``None`` where there is any doubt.

        Args:
            data: Whole rows.
            are_quotes: Which of the bytes are quotes.
        """
        if data.startswith(BOM_UTF8):
            # Here it is a cell's, and Arrow would drop it.
            return None
        if not quotes.are_in_place(data, are_quotes):
            return None
        read = csv.ReadOptions(
            column_names=self._header, use_threads=False, block_size=len(data) + 1
        )
        try:
            if not data.isascii():
                cell(data, pa.string()).validate(full=True)
            # Its messages quote cells: they go nowhere.
            table = csv.read_csv(pa.BufferReader(data), read, self._parse, self._convert)
        except pa.ArrowException:
            return None
        return None if len(self._header) > 1 and _has_empty_row(table) else table


def _has_empty_row(table: pa.Table) -> bool:
    """Return whether any row has no cell at all, as Arrow reads a line without even commas."""
    if not all(column.null_count for column in table.columns):
        return False
    empty = reduce(pc.and_, (pc.is_null(column) for column in table.columns))
    found: bool = pc.any(empty, min_count=0).as_py()
    return found
