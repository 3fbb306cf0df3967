"""Reads one part in blocks; what is not beyond doubt goes through the slow path row by row."""

from __future__ import annotations

import csv
import io
import os
from codecs import BOM_UTF8
from functools import partial, reduce
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Self

import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import csv as pa_csv

from demandbase_api.threads import OrderedWorkers
from tap_demandbase.arrow import splitter
from tap_demandbase.arrow.row_block import RowBlock, RowSource
from tap_demandbase.arrow.splitter import BLOCK_BYTES, BlockSplitter
from tap_demandbase.arrow.values import cell, values_of
from tap_demandbase.csv_reader import as_properties, lines_before, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_demandbase.arrow.row_block import RowEncoder, Rows
    from tap_demandbase.arrow.splitter import Block
    from tap_demandbase.arrow.values import Column
    from tap_demandbase.csv_reader import PartReader


class TableReader:
    """Reads blocks of one part.

    Args:
        header: The part's columns.
        wanted: The columns to read.
    """

    def __init__(self, header: Sequence[str], wanted: Sequence[str]) -> None:
        self._header = list(header)
        self._parse = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        # Bytes: whether they are UTF-8 is looked at for the block as a whole.
        self._convert = pa_csv.ConvertOptions(
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
        if not splitter.are_in_place(data, are_quotes):
            return None
        read = pa_csv.ReadOptions(
            column_names=self._header, use_threads=False, block_size=len(data) + 1
        )
        try:
            if not data.isascii():
                cell(data, pa.string()).validate(full=True)
            # Its messages quote cells: they go nowhere.
            table = pa_csv.read_csv(pa.BufferReader(data), read, self._parse, self._convert)
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


class BlockConverter:
    """Converts the blocks of one part.

    Args:
        header: The part's columns.
        columns: All properties to read.
        encoder: Encodes the rows.
        keeps_source: Whether blocks keep the values and cells that they were encoded from.
    """

    def __init__(
        self,
        header: Sequence[str],
        columns: Sequence[Column],
        encoder: RowEncoder,
        *,
        keeps_source: bool = False,
    ) -> None:
        self._columns = columns
        self._reader = TableReader(header, [column.name for column in columns])
        self._encoder = encoder
        self._keeps_source = keeps_source

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
            are_quotes = splitter.of(data)
        cells = self._reader.read(data, are_quotes)
        if cells is None:
            return None
        try:
            values = values_of(self._columns, cells, typed=self._encoder.is_typed)
            encoded = self._encoder.encode(values)
        except ValueError:
            return None
        source = RowSource(values, cells) if self._keeps_source else None
        return RowBlock(cells.num_rows, encoded, nul_bytes, source)


class FallbackLines:
    """The lines of one block, and of the following ones as long as a row is under way.

    Args:
        blocks: The block and those behind it; what is not needed is left.
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._lines: Iterator[str] = iter(())
        self._damage: Exception | None = None
        self._is_between_rows = False

    def row_done(self) -> None:
        """Note that a row has come to its end with the last line."""
        self._is_between_rows = True

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Return the next line with its end.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
        while (line := next(self._lines, None)) is None:
            if self._damage is not None:
                raise self._damage
            data = b"" if self._is_between_rows else self._whole_lines()
            if not data and self._damage is None:
                raise StopIteration
            # Line by line, so that text which is not UTF-8 has its line.
            self._lines = (line.decode() for line in data.splitlines(keepends=True))
        self._is_between_rows = False
        return line

    def _whole_lines(self) -> bytes:
        """Return the bytes of the next block, and of more where a row is longer than that."""
        data = b""
        while not data.endswith(b"\n") and (block := next(self._blocks, None)) is not None:
            data += block.data
            self._damage = block.damage
        return data


WORKERS = 2
"""Threads that convert; reading and writing go on beside them. Each holds a block or two."""


class BlockReader:
    """Reads the parts of a stream's jobs in blocks.

    Args:
        columns: All properties, in the order of the records.
        encoder: Encodes the rows.
        keeps_source: Whether blocks keep the values and cells that they were encoded from.
        block_bytes: Approximate size of a block in bytes.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        encoder: RowEncoder,
        *,
        keeps_source: bool = False,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._columns = columns
        self._encoder = encoder
        self._keeps_source = keeps_source
        self._block_bytes = block_bytes

    def read(self, slow: PartReader, file: BinaryIO, part: int) -> Iterator[Rows]:
        """Yield the rows of a part in their order: in blocks, or as single records.

        Args:
            slow: Reads the rows of the job that need the slow path; counts bytes and NUL bytes.
            file: The part, compressed or plain.
            part: Number of the part, counted from 1.

        Raises:
            FileFormatError: The file is no CSV with the selected columns.
            CellError: A cell does not fit its type.
        """
        with plain(file) as plain_file:
            block_splitter = BlockSplitter(plain_file, self._block_bytes)
            if (columns := _names(block_splitter.header())) is not None:
                header = as_properties(columns, slow.fields)
                slow.check_columns(header, part)
                yield from self._blocks(slow, block_splitter, header, file, part)
                slow.plain_bytes += block_splitter.offset
                return
        yield from slow.records(file, part)

    def _blocks(
        self,
        slow: PartReader,
        block_splitter: BlockSplitter,
        header: list[str],
        file: BinaryIO,
        part: int,
    ) -> Iterator[Rows]:
        converter = BlockConverter(
            header, self._columns, self._encoder, keeps_source=self._keeps_source
        )
        with OrderedWorkers(WORKERS, ahead=WORKERS, name="convert") as workers:
            ahead = workers.map(converter.convert, block_splitter.blocks())
            for block, converted in ahead:
                if converted is None:
                    lines = FallbackLines(chain([block], (following for following, _ in ahead)))
                    lines_above = partial(lines_before, file, block.offset)
                    for record in slow.records_below(lines, header, part, lines_above):
                        lines.row_done()
                        yield record
                else:
                    slow.nul_bytes += converted.nul_bytes
                    yield converted


def _names(header: bytes | None) -> list[str] | None:
    """Return the columns that a header names; ``None`` where it is not plain what they are."""
    if not header or b"\0" in header:
        return None
    try:
        rows = list(csv.reader(io.StringIO(header.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return rows[0] if len(rows) == 1 else None


_DECAY_MILLISECONDS = 5000


def use_lean_pool() -> None:
    """Let Arrow use jemalloc, where it has it and nobody says otherwise.

    Blocks come and go by the hundred, in several threads. Under Arrow's usual allocator a run
    needs a fifth more memory, and given back at once, the next block pays for each page anew.
    """
    if (
        os.environ.get("ARROW_DEFAULT_MEMORY_POOL")
        or "jemalloc" not in pa.supported_memory_backends()
    ):
        return
    pa.jemalloc_set_decay_ms(_DECAY_MILLISECONDS)
    pa.set_memory_pool(pa.jemalloc_memory_pool())
