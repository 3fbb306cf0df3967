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
    from collections.abc import Mapping, Sequence

    from target_demandbase.blocks.column_kind import PlainColumn
    from target_demandbase.blocks.record_block import RecordBlock

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_SECONDS = b"0000-00-00T00:00:00Z"
_TEXT, _INTEGER, _BOOLEAN = pa.string(), pa.int64(), pa.bool_()
_MOMENT = pa.timestamp("s", "UTC")
_WITHOUT_HEADER = pyarrow.csv.WriteOptions(include_header=False, batch_size=1 << 20)


class NotPlainError(ValueError):
    """A value needs a closer look; which one is not said."""


def block_cells(block: RecordBlock, columns: Mapping[str, PlainColumn]) -> dict[str, pa.Array]:
    """Return the cells of a block by column.

    Args:
        block: The block.
        columns: Its columns, and maybe others.

    Raises:
        NotPlainError: A value is absent, or cannot be made a cell of in this way.
    """
    found: dict[str, pa.Array] = {}
    try:
        # All of a kind at once: what a column costs is for the most part the call.
        for kind in ColumnKind:
            alike = [columns[name] for name in block.columns if columns[name].kind is kind]
            if alike:
                names = [column.name for column in alike]
                cells = _cells(kind, block.values_of(names))
                found |= {
                    name: cells.slice(number * block.rows, block.rows)
                    for number, name in enumerate(names)
                }
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # Their words may quote a value.
        raise NotPlainError from None
    if any(cells.null_count and not columns[name].nullable for name, cells in found.items()):
        raise NotPlainError
    return found


def _cells(kind: ColumnKind, values: list[Any]) -> pa.Array:
    match kind:
        case ColumnKind.TEXT:
            return pa.array(values, _TEXT)
        case ColumnKind.INTEGER:
            return pa.array(values, _INTEGER)
        case ColumnKind.BOOLEAN:
            return pa.array(values, _BOOLEAN)
        case ColumnKind.NUMBER:
            return _numbers(values)
        case ColumnKind.DATE_TIME:
            return _date_times(values)
        case _:
            assert_never(kind)


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
    if not pa.types.is_string(column.type) or empty == len(column):
        return empty
    # Most columns have no empty text, which is found out with one call.
    if pc.index(column, "").as_py() >= 0:
        empty += pc.sum(pc.equal(column, "")).as_py()
    return empty


def _numbers(values: list[Any]) -> pa.Array:
    text = b"\n".join(values)
    # Each is one JSON value: of these characters it can be no other than null or a number without
    # an exponent, whose text is its cell.
    if text.translate(None, b"0123456789.-\nnul"):
        raise NotPlainError
    if b"-" in text and b"\n-0\n" in b"\n%s\n" % text:
        raise NotPlainError  # minus nought has a sign as a number with decimals only
    found = pc.split_pattern(pa.scalar(text, _TEXT), "\n").values
    if len(text) >= MAX_DIGITS and pc.max(pc.binary_length(found)).as_py() >= MAX_DIGITS:
        raise NotPlainError
    return pc.if_else(pc.equal(found, "null"), None, found) if b"null" in text else found


def _date_times(values: list[Any]) -> pa.Array:
    found = pa.array(values, _TEXT)
    if _are_whole_seconds(found):
        return found
    return pa.array([value and encode_cell(value, is_date_time=True) for value in values], _TEXT)


def _are_whole_seconds(column: pa.Array) -> bool:
    """Return whether all texts are such as ``2026-01-02T03:04:05Z``: a date-time's own form."""
    count = len(column) - column.null_count
    text = column.buffers()[2].to_pybytes() if count else b""
    # One after the other, and nothing between. Arrow knows a year 0, which is none.
    if text.translate(_DIGITS) != _SECONDS * count or b"0000-" in text:
        return False
    try:
        # That each text is one of them shows here.
        pc.cast(column, _MOMENT)
    except pa.ArrowInvalid:
        return False  # no day of the calendar
    return True
