"""Blocks are told to be in form only if each cell is what casting makes of it."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_demandbase import cast
from tap_demandbase.blocks.cells import Column
from tap_demandbase.blocks.forms import are_short
from tap_demandbase.blocks.row_form import RowForm
from tests.tap.test_forms import doubtful, is_as_cast

Cast = Callable[[str], cast.Value]

KINDS: dict[str, Cast] = {
    "text": cast.to_string,
    "whole": cast.to_integer,
    "number": cast.to_number,
    "flag": cast.to_boolean,
    "day": cast.to_date,
    "at": cast.to_date_time,
}
GOOD = {
    "text": "a",
    "whole": "-12",
    "number": "1.50",
    "flag": "true",
    "day": "2024-02-29",
    "at": "2026-01-31T23:59:59Z",
}


def form(*names: str) -> RowForm:
    return RowForm(names, [Column(name, KINDS[name]) for name in names if name in KINDS])


def is_held(row: str, *names: str) -> bool:
    return list(form(*names).held([row.encode()])) == [True]


def row(**cells: str) -> str:
    return ",".join((GOOD | cells).values()) + "\n"


@pytest.mark.parametrize("name", ["whole", "number", "flag", "day", "at"])
@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_a_cell_in_form_is_what_casting_makes_of_it(name: str, data: st.DataObject) -> None:
    to_value = KINDS[name]
    text = data.draw(doubtful(to_value))
    quote = data.draw(st.sampled_from(["", '"']))
    if is_held(f"{quote}{text}{quote},x\n", name, "text"):
        whole = pa.chunked_array([pa.array([text.encode()])])
        assert is_as_cast(text, to_value) or not are_short(whole, to_value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_usual_rows_are_in_form(end: str) -> None:
    plain = row().replace("\n", end)
    quoted = ",".join(f'"{cell}"' for cell in GOOD.values()) + end
    empty = "," * (len(GOOD) - 1) + end
    all_quoted_empty = ",".join(['""'] * len(GOOD)) + end
    hard = row(text='"She said ""yes"",\r\n\nthen left"').replace("Z\n", f"Z{end}")
    assert is_held(plain + quoted + empty + all_quoted_empty + hard + plain, *GOOD)


@pytest.mark.parametrize(
    "cells",
    [{"day": "2023-02-29"}, {"day": "1900-02-29"}, {"day": "0000-01-01"}, {"at": "2026-01-01"},
     {"at": "2026-01-01T10:20:30.5Z"}, {"whole": "007"}, {"whole": "1.0"}, {"number": "1e3"},
     {"flag": "TRUE"}, {"text": 'a"b'}, {"text": '"a"b'}, {"text": '"a'}, {"text": "a\rb"},
     {"text": "a,b"}],
)  # fmt: skip
def test_what_is_in_doubt_is_not_in_form(cells: dict[str, str]) -> None:
    assert not is_held(row(**cells) + row(), *GOOD)


def test_a_row_that_lacks_its_end_or_a_cell_is_not_in_form() -> None:
    assert not is_held(row() + row().removesuffix("\n"), *GOOD)
    assert not is_held(row() + row().partition(",")[2], *GOOD)
    assert not is_held("\n", "text", "whole")
    assert not is_held("a\n\n", "text")


def test_leap_days_are_those_of_the_calendar() -> None:
    years = [f"{year:04}" for year in range(1, 10_000)]
    held = form("day", "text")
    found = [next(iter(held.held([f"{year}-02-29,x\n".encode(), b",\n"]))) for year in years[::7]]
    is_leap = [int(y) % 4 == 0 and (int(y) % 100 != 0 or int(y) % 400 == 0) for y in years[::7]]
    assert found == is_leap


def test_each_block_is_told_by_itself() -> None:
    blocks = [row().encode(), row(whole="x").encode(), (row() * 3).encode()]
    assert list(form(*GOOD).held(blocks)) == [True, False, True]


def test_a_file_in_another_form_is_soon_not_looked_at_any_more() -> None:
    held, odd = form(*GOOD), [row(whole="x").encode()]
    assert [list(held.held(blocks)) for blocks in (odd, odd, [row().encode()])] == [[False]] * 3


def test_columns_that_nobody_reads_hold_any_text() -> None:
    assert is_held("x,1\n", "other", "whole")


def test_a_file_of_very_many_columns_is_looked_at_column_by_column() -> None:
    names = [f"at{number}" for number in range(4000)]
    wide = RowForm(names, [Column(name, cast.to_date_time) for name in names])
    assert list(wide.held([b"," * 3999 + b"\n"])) == [False]
