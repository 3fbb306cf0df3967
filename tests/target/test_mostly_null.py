from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.batching import NullCounter
from tests.examples import examples

pytestmark = pytest.mark.thorough


def mostly_null(rows: int, empty: int, most_rows: int | None = None) -> bool:
    counter = NullCounter(most_rows)
    for number in range(rows):
        cells = {"id": 0, "notes": int(number < empty)}
        counter.add(1, {column: cells[column] for column in counter.counted(tuple(cells))})
    found = counter.mostly_null()
    assert found in {(), ("notes",)}
    return bool(found)


@pytest.mark.parametrize(
    ("rows", "empty", "named"),
    [
        (99, 99, False),
        (100, 95, False),
        (100, 96, True),
        (100, 100, True),
        (1000, 950, False),
        (1000, 951, True),
        (0, 0, False),
    ],
)
def test_columns_are_named_over_95_percent_of_at_least_100_rows(
    rows: int,
    empty: int,
    named: bool,  # noqa: FBT001
) -> None:
    assert mostly_null(rows, empty) is named


@given(st.integers(0, 300), st.integers(0, 300), st.none() | st.integers(300, 500))
def test_the_limit_is_exact(rows: int, empty: int, most_rows: int | None) -> None:
    empty = min(empty, rows)
    assert mostly_null(rows, empty, most_rows) == (rows >= 100 and 20 * empty > 19 * rows)


@examples(30)
@given(st.lists(st.booleans(), min_size=100, max_size=200))
def test_columns_that_cannot_be_named_any_more_need_not_be_counted(blanks: list[bool]) -> None:
    counted, spared = NullCounter(), NullCounter(len(blanks))
    for is_blank in blanks:
        counted.add(1, {"a": int(is_blank)})
        spared.add(1, dict.fromkeys(spared.counted(["a"]), int(is_blank)))
    assert counted.mostly_null() == spared.mostly_null()


def test_several_columns_come_in_their_order() -> None:
    counter = NullCounter()
    counter.add(100, {"b": 100, "id": 0, "a": 100})
    assert counter.mostly_null() == ("b", "a")


def test_rows_that_do_not_have_a_column_do_not_blank_it() -> None:
    counter = NullCounter()
    counter.add(60, {"a": 60})
    counter.add(60, {})
    assert counter.mostly_null() == ()


def test_a_column_is_counted_over_all_sets_of_columns() -> None:
    counter = NullCounter()
    for other in "bcd":
        counter.add(50, {"a": 50, other: 0})
    assert counter.mostly_null() == ("a",)
