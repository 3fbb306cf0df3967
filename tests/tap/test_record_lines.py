"""Lines of JSON that are joined from columns, however many these are."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_demandbase.blocks.cells import Column
from tap_demandbase.blocks.record_lines import RecordLines

SCHEMAS = ({"type": ["null", "string"]}, {"type": ["null", "integer"]})


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 40, 300])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_each_line_is_its_row(count: int, data: st.DataObject) -> None:
    columns = [Column.of(f"c{number}", SCHEMAS[number % 2]) for number in range(count)]
    cells = {
        column.name: data.draw(
            st.lists(
                st.none() | (st.text('a"\\\n\u2028', max_size=3) if column.is_text
                             else st.integers(-99, 99).map(str)),
                min_size=2, max_size=2,
            )
        )
        for column in columns
    }  # fmt: skip
    values = {
        name: pa.array([text and text.encode() for text in texts], pa.binary())
        for name, texts in cells.items()
    }
    lines = RecordLines(columns, '{"row":', lambda: "}").lines(values).to_pylist()
    assert [json.loads(line)["row"] for line in lines] == [
        {
            column.name: text if text is None or column.is_text else int(text)
            for column in columns
            for text in [cells[column.name][row]]
        }
        for row in range(2)
    ]
    assert all(line.endswith(b"}}\n") and line.count(b"\n") == 1 for line in lines)
