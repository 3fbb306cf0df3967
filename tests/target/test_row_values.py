from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.row_values import MIN_PREFIX, Quote, find_rows, folded, plain_name

TEXTS = st.text("ab ", max_size=6).map(folded)


@pytest.mark.parametrize(
    ("value", "cell", "is_alike"),
    [
        ("abc", "ABC", True),
        ("a b", " A\n b ", True),
        ("abc", "abcd", True),
        ("ab", "abc", False),
        ("abcd", "abc", False),
        ("bcd", "abcd", False),
        ("abc...", "abcd", True),
        ("abc…", "abcd", True),
        ("abc ...", "abc d", True),
        ("abc...", "abc...", True),
        ("...", "abc", False),
        ("ｓｔｒａßｅ", "STRASSE", True),
        ("10", "10.0", True),
        ("1e1", "10", True),
        ("+10", "010", True),
        ("10", "100", False),
        ("100", "1000", True),
        ("nan", "NaN", True),
        ("snan", "nan", False),
        ("1e999999999999999999", "1", False),
        ("5", "five", False),
    ],
)
def test_forms_of_a_value_are_alike(value: str, cell: str, is_alike: bool) -> None:  # noqa: FBT001
    quote = Quote(0, folded(value))
    assert find_rows([quote], [["x"], [cell], ["y"]])[quote] == ({1} if is_alike else set())


@given(st.sets(TEXTS), st.lists(TEXTS), st.lists(TEXTS))
def test_all_rows_with_a_value_are_found(
    values: set[str], first: list[str], second: list[str]
) -> None:
    rows = list(zip(first, second, strict=False))
    quotes = [Quote(position, value) for value in values for position in (0, 1, None)]

    def fits(quote: Quote, cells: tuple[str, ...]) -> bool:
        found = cells if quote.position is None else cells[quote.position : quote.position + 1]
        is_prefix = len(quote.value) >= MIN_PREFIX
        return any(
            cell == quote.value or (is_prefix and cell.startswith(quote.value)) for cell in found
        )

    assert find_rows(quotes, rows) == {
        quote: {number for number, cells in enumerate(rows) if fits(quote, cells)}
        for quote in quotes
    }


def test_names_are_compared_by_their_letters_and_digits() -> None:
    assert plain_name("Engagement Score 2") == plain_name("engagement_score_2")
    assert plain_name("a") != plain_name("b")
