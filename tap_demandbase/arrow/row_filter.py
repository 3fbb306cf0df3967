"""Which rows of a block an incremental run sends; ``Replication.wants`` for many at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.windows import midnight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from tap_demandbase.arrow.reader import Item
    from tap_demandbase.arrow.row_block import RowBlock
    from tap_demandbase.arrow.values import Column
    from tap_demandbase.incremental import Replication


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MICROSECOND = timedelta(microseconds=1)

_DAY = timedelta(days=1)


def wanted(
    replication: Replication, items: Iterable[Item], columns: Sequence[Column]
) -> Iterator[Item]:
    """Yield what of a window goes out.

    Args:
        replication: The run, whose window has begun.
        items: The window's rows.
        columns: All properties, in the order of the records.
    """
    for item in items:
        if isinstance(item, dict):
            if replication.wants(item):
                yield item
        else:
            yield item.only(_mask(replication, item, columns))


def _mask(replication: Replication, block: RowBlock, columns: Sequence[Column]) -> pa.Array:
    source = block.source
    assert source is not None  # noqa: S101 - who narrows blocks has them keep it
    moments = _microseconds(source.values[replication.key], whole_days=replication.whole_days)
    is_new = pc.is_valid(moments)
    if replication.oldest is not None:
        is_new = pc.fill_null(pc.greater_equal(moments, _since_epoch(replication.oldest)), False)  # noqa: FBT003
    newest = pc.max(moments.filter(is_new)).as_py()
    replication.note(
        None if newest is None else _EPOCH + newest * _MICROSECOND, without_value=moments.null_count
    )
    wanted_rows = pc.or_(is_new, pc.is_null(moments))
    shared = _is_shared(replication, moments)
    if shared is None or not pc.any(shared, min_count=0).as_py():
        return wanted_rows
    shared = pc.and_(shared, is_new)
    told = [replication.wants(record) for record in source.records(shared, columns)]
    return pc.replace_with_mask(wanted_rows, shared, pa.array(told, pa.bool_()))


def _is_shared(replication: Replication, moments: pa.Array) -> pa.Array | None:
    """Return which rows are of a day that two windows share; ``None`` where there is no such."""
    days = [_is_on(day, moments) for day in replication.shared_days]
    if not days:
        return None
    either = days[0]
    for other in days[1:]:
        either = pc.or_(either, other)
    return pc.fill_null(either, False)  # noqa: FBT003


def _is_on(day: date, moments: pa.Array) -> pa.Array:
    begin = midnight(day)
    return pc.and_(
        pc.greater_equal(moments, _since_epoch(begin)),
        # The last day of the calendar has no next one.
        pc.less(moments, pa.scalar((begin - _EPOCH + _DAY) // _MICROSECOND, pa.int64())),
    )


def _microseconds(values: pa.Array, *, whole_days: bool) -> pa.Array:
    """Return the moments of dates or date-times, which may be texts in the one form, since 1970."""
    moments = values.cast(pa.string()) if values.type == pa.binary() else values
    if whole_days:
        moments = moments.cast(pa.date32()).cast(pa.timestamp("us"))
    else:
        moments = moments.cast(pa.timestamp("us", "UTC"))
    return moments.cast(pa.int64())


def _since_epoch(moment: datetime) -> pa.Scalar:
    return pa.scalar((moment - _EPOCH) // _MICROSECOND, pa.int64())
