"""Lines of JSON that are joined from columns, however many these are."""

from __future__ import annotations

import json
from itertools import cycle, islice
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase.arrow.json_lines import RecordLines
from tap_demandbase.arrow.values import Column
from tests.examples import examples

pytestmark = pytest.mark.thorough

SCHEMAS = ({"type": ["null", "string"]}, {"type": ["null", "integer"]})
TEXTS = st.lists(st.none() | st.text('a"\\\n\u2028', max_size=3), min_size=1, max_size=7)
NUMBERS = st.lists(st.none() | st.integers(-99, 99), min_size=1, max_size=7)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 40, 300])
@examples(30)
@given(texts=TEXTS, numbers=NUMBERS)
def test_each_line_is_its_row(
    count: int, texts: list[str | None], numbers: list[int | None]
) -> None:
    columns = [Column.from_schema(f"c{number}", SCHEMAS[number % 2]) for number in range(count)]
    drawn = (cycle(texts), cycle(numbers))
    cells = {
        column.name: list(islice(drawn[number % 2], 2)) for number, column in enumerate(columns)
    }
    values = {
        name: pa.array([None if cell is None else str(cell).encode() for cell in row], pa.binary())
        for name, row in cells.items()
    }
    lines = RecordLines(columns, '{"row":', lambda: "}").encode(values).to_pylist()
    assert [json.loads(line)["row"] for line in lines] == [
        {name: row[place] for name, row in cells.items()} for place in range(2)
    ]
    assert all(line.endswith(b"}}\n") and line.count(b"\n") == 1 for line in lines)


FLAGS = {"type": ["null", "boolean"]}
LONG = st.text('aé"\\\n', max_size=3).map(lambda text: 2000 * text)


@examples(60)
@given(
    rows=st.integers(1, 400),
    pools=st.lists(
        st.lists(st.none() | st.booleans(), min_size=1, max_size=4)
        | st.lists(st.none() | st.text('a"\n\u2028', max_size=3), min_size=1, max_size=20)
        | st.lists(st.none() | LONG, min_size=1, max_size=4)
        | st.just([str(number) for number in range(400)])
        | st.just([str(number // 100) for number in range(400)]),
        min_size=1,
        max_size=9,
    ),
)
def test_columns_of_few_values_are_those_of_their_rows(rows: int, pools: list[list[Any]]) -> None:
    columns = [
        Column.from_schema(f"c{n}", FLAGS if {*map(type, pool)} & {bool} else SCHEMAS[0])
        for n, pool in enumerate(pools)
    ]
    # Each column repeats its values in another rhythm.
    cells = [
        [pool[(row // (n + 1)) % len(pool)] for row in range(rows)] for n, pool in enumerate(pools)
    ]
    values = {column.name: binary(row) for column, row in zip(columns, cells, strict=True)}
    lines = RecordLines(columns).encode(values).to_pylist()
    assert [list(json.loads(line).values()) for line in lines] == list(
        map(list, zip(*cells, strict=True))
    )


def binary(cells: list[Any]) -> pa.Array:
    texts = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
    return pa.array([None if text is None else text.encode() for text in texts], pa.binary())
