"""Rows that an incremental run sends of blocks, compared with single records."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.singerlib.json import serialize_json

from tap_demandbase.arrow import row_filter
from tap_demandbase.arrow.json_lines import record_messages
from tap_demandbase.arrow.reader import BlockReader
from tap_demandbase.arrow.values import Column
from tap_demandbase.bookmark import Bookmark
from tap_demandbase.config import StreamOptions
from tap_demandbase.csv_reader import PartReader
from tap_demandbase.incremental import WindowedExport
from tests.examples import examples

pytestmark = pytest.mark.thorough

NUMBER = {"type": ["null", "number"]}
TIMESTAMPS = st.sampled_from(
    ["", "2026-01-01T00:00:00Z", "2026-01-01T23:59:59.999999Z", "2026-01-02",
     "2026-01-02T05:00:00Z", "2026-01-03T00:00:00+05:00", "2026-01-03T00:00:00Z",
     "2026-01-04T12:00:00.5Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
)  # fmt: skip
DAYS = st.sampled_from(["", "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-05", "9999-12-31"])
AMOUNTS = st.sampled_from(["", "1", "1.0", "0.0000001", "1e-7"])
STARTS = st.sampled_from(
    [None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 5, tzinfo=UTC)]
)


def file_of(rows: list[tuple[str, str]]) -> io.BytesIO:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("seen", "amount"), *rows])
    return io.BytesIO(text.getvalue().encode())


def options(start: datetime | None, end: date) -> StreamOptions:
    return StreamOptions(
        key_properties=None,
        replication_key=None,
        account_list_id=None,
        lookback_days=0,
        lenient_numbers=False,
        window_days=1,
        start_date=start,
        end_date=end,
    )


def by_record(reader: PartReader, export: WindowedExport, file: io.BytesIO) -> Iterator[Any]:
    for record in filter(export.accepts, reader.records(file, 1)):
        yield json.loads(serialize_json(record), parse_float=str)


def by_block(reader: PartReader, export: WindowedExport, file: io.BytesIO) -> Iterator[Any]:
    columns = [Column.from_schema(*item) for item in reader.properties.items()]
    encoder = record_messages("visits", columns, None)
    blocks = BlockReader(columns, encoder, keeps_source=True, block_bytes=100)
    for item in row_filter.accepted_rows(export, blocks.read(reader, file, 1), columns):
        if isinstance(item, dict):
            yield json.loads(serialize_json(item), parse_float=str)
        else:
            for line in item.encoded.to_pylist():
                yield json.loads(line, parse_float=str)["record"]


def check(
    windows: list[list[tuple[str, str]]], start: datetime | None, *, whole_days: bool
) -> None:
    kind = "date" if whole_days else "date-time"
    properties: dict[str, dict[str, Any]] = {
        "seen": {"type": ["null", "string"], "format": kind},
        "amount": NUMBER,
    }
    outcomes = []
    for read in (by_record, by_block):
        export = WindowedExport(
            "seen", Bookmark(), options(start, date(2026, 1, 4)), date.max, whole_days=whole_days
        )
        reader = PartReader("visits", "job-1", properties, logging.getLogger("test"))
        sent = []
        for window, rows in zip(export.windows, windows, strict=False):
            export.start(window)
            list(read(reader, export, file_of(rows[:2])))
            filtered = export.start(window)  # once more, from another job
            sent.append(list(read(reader, export, file_of(rows))))
            assert len(rows) - len(sent[-1]) == filtered.left_out
            sent.append([filtered, export.advance(window, datetime.max.replace(tzinfo=UTC))])
        outcomes.append((sent, export.rows_without_value))
    assert digits(outcomes[0]) == digits(outcomes[1])


def digits(outcome: Any) -> str:  # noqa: ANN401
    return repr(outcome).replace("1E-7", "0.0000001")


@examples(300)
@given(st.lists(st.lists(st.tuples(TIMESTAMPS, AMOUNTS), max_size=12), max_size=3), STARTS)
def test_moments(windows: list[list[tuple[str, str]]], start: datetime | None) -> None:
    check(windows, start, whole_days=False)


@examples(200)
@given(st.lists(st.lists(st.tuples(DAYS, AMOUNTS), max_size=12), max_size=3), STARTS)
def test_days(windows: list[list[tuple[str, str]]], start: datetime | None) -> None:
    check(windows, start, whole_days=True)
