"""Rows as records, and in files of each format, arrive as the same bytes."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
import simplejson
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from pyarrow import parquet
from singer_sdk.contrib.batch_encoder_parquet import ParquetBatcher
from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig, StorageTarget

from demandbase_sandbox import Sandbox
from target_demandbase.arrow.parquet_rows import row_lines
from tests.examples import examples
from tests.target.conftest import QuickTarget, schema

pytestmark = pytest.mark.thorough

Row = dict[str, Any]

TEXT = {"type": ["string", "null"]}
PLAIN: dict[str, Any] = {
    "domain": {"type": "string"},
    "name": TEXT,
    "industry": TEXT,
    "segment": TEXT,
    "employee_count": {"type": ["integer", "null"]},
    "annual_revenue": {"type": ["number", "null"]},
    "engagement_score": {"type": ["number", "null"]},
    "is_target": {"type": ["boolean", "null"]},
    "renewal_date": {**TEXT, "format": "date"},
    "scored_at": {**TEXT, "format": "date-time"},
}
NESTED = {**PLAIN, "notes": {"type": ["object", "null"]}, "country": {"type": ["array", "null"]}}
TYPES = {
    "domain": pa.string(),
    "name": pa.large_string(),
    "industry": pa.dictionary(pa.int32(), pa.string()),
    "segment": pa.binary(),
    "employee_count": pa.int64(),
    "annual_revenue": pa.decimal128(38, 2),
    "engagement_score": pa.float64(),
    "is_target": pa.bool_(),
    "renewal_date": pa.date32(),
    "scored_at": pa.timestamp("us", "America/New_York"),
    "notes": pa.struct([("at", pa.timestamp("us")), ("of", pa.list_(pa.int64()))]),
    "country": pa.list_(pa.decimal128(38, 2)),
}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))  # noqa: DTZ001
decimals = st.decimals(-(10**30), 10**30, places=2).filter(
    lambda each: each or not each.is_signed()
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": texts,
    "industry": st.sampled_from(["", "a", 'b"\n', "ü\u2028"]),
    "segment": st.binary(max_size=5),
    "employee_count": st.integers(-(2**63), 2**63 - 1),
    "annual_revenue": decimals,
    "engagement_score": st.floats(allow_nan=False, allow_infinity=False),
    "is_target": st.booleans(),
    "renewal_date": st.dates(),
    "scored_at": st.one_of(moments, moments.map(lambda at: at.replace(microsecond=0))).map(
        lambda at: at.replace(tzinfo=UTC)
    ),
    "notes": st.builds(
        lambda at, of: {"at": at, "of": of},  # a struct has one order
        moments,
        st.lists(st.one_of(st.none(), st.integers(0, 2**62)), max_size=2),
    ),
    "country": st.lists(st.one_of(st.none(), decimals), max_size=2),
}


def as_json(value: Any) -> Any:  # noqa: ANN401
    """Return a value as a record has it."""
    match value:
        case datetime():
            return value.replace(tzinfo=None).isoformat() + ("Z" if value.tzinfo else "")
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case dict():
            return {name: as_json(each) for name, each in value.items()}
        case list():
            return [as_json(each) for each in value]
        case _:
            return value


def line(row: Row) -> str:
    record = {name: as_json(value) for name, value in row.items()}
    return str(simplejson.dumps(record, use_decimal=True)) + "\n"


def batch(url: str, **encoding: str) -> list[str]:
    return [json.dumps({"type": "BATCH", "stream": "accounts", "encoding": encoding,
                        "manifest": [url]})]  # fmt: skip


def as_records(rows: list[Row], _: Path) -> list[str]:
    opening = '{"type": "RECORD", "stream": "accounts", "record": '
    return [opening + line(row)[:-1] + "}" for row in rows]


def as_lines(rows: list[Row], folder: Path) -> list[str]:
    path = folder / "rows.jsonl"
    path.write_text("".join(map(line, rows)), encoding="utf-8")
    return batch(path.as_uri(), format="jsonl")


def as_parquet(rows: list[Row], folder: Path) -> list[str]:
    path = folder / "rows.parquet"
    of_types = pa.schema([(name, TYPES[name]) for name in rows[0]])
    table = pa.Table.from_pylist(rows, of_types)
    parquet.write_table(table, path, row_group_size=7, compression="zstd", data_page_size=64)
    return batch(path.as_uri(), format="parquet")


def as_the_sdk_does(rows: list[Row], folder: Path) -> list[str]:
    encoding = BaseBatchFileEncoding("parquet", "gzip")
    config = BatchConfig(encoding, StorageTarget(str(folder)), len(rows))
    [[url]] = ParquetBatcher("tap", "accounts", config).get_batches(iter(rows))
    return batch(url, format="parquet", compression="gzip")


def sent(sandbox: Sandbox, properties: Row, messages: list[str]) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        own = {name: str(Path(folder, name)) for name in ("spool_dir", "rejects_path", "state_dir")}
        access = {"api_url": sandbox.url, "access_token": sandbox.token}
        target = QuickTarget(config={**access, **own, "dry_run": True})
        target.listen(io.StringIO("\n".join([json.dumps(schema(properties)), *messages])))
        return [file.read_bytes() for file in sorted(Path(folder).rglob("*.csv"))]


@pytest.mark.parametrize("properties", [PLAIN, NESTED], ids=["plain", "nested"])
@given(data=st.data())
@examples(12, suppress_health_check=[*HealthCheck], phases=[Phase.generate])
def test_rows_arrive_as_the_same_bytes(
    sandbox: Sandbox, properties: Row, data: st.DataObject
) -> None:
    members = {name: st.one_of(st.none(), VALUES[name]) for name in properties if name != "domain"}
    drawn = data.draw(st.lists(st.fixed_dictionaries(members), min_size=1, max_size=40))
    rows = [{"domain": f"d{number}.example", **row} for number, row in enumerate(drawn)]
    forms: list[Callable[[list[Row], Path], list[str]]]
    forms = [as_records, as_lines, as_parquet, as_the_sdk_does]
    with tempfile.TemporaryDirectory() as folder:
        first, *others = [sent(sandbox, properties, form(rows, Path(folder))) for form in forms]
    assert len(first) == 1
    assert others == [first] * len(others)


def cells(array: pa.Array, **options: Any) -> list[str]:  # noqa: ANN401
    """Return a column as the target reads it from a file, as JSON."""
    file = io.BytesIO()
    parquet.write_table(pa.table({"c": array}), file, **options)
    return [line[5:-1].decode() for block in row_lines(file) for line in block]


def moment(kind: str, *ticks: int | None, zone: str | None = None) -> pa.Array:
    return pa.array(ticks, pa.int64()).cast(pa.timestamp(kind, zone))


MAP = pa.map_(pa.string(), pa.float32())


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([2**53 + 1, None, -(2**63)]), ["9007199254740993", "null", str(-(2**63))]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([0.1, 1e22, 1.0]), ["0.1", "1e22", "1.0"]),
        (pa.array([float("nan"), float("-inf"), 1.5]), ["NaN", "-Infinity", "1.5"]),
        (pa.array([0.1, None], pa.float32()), ["0.1", "null"]),
        (pa.array([Decimal("0.0000000001"), Decimal(-7)]), ["0.0000000001", "-7.0000000000"]),
        (pa.array([Decimal(10) ** 70], pa.decimal256(76, 2)), ["1" + "0" * 70 + ".00"]),
        (moment("s", 1500, None), ['"1970-01-01T00:25:00"', "null"]),
        (moment("ms", 1500, 0), ['"1970-01-01T00:00:01.500000"', '"1970-01-01T00:00:00"']),
        (moment("us", -1, zone="Asia/Tokyo"), ['"1969-12-31T23:59:59.999999Z"']),
        (moment("ns", 1500, 10**9), ['"1970-01-01T00:00:00.000001500"', '"1970-01-01T00:00:01"']),
        (moment("ns", 1000, zone="UTC"), ['"1970-01-01T00:00:00.000001Z"']),
        (moment("s", 253402300800), ['"10000-01-01T00:00:00"']),
        (pa.array([3723], pa.int32()).cast(pa.time32("s")), ['"01:02:03"']),
        (pa.array([date(2024, 2, 29)], pa.date64()), ['"2024-02-29"']),
        (pa.array([1500], pa.duration("ms")), ['"1970-01-01T00:00:01.500000Z"']),
        (pa.array([b"\x00\xff"], pa.binary(2)), ['"00ff"']),
        (pa.array([bytes(16)], pa.binary(16)).cast(pa.uuid()), [f'"{UUID(int=0)}"']),
        (pa.array([[1, None], None, []]), ["[1,null]", "null", "[]"]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), ["[1,2]", "null"]),
        (pa.array([{"a": [None]}, None]), ['{"a":[null]}', "null"]),
        (pa.array([[("a", 0.1), ('"', None)], None], MAP), ['{"a":0.1,"\\"":null}', "null"]),
        (pa.array([[(1, True)]], pa.map_(pa.int8(), pa.bool_())), ['{"1":true}']),
        (pa.array(['é"\n', "", None]), ['"é\\"\\n"', '""', "null"]),
        (pa.nulls(2), ["null", "null"]),
    ],
)  # fmt: skip
def test_types_become_the_values_that_records_have(array: pa.Array, expected: list[str]) -> None:
    assert cells(array) == expected


def test_old_timestamps_keep_years_that_nanoseconds_do_not_reach() -> None:
    early = pa.array([datetime(1000, 1, 2)])  # noqa: DTZ001
    assert cells(early, use_deprecated_int96_timestamps=True) == ['"1000-01-02T00:00:00"']


class Reads(io.BytesIO):
    """A file that knows the size of the largest read."""

    largest = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.largest = max(self.largest, len(found))
        return found


def test_a_large_file_is_read_in_parts() -> None:
    file = Reads()
    table = pa.table({"c": pa.array(f"{number:0100}" for number in range(100_000))})
    parquet.write_table(table, file, use_dictionary=False, compression="none")
    del table
    before = pa.total_allocated_bytes()
    most = rows = 0
    for block in row_lines(file):
        most = max(most, pa.total_allocated_bytes() - before)
        rows += len(block)
    assert rows == 100_000
    assert most < 4 << 20 < 9 << 20 < len(file.getvalue())
    assert file.largest < 2 << 20
