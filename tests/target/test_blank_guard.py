from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.blank_guard import BlankGuard


def mostly_blank(rows: int, empty: int) -> bool:
    guard = BlankGuard(["id", "notes"])
    for number in range(rows):
        guard.row(["x", "" if number < empty else "y"])
    found = guard.mostly_blank()
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
    assert mostly_blank(rows, empty) is named


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_limit_is_exact(rows: int, empty: int) -> None:
    empty = min(empty, rows)
    assert mostly_blank(rows, empty) == (rows >= 100 and 20 * empty > 19 * rows)


def test_several_columns_come_in_their_order() -> None:
    guard = BlankGuard(["b", "id", "a"])
    for _ in range(100):
        guard.row(["", "x", ""])
    assert guard.mostly_blank() == ("b", "a")


def test_a_blank_of_spaces_is_a_value() -> None:
    guard = BlankGuard(["a"])
    for _ in range(100):
        guard.row([" "])
    assert guard.mostly_blank() == ()


def test_a_row_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="one cell for each column"):
        BlankGuard(["a"]).row([])
