"""Reads one part in blocks; what is not beyond doubt goes through the slow path row by row."""

from __future__ import annotations

import csv
import io
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.threads import start_pool
from tap_demandbase.blocks.cells import Column
from tap_demandbase.blocks.conversion import Conversion
from tap_demandbase.blocks.cutter import BLOCK_BYTES, Cutter
from tap_demandbase.blocks.line_feed import LineFeed
from tap_demandbase.header_names import as_properties
from tap_demandbase.plain_file import lines_before, plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

    from tap_demandbase.blocks.cutter import Block
    from tap_demandbase.blocks.output import Output
    from tap_demandbase.blocks.row_block import RowBlock
    from tap_demandbase.cast import Value
    from tap_demandbase.csv_part import PartReader

    Item = RowBlock | dict[str, Value]

WORKERS = 2
"""Threads that convert; reading and writing go on beside them. Each holds a block or two."""


class BlockReader:
    """Reads the parts of one job in blocks.

    Args:
        part_reader: The slow path, which counts bytes and NUL for both.
        output: What the rows become.
        block_bytes: About how many bytes a block has.
    """

    def __init__(
        self,
        part_reader: PartReader,
        output: Output,
        *,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._slow = part_reader
        self._output = output
        self._block_bytes = block_bytes
        self.columns = [Column.of(*item) for item in part_reader.properties.items()]
        """All properties, in the order of the records."""

    def items(self, file: BinaryIO, part: int) -> Iterator[Item]:
        """Yield the rows of a part in their order: in blocks, or each as a record.

        Args:
            file: The part, packed or plain.
            part: Its number, counted from 1.

        Raises:
            FileFormatError: The file is no CSV with the selected columns.
            CellError: A cell does not fit its type.
        """
        with plain(file) as plain_file:
            cutter = Cutter(plain_file, self._block_bytes)
            if (columns := _names(cutter.header())) is not None:
                header = as_properties(columns, self._slow.fields)
                self._slow.check_columns(header, part)
                yield from self._blocks(cutter, header, file, part)
                self._slow.plain_bytes += cutter.offset
                return
        yield from self._slow.records(file, part)

    def _blocks(
        self, cutter: Cutter, header: list[str], file: BinaryIO, part: int
    ) -> Iterator[Item]:
        conversion = Conversion(header, self.columns, self._output)
        with start_pool(WORKERS) as pool:
            ahead = _convert_ahead(pool, conversion, cutter)
            for block, future in ahead:
                converted = future.result()
                if converted is None:
                    undone = chain([block], (following for following, _ in ahead))
                    yield from self._rows(undone, block.offset, header, file, part)
                else:
                    self._slow.nul_bytes += converted.nul_bytes
                    yield converted

    def _rows(
        self, blocks: Iterator[Block], offset: int, header: list[str], file: BinaryIO, part: int
    ) -> Iterator[Item]:
        lines = LineFeed(blocks)
        records = self._slow.records_below(lines, header, part, lambda: lines_before(file, offset))
        for record in records:
            lines.row_done()
            yield record


def _convert_ahead(
    pool: ThreadPoolExecutor, conversion: Conversion, cutter: Cutter
) -> Iterator[tuple[Block, Future[RowBlock | None]]]:
    """Yield each block and its conversion, while the next ones are worked on."""
    ahead: deque[tuple[Block, Future[RowBlock | None]]] = deque()
    for block in cutter.blocks():
        ahead.append((block, pool.submit(conversion.convert, block)))
        if len(ahead) > WORKERS:
            yield ahead.popleft()
    yield from ahead


def _names(header: bytes | None) -> list[str] | None:
    """Return the columns that a header names; ``None`` where it is not plain what they are."""
    if not header or b"\0" in header:
        return None
    try:
        rows = list(csv.reader(io.StringIO(header.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return rows[0] if len(rows) == 1 else None
