from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.csv_writer import csv_field, csv_row, encode_value, read_rows, split_rows

pytestmark = pytest.mark.thorough

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.decimals(allow_nan=False, allow_infinity=False)
    | st.floats(allow_nan=False, allow_infinity=False)
)
def test_numbers_have_no_exponent_and_keep_their_value(number: Decimal | float) -> None:
    text = encode_value(number)
    assert "e" not in text.lower()
    expected = number if isinstance(number, Decimal) else Decimal(repr(number))
    assert Decimal(text) == expected


CELLS = st.lists(st.none() | TEXT | st.text(st.sampled_from('"\n\r,;\0')), min_size=1)


def row_of(cells: list[str | None]) -> bytes:
    return csv_row([csv_field(cell) for cell in cells])


@given(CELLS)
def test_a_row_reads_back_as_it_was(cells: list[str | None]) -> None:
    text = row_of(cells).decode()
    expected = [cell or "" for cell in cells]
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [expected]
    assert list(read_rows(row_of(cells))) == [expected]


@given(st.lists(CELLS))
def test_rows_are_found_again_whatever_is_in_them(rows: list[list[str | None]]) -> None:
    lines = [row_of(cells) for cells in rows]
    assert split_rows(b"".join(lines)) == lines


def test_null_and_an_empty_text_differ_by_quotes() -> None:
    assert row_of([None, "", "x"]) == b',"","x"\n'
    assert row_of([None]) == b'""\n'
    assert csv_row([csv_field("1", quoted=False), csv_field("true", quoted=False)]) == b"1,true\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (10**30, "1" + "0" * 30),
        (Decimal("1E+9"), "1000000000"),
        (1e-7, "0.0000001"),
        ("=1+1", "=1+1"),
        ({"b": [1, Decimal("1.5"), None]}, '{"b":[1,1.5,null]}'),
        (
            {"a": [Decimal("1.10"), Decimal("0.12345678901234567890123")]},
            '{"a":[1.10,0.12345678901234567890123]}',
        ),
        (["é😀"], '["é😀"]'),
        ([], "[]"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
    ],
)
def test_values_have_one_text(value: Any, text: str) -> None:  # noqa: ANN401
    assert encode_value(value) == text


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-700, 700))  # noqa: DTZ001
def test_moments_go_out_as_iso_in_utc(naive: datetime, offset: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))
    text = encode_value(str(moment), is_date_time=True)
    assert "T" in text
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == moment


def test_numbers_of_an_array_take_no_more_room_than_they_came_with() -> None:
    text = encode_value([Decimal("1e4000"), Decimal("-1e-4000"), Decimal("1e20")])
    assert text == "[1E+4000,-1E-4000,100000000000000000000]"


NO_NUMBERS = [Decimal("NaN"), float("inf"), Decimal("1e5000"), Decimal("1e-999999999")]


@pytest.mark.parametrize("value", [*NO_NUMBERS, *([value] for value in NO_NUMBERS)])
def test_what_is_no_number_is_refused_without_the_value(value: Any) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=r"^$"):
        encode_value(value)


@given(st.recursive(st.none() | st.booleans() | TEXT, st.lists))
def test_arrays_are_json(value: Any) -> None:  # noqa: ANN401
    if isinstance(value, list):
        assert json.loads(encode_value(value)) == value
