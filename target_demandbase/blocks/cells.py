"""From a column's values to the cells of a CSV file, all rows of a block at once; pure functions.

What they make is, byte for byte, what :mod:`target_demandbase.encode` and
:mod:`target_demandbase.csv_row` make of one value after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from target_demandbase.blocks.column_kind import ColumnKind
from target_demandbase.encode import MAX_DIGITS, encode_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_demandbase.blocks.column_kind import PlainColumn

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_SECONDS = b"0000-00-00T00:00:00Z"
_TEXT, _INTEGER, _BOOLEAN = pa.string(), pa.int64(), pa.bool_()
_MOMENT = pa.timestamp("s", "UTC")
_WITHOUT_HEADER = pyarrow.csv.WriteOptions(include_header=False, batch_size=1 << 20)


class NotPlainError(ValueError):
    """A value needs a closer look; which one is not said."""


def block_cells(
    columns: Sequence[tuple[PlainColumn, Sequence[Any]]],
) -> tuple[list[pa.Array], bool]:
    """Return the cells of some columns, in their order, and whether texts may be empty.

    Args:
        columns: The columns and their values; numbers as their JSON text.

    Raises:
        NotPlainError: A value is absent, or cannot be made a cell of in this way.
    """
    found: dict[str, pa.Array] = {}
    has_empty_texts = False
    try:
        # All of a kind at once: what a column costs is for the most part the call.
        for kind in ColumnKind:
            alike = [item for item in columns if item[0].kind is kind]
            if not alike:
                continue
            match kind:
                case ColumnKind.TEXT:
                    texts = pa.array(_chained(alike), _TEXT)
                    has_empty_texts |= pc.min(pc.binary_length(texts)).as_py() == 0
                    found |= _parted(alike, texts)
                case ColumnKind.INTEGER:
                    found |= _parted(alike, pa.array(_chained(alike), _INTEGER))
                case ColumnKind.BOOLEAN:
                    found |= _parted(alike, pa.array(_chained(alike), _BOOLEAN))
                case ColumnKind.NUMBER:
                    found |= _numbers(alike)
                case ColumnKind.DATE_TIME:
                    moments, are_whole_seconds = _date_times(alike)
                    found |= moments
                    has_empty_texts |= not are_whole_seconds
                case _:
                    assert_never(kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # Their words may quote a value.
        raise NotPlainError from None
    return [found[column.name] for column, _ in columns], has_empty_texts


def csv_lines(blocks: Sequence[Sequence[pa.Array]]) -> pa.Buffer:
    """Return the rows of some blocks of the same columns as lines of CSV."""
    names = [str(number) for number in range(len(blocks[0]))]
    table = pa.Table.from_batches([pa.record_batch(list(cells), names) for cells in blocks])
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, sink, _WITHOUT_HEADER)
    return sink.getvalue()


def empty_cells(column: pa.Array) -> int:
    """Return how many cells of a column are empty."""
    empty: int = column.null_count
    if pa.types.is_string(column.type) and empty < len(column):
        empty += pc.sum(pc.equal(pc.binary_length(column), 0)).as_py() or 0
    return empty


def _chained(columns: Sequence[tuple[PlainColumn, Sequence[Any]]]) -> list[Any]:
    chained: list[Any] = []
    for _, values in columns:
        chained += values
    return chained


def _parted(
    columns: Sequence[tuple[PlainColumn, Sequence[Any]]], cells: pa.Array
) -> dict[str, pa.Array]:
    rows = len(columns[0][1])
    return {
        column.name: cells.slice(number * rows, rows) for number, (column, _) in enumerate(columns)
    }


def _numbers(columns: Sequence[tuple[PlainColumn, Sequence[Any]]]) -> dict[str, pa.Array]:
    text = b"\n".join(_chained(columns))
    # Each is one JSON value: of these characters it can be no other than null or a number without
    # an exponent, whose text is its cell.
    if text.translate(None, b"0123456789.-\nnul"):
        raise NotPlainError
    if b"-" in text and b"\n-0\n" in b"\n%s\n" % text:
        raise NotPlainError  # minus nought has a sign as a number with decimals only
    found = pc.split_pattern(pa.scalar(text, _TEXT), "\n").values
    if len(text) >= MAX_DIGITS and pc.max(pc.binary_length(found)).as_py() >= MAX_DIGITS:
        raise NotPlainError
    if b"null" in text:
        found = pc.if_else(pc.equal(found, "null"), None, found)
    cells = _parted(columns, found)
    if any(cells[column.name].null_count and not column.nullable for column, _ in columns):
        raise NotPlainError
    return cells


def _date_times(
    columns: Sequence[tuple[PlainColumn, Sequence[Any]]],
) -> tuple[dict[str, pa.Array], bool]:
    """Return the cells, and whether all of them came in their own form."""
    found = pa.array(_chained(columns), _TEXT)
    if _are_whole_seconds(found):
        return _parted(columns, found), True
    return {
        column.name: pa.array(
            [value and encode_cell(value, is_date_time=True) for value in values], _TEXT
        )
        for column, values in columns
    }, False


def _are_whole_seconds(column: pa.Array) -> bool:
    """Return whether all texts are such as ``2026-01-02T03:04:05Z``: a date-time's own form."""
    lengths = pc.min_max(pc.binary_length(column)).as_py()
    size = len(_SECONDS)
    if lengths["min"] is None:
        return True
    if not lengths["min"] == lengths["max"] == size:
        return False
    count = len(column) - column.null_count
    text = memoryview(column.buffers()[2])[: count * size].tobytes()
    # Arrow knows a year 0, which is none.
    if text.translate(_DIGITS).count(_SECONDS) != count or b"0000-" in text:
        return False
    try:
        pc.cast(column, _MOMENT)
    except pa.ArrowInvalid:
        return False  # no day of the calendar
    return True
