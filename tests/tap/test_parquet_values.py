"""What values Parquet files hold: those of the cells with all of their digits, or none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase.arrow import splitter
from tap_demandbase.arrow.batch_files import Parquet
from tap_demandbase.arrow.reader import BlockConverter
from tap_demandbase.arrow.splitter import Block
from tap_demandbase.arrow.values import Column
from tap_demandbase.discovery import SCHEMA_BY_TYPE
from tests.examples import examples

pytestmark = pytest.mark.thorough

NUMBER = Column.from_schema("amount", {"type": ["null", "number"]})
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False) | st.floats(
    allow_nan=False, allow_infinity=False
).map(lambda number: Decimal(repr(number)))


class ParquetFromTexts(Parquet):
    """The format, from values without Arrow types."""

    is_typed = False


CELLS = {
    "string": st.sampled_from(["", '""', "a", '"a,b"', '"a ""b"""', '"l\r\nl"', "é", '" "']),
    "integer": st.sampled_from(["", '""', "0", "-7", "007", "9007199254740993", '"12"'])
    | st.integers(-(10**19), 10**19).map(str),
    "number": st.sampled_from(["", "0", "-0", "1.50", '"2.5"', "1e3", "0.1234567890123456789"]),
    "boolean": st.sampled_from(["", "true", '"false"']),
    "date": st.sampled_from(["", '"2024-02-29"']) | st.dates().map(str),
    "datetime": st.sampled_from(["", '"2026-01-31T23:59:59Z"', "2026-01-31 10:20"])
    | st.datetimes().map(lambda timestamp: f"{timestamp.isoformat()}Z"),
}
# Two of each, for all of a type are read together.
KINDS = {f"{kind}_{number}": kind for kind in CELLS for number in (1, 2)}
ROWS = st.fixed_dictionaries({name: CELLS[kind] for name, kind in KINDS.items()})


@examples(300)
@given(st.lists(ROWS, min_size=1, max_size=4), st.permutations(list(KINDS)))
def test_cells_that_are_read_as_values_at_once_are_those_that_their_texts_make(
    rows: list[dict[str, str]], names: list[str]
) -> None:
    columns = [Column.from_schema(name, SCHEMA_BY_TYPE[KINDS[name]]) for name in names]
    data = "".join(",".join(row[name] for name in names) + "\n" for row in rows).encode()
    block = Block(data, 0, splitter.find_quotes(data))
    form = Parquet(columns, None)
    made = BlockConverter(names, columns, form).convert(block)
    expected = BlockConverter(names, columns, ParquetFromTexts(columns, None)).convert(block)
    assert (made is None) == (expected is None)
    if made is not None and expected is not None:
        assert made.rows == expected.rows == len(rows)
        assert made.encoded.equals(expected.encoded)


def test_values_that_arrow_reads_as_python_does_are_never_texts_on_their_way() -> None:
    columns = [Column.from_schema(name, SCHEMA_BY_TYPE[kind]) for name, kind in KINDS.items()]
    seen: list[dict[str, pa.DataType]] = []

    class SpyingParquet(Parquet):
        def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
            seen.append({name: column.type for name, column in values.items()})
            return super().encode(values)

    data = b"a,a,1,2,1.5,2.5,true,,2026-01-31,,2026-01-31T01:02:03Z,\n"
    converter = BlockConverter(list(KINDS), columns, SpyingParquet(columns, None))
    assert converter.convert(Block(data, 0, splitter.find_quotes(data))) is not None
    types = {
        "string": pa.binary(), "integer": pa.int64(), "number": pa.float64(),
        "boolean": pa.bool_(), "date": pa.date32(), "datetime": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    assert seen == [{name: types[kind] for name, kind in KINDS.items()}]


@examples(500)
@given(st.lists(st.none() | DECIMALS, max_size=4))
def test_parquet_takes_a_number_only_with_all_of_its_digits(numbers: list[Decimal | None]) -> None:
    texts = [None if number is None else str(number).encode() for number in numbers]
    exact = [number is None or Decimal(repr(float(number))) == number for number in numbers]
    try:
        rows = Parquet([NUMBER], None).encode({"amount": pa.array(texts, pa.binary())})
    except ValueError:
        assert not all(exact)
    else:
        assert all(exact)
        assert [row["amount"] for row in rows.to_pylist()] == [
            None if number is None else float(number) for number in numbers
        ]
