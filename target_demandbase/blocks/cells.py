"""From a column's values to the cells of a CSV file, all rows of a block at once; pure functions.

What they make is, byte for byte, what :mod:`target_demandbase.encode` and
:mod:`target_demandbase.csv_row` make of one value after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from target_demandbase.blocks.column_kind import ColumnKind
from target_demandbase.encode import MAX_DIGITS, encode_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_SECONDS = b"0000-00-00T00:00:00Z"
_WITHOUT_HEADER = pyarrow.csv.WriteOptions(include_header=False, batch_size=1 << 20)


class NotPlainError(ValueError):
    """A value needs a closer look; which one is not said."""


def cells(kind: ColumnKind, values: Sequence[Any], *, nullable: bool) -> pa.Array:
    """Return a column's cells.

    Args:
        kind: What the values are.
        values: The values; numbers as their JSON text.
        nullable: Whether null is one of them.

    Raises:
        NotPlainError: One is absent, or cannot be made a cell of in this way.
    """
    try:
        match kind:
            case ColumnKind.TEXT:
                return pa.array(values, pa.string())
            case ColumnKind.INTEGER:
                return pa.array(values, pa.int64())
            case ColumnKind.BOOLEAN:
                return pa.array(values, pa.bool_())
            case ColumnKind.DATE_TIME:
                return _date_times(values)
            case ColumnKind.NUMBER:
                return _numbers(values, nullable=nullable)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # Their words may quote a value.
        raise NotPlainError from None


def csv_lines(columns: Sequence[pa.Array]) -> pa.Buffer:
    """Return the rows as lines of CSV."""
    names = [str(number) for number in range(len(columns))]
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(pa.record_batch(list(columns), names), sink, _WITHOUT_HEADER)
    return sink.getvalue()


def empty_cells(column: pa.Array) -> int:
    """Return how many cells of a column are empty."""
    empty: int = column.null_count
    if pa.types.is_string(column.type):
        empty += pc.sum(pc.equal(pc.binary_length(column), 0)).as_py() or 0
    return empty


def _numbers(values: Sequence[Any], *, nullable: bool) -> pa.Array:
    text = b"\n".join(values)
    # Each is one JSON value: of these characters it can be no other than null or a number without
    # an exponent, whose text is its cell.
    if text.translate(None, b"0123456789.-\nnul"):
        raise NotPlainError
    has_null = b"null" in text
    if (has_null and not nullable) or b"\n-0\n" in b"\n%s\n" % text:
        raise NotPlainError  # minus nought has a sign as a number with decimals only
    found = pc.split_pattern(pa.scalar(text, pa.string()), "\n").values
    if pc.max(pc.binary_length(found)).as_py() >= MAX_DIGITS:
        raise NotPlainError
    return pc.if_else(pc.equal(found, "null"), None, found) if has_null else found


def _date_times(values: Sequence[Any]) -> pa.Array:
    found = pa.array(values, pa.string())
    if _are_whole_seconds(found):
        return found
    return pa.array(
        [value and encode_cell(value, is_date_time=True) for value in values], pa.string()
    )


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
    if text.translate(_DIGITS).count(_SECONDS) != count:
        return False
    try:
        least = pc.min(pc.cast(column, pa.timestamp("s", "UTC"))).as_py()
    except (pa.ArrowInvalid, ValueError, OverflowError):
        return False  # no day of the calendar, or one before the year 1
    return least is not None
