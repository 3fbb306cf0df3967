"""Filters the blocks of a window, as ``WindowedExport.accepts`` filters records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.windows import midnight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from tap_demandbase.arrow.row_block import RowBlock, Rows
    from tap_demandbase.arrow.values import Column
    from tap_demandbase.incremental import WindowedExport


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MICROSECOND = timedelta(microseconds=1)

_DAY = timedelta(days=1)


def accepted_rows(
    export: WindowedExport, rows: Iterable[Rows], columns: Sequence[Column]
) -> Iterator[Rows]:
    """Yield the rows that are sent of a window.

    Args:
        export: The run, whose window has been started.
        rows: Blocks with their source, and single records.
        columns: All properties, in the order of the records.
    """
    for item in rows:
        if isinstance(item, dict):
            if export.accepts(item):
                yield item
        else:
            yield item.filter(_mask(export, item, columns))


def _mask(export: WindowedExport, block: RowBlock, columns: Sequence[Column]) -> pa.Array:
    source = block.source
    assert source is not None  # noqa: S101 - the blocks of a windowed run have it
    timestamps = _microseconds(source.values[export.key], whole_days=export.whole_days)
    first, stop = export.tolerated
    export.count(far=_number_before(first, timestamps) + _number_from(stop, timestamps))
    is_new = pc.is_valid(timestamps)
    if export.oldest is not None and (before := _number_before(export.oldest, timestamps)):
        export.count(before=before)
        is_new = pc.fill_null(pc.greater_equal(timestamps, _since_epoch(export.oldest)), False)  # noqa: FBT003
    newest = pc.max(timestamps.filter(is_new)).as_py()
    export.record_values(
        None if newest is None else _EPOCH + newest * _MICROSECOND,
        without_value=timestamps.null_count,
    )
    mask = pc.or_(is_new, pc.is_null(timestamps))
    in_overlap = _in_overlap(export, timestamps)
    if in_overlap is None or not pc.any(in_overlap, min_count=0).as_py():
        return mask
    in_overlap = pc.and_(in_overlap, is_new)
    days = timestamps.filter(in_overlap).to_pylist()
    accepted = [
        export.is_new(record, (_EPOCH + value * _MICROSECOND).date())
        for record, value in zip(source.records(in_overlap, columns), days, strict=True)
    ]
    return pc.replace_with_mask(mask, in_overlap, pa.array(accepted, pa.bool_()))


def _number_before(bound: datetime | None, timestamps: pa.Array) -> int:
    """Return how many timestamps are before a bound, if any."""
    return 0 if bound is None else _number(pc.less(timestamps, _since_epoch(bound)))


def _number_from(bound: datetime | None, timestamps: pa.Array) -> int:
    """Return how many timestamps are not before a bound, if any."""
    return 0 if bound is None else _number(pc.greater_equal(timestamps, _since_epoch(bound)))


def _number(are_true: pa.Array) -> int:
    return are_true.true_count  # type: ignore[no-any-return]


def _in_overlap(export: WindowedExport, timestamps: pa.Array) -> pa.Array | None:
    """Return which rows are of a day that two windows share; ``None`` if there is no such day."""
    days = [_is_on(day, timestamps) for day in export.overlap_days]
    if not days:
        return None
    either = days[0]
    for other in days[1:]:
        either = pc.or_(either, other)
    return pc.fill_null(either, False)  # noqa: FBT003


def _is_on(day: date, timestamps: pa.Array) -> pa.Array:
    begin = midnight(day)
    return pc.and_(
        pc.greater_equal(timestamps, _since_epoch(begin)),
        # Computed from the epoch: the last day of the calendar has no next day.
        pc.less(timestamps, pa.scalar((begin - _EPOCH + _DAY) // _MICROSECOND, pa.int64())),
    )


def _microseconds(values: pa.Array, *, whole_days: bool) -> pa.Array:
    """Return dates or timestamps, typed or as canonical texts, in microseconds since 1970."""
    timestamps = values.cast(pa.string()) if values.type == pa.binary() else values
    if whole_days:
        timestamps = timestamps.cast(pa.date32()).cast(pa.timestamp("us"))
    else:
        timestamps = timestamps.cast(pa.timestamp("us", "UTC"))
    return timestamps.cast(pa.int64())


def _since_epoch(timestamp: datetime) -> pa.Scalar:
    return pa.scalar((timestamp - _EPOCH) // _MICROSECOND, pa.int64())
