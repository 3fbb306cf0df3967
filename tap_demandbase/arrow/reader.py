"""Reads a part in blocks; rows that are not certain to be read alike go through the slow path."""

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
from tap_demandbase.arrow.row_block import RowBlock, RowSource
from tap_demandbase.arrow.splitter import (
    BLOCK_BYTES,
    BlockSplitter,
    are_valid_closings,
    are_valid_openings,
    find_quotes,
)
from tap_demandbase.arrow.values import bytes_of, convert, single_value
from tap_demandbase.csv_reader import RowTooLongError, lines_before, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_demandbase.arrow.row_block import RowEncoder, Rows
    from tap_demandbase.arrow.splitter import Block
    from tap_demandbase.arrow.values import Column
    from tap_demandbase.csv_reader import PartReader

WORKERS = 2
"""Threads that convert blocks while the main thread reads and writes; each holds up to two."""

_DECAY_MILLISECONDS = 5000


class BlockReader:
    """Reads the parts of a stream's jobs in blocks.

    Args:
        columns: All properties, in the order of the records.
        encoder: Encodes the rows.
        keeps_source: Whether blocks have the values and cells that they were encoded from.
        block_bytes: Approximate size of a block.
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
            slow: Reads rows on the slow path; counts bytes and NUL bytes for both paths.
            file: The part, a gzip file or a plain one.
            part: Number of the part, counted from 1.

        Raises:
            FileFormatError: The file is no CSV with the selected columns.
            CellError: A cell does not fit its type.
        """
        with plain(file) as plain_file:
            splitter = BlockSplitter(plain_file, self._block_bytes)
            if (first := _first_row(splitter.header())) is not None:
                header = slow.header(first, part)
                if header is None:
                    # The part has no header; the first row is a record.
                    splitter.start_over()
                    header = slow.columns or []
                yield from self._blocks(slow, splitter, header, file, part)
                slow.plain_bytes += splitter.offset
                return
        yield from slow.records(file, part)

    def _blocks(
        self,
        slow: PartReader,
        splitter: BlockSplitter,
        header: list[str],
        file: BinaryIO,
        part: int,
    ) -> Iterator[Rows]:
        converter = BlockConverter(
            header, self._columns, self._encoder, keeps_source=self._keeps_source
        )
        with OrderedWorkers(WORKERS, ahead=WORKERS, name="convert") as workers:
            ahead = workers.map(converter.convert, splitter.blocks())
            for block, converted in ahead:
                if converted is None:
                    blocks = chain([block], (following for following, _ in ahead))
                    lines = FallbackLines(blocks, slow.max_row_bytes)
                    lines_above = partial(lines_before, file, block.offset)
                    for record in slow.records_below(lines, header, part, lines_above):
                        lines.row_done()
                        yield record
                else:
                    slow.nul_bytes += converted.nul_bytes
                    yield converted


def _first_row(header: bytes | None) -> list[str] | None:
    """Return the cells of the first row; ``None`` if it cannot be read for certain."""
    if not header or b"\0" in header:
        return None
    try:
        rows = list(csv.reader(io.StringIO(header.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return rows[0] if len(rows) == 1 else None


class BlockConverter:
    """Converts and encodes the blocks of one part.

    Args:
        header: The part's columns.
        columns: All properties to read.
        encoder: Encodes the rows.
        keeps_source: Whether blocks have the values and cells that they were encoded from.
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
        """Return a block's rows; ``None`` if they need the slow path."""
        if block.is_piece or block.damage is not None:
            return None
        data, are_quotes, nul_bytes = block.data, block.are_quotes, 0
        if b"\0" in data:
            if b"\r\0" in data or data.endswith(b"\0"):
                # Removing these would change where lines end.
                return None
            nul_bytes = data.count(b"\0")
            data = data.replace(b"\0", b"")
            are_quotes = find_quotes(data)
        cells = self._reader.read(data, are_quotes)
        if cells is None:
            return None
        try:
            values = convert(self._columns, cells, typed=self._encoder.is_typed)
            encoded = self._encoder.encode(values)
        except ValueError:
            return None
        source = RowSource(values, cells) if self._keeps_source else None
        return RowBlock(cells.num_rows, encoded, nul_bytes, source)


class TableReader:
    """Parses the blocks of one part.

    Args:
        header: The part's columns.
        wanted: The columns to read.
    """

    def __init__(self, header: Sequence[str], wanted: Sequence[str]) -> None:
        self._header = list(header)
        self._reads_all = sorted(header) == sorted(wanted)
        self._parse = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        # Read as binary: the encoding is checked for the whole block at once.
        self._convert = pa_csv.ConvertOptions(
            include_columns=list(wanted),
            column_types=dict.fromkeys(wanted, pa.binary()),
            null_values=[""],
            strings_can_be_null=True,
        )

    def read(self, data: bytes | bytearray, are_quotes: pa.BooleanArray) -> pa.Table | None:
        """Return the cells of a block, empty ones as null; ``None`` in case of doubt.

        Args:
            data: Whole rows.
            are_quotes: Whether each byte is a quote.
        """
        if data.startswith(BOM_UTF8):
            # Arrow would drop it, and here it is part of a cell.
            return None
        if not are_valid_closings(data, are_quotes):
            return None
        read = pa_csv.ReadOptions(
            column_names=self._header, use_threads=False, block_size=len(data) + 1
        )
        try:
            if not data.isascii():
                single_value(data, pa.string()).validate(full=True)
            # Arrow's error messages quote cells, so they are dropped.
            table = pa_csv.read_csv(pa.BufferReader(data), read, self._parse, self._convert)
        except pa.ArrowException:
            return None
        if not (
            self._reads_all and _are_all_quoted(table, are_quotes.true_count)
        ) and not are_valid_openings(data, are_quotes):
            return None
        return None if len(self._header) > 1 and _has_empty_row(table) else table


def _are_all_quoted(table: pa.Table, quotes: int) -> bool:
    """Return whether each cell begins with a quote, and no other one is single.

    Arrow removes the quotes around a cell, and one of two inside; a quote elsewhere is kept. Of 2 n
    + 2 d + s quotes, it keeps d + s.

    Args:
        table: All cells.
        quotes: Number of quotes in the file.
    """
    enclosing = 2 * table.num_rows * table.num_columns
    if quotes < enclosing:
        return False
    kept = sum(bytes_of(chunk).count(b'"') for it in table.columns for chunk in it.chunks)
    is_equal: bool = quotes - 2 * kept == enclosing
    return is_equal


def _has_empty_row(table: pa.Table) -> bool:
    """Return whether a row has only empty cells, as Arrow reads an empty line."""
    if not all(column.null_count for column in table.columns):
        return False
    empty = reduce(pc.and_, (pc.is_null(column) for column in table.columns))
    found: bool = pc.any(empty, min_count=0).as_py()
    return found


class FallbackLines:
    """The lines of a block for the slow path, and of following blocks until a row has ended.

    Args:
        blocks: The block and the following ones; only the needed ones are read.
        max_bytes: Maximum length of a line; a longer one is not kept in memory.
    """

    def __init__(self, blocks: Iterator[Block], max_bytes: int) -> None:
        self._blocks = blocks
        self._max_bytes = max_bytes
        self._lines: Iterator[str] = iter(())
        self._rest = bytearray()
        self._damage: Exception | None = None
        self._is_between_rows = False

    def row_done(self) -> None:
        """Signal that a row has ended with the last line."""
        self._is_between_rows = True

    def __iter__(self) -> Self:
        """Return the iterator itself."""
        return self

    def __next__(self) -> str:
        """Return the next line with its line end.

        Raises:
            UnicodeDecodeError: The line is not UTF-8.
            RowTooLongError: The line is too long.
        """
        while (line := next(self._lines, None)) is None:
            if self._damage is not None:
                raise self._damage
            data = b"" if self._is_between_rows and not self._rest else self._whole_lines()
            if not data and self._damage is None:
                raise StopIteration
            # Decoded line by line, so that an error has the right line number.
            self._lines = (line.decode() for line in data.splitlines(keepends=True))
        self._is_between_rows = False
        return line

    def _whole_lines(self) -> bytes | bytearray:
        """Return the next lines; what follows them in their block is kept for the next call."""
        data, self._rest = self._rest, bytearray()
        for block in self._blocks:
            known = len(data)
            data += block.data
            self._damage = block.damage
            if block.damage is not None:
                break
            # After a carriage return at the end, a line feed may follow.
            end = 1 + max(data.rfind(b"\n", known), data.rfind(b"\r", max(known - 1, 0), -1))
            if end:
                self._rest = data[end:]
                del data[end:]
                break
            if len(data) > self._max_bytes:
                raise RowTooLongError
        return data


def use_lean_pool() -> None:
    """Let Arrow use jemalloc if it is available and no other allocator is configured.

    Blocks are allocated and freed by the hundred, in several threads. With Arrow's default
    allocator a run needs a fifth more memory; if freed memory returned to the system at once, each
    block would pay for its pages again.
    """
    if (
        os.environ.get("ARROW_DEFAULT_MEMORY_POOL")
        or "jemalloc" not in pa.supported_memory_backends()
    ):
        return
    pa.jemalloc_set_decay_ms(_DECAY_MILLISECONDS)
    pa.set_memory_pool(pa.jemalloc_memory_pool())
