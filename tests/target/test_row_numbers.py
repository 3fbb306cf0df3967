from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.models import RowError
from target_demandbase.row_errors import BASES, RowNumbers, row_numbers

CELLS = st.sampled_from(["", "a", "A", "b"])


def table(*cells: str) -> Callable[[int, str], str | None]:
    """Return the reader of a file with the one column ``name``."""
    return lambda row, field: cells[row] if field == "name" else None


def error(number: int | None, value: str | None = None, field: str | None = "name") -> RowError:
    return RowError(row_number=number, field=field, value=value)


def solve(errors: Sequence[RowError], *cells: str) -> RowNumbers:
    return row_numbers(errors, len(cells), table(*cells))


@pytest.mark.parametrize("base", BASES)
def test_returned_values_show_the_base(base: int) -> None:
    wrong = error(2 + base, " c ")
    numbers = solve([wrong], "a", "b", "c", "d", "e")
    assert numbers.base == base
    assert numbers.index(wrong) == 2
    assert numbers.candidates(wrong) == (2,)


@pytest.mark.parametrize(("number", "base"), [(0, 0), (3, 1), (4, 2)])
def test_numbers_at_the_edges_show_the_base_without_values(number: int, base: int) -> None:
    edges = [error(number)] if base != 1 else [error(1), error(number)]
    # Only rows 1 to 3 of three leave no other base; 0 and 4 do so on their own.
    assert solve(edges, "x", "x", "x").base == base


def test_what_several_bases_fit_stays_open_and_keeps_all_rows_concerned() -> None:
    wrong = error(2, "a")
    numbers = solve([wrong], "a", "b", "a", "a")
    assert numbers.base is None
    assert numbers.index(wrong) is None
    assert numbers.candidates(wrong) == (0, 2)


def test_what_no_base_fits_keeps_the_rows_of_all_bases() -> None:
    numbers = solve([error(1, "A"), error(1, "other")], "a", "b", "c")
    assert numbers.base is None
    assert numbers.candidates(error(1)) == (0, 1)
    assert numbers.candidates(error(4)) == (2,)
    assert numbers.candidates(error(9)) == ()


def test_an_empty_value_speaks_for_an_empty_cell_and_one_left_out_for_none() -> None:
    cells = ("a", "", "c", "d", "e")
    assert solve([error(2, "")], *cells).base == 1
    assert solve([error(2, " ")], *cells).base == 1
    assert solve([error(2)], *cells).base is None


def test_capitals_differ() -> None:
    assert solve([error(2, "A")], "a", "A", "a").base == 1


def test_fields_that_are_not_in_the_file_say_nothing() -> None:
    assert solve([error(2, "z", field="other")], "a", "b", "c").base is None
    assert solve([error(2, "z", field=None)], "a", "b", "c").base is None


def test_an_error_without_a_number_is_about_no_row() -> None:
    numbers = solve([error(None, "a"), error(0, "a")], "a", "b")
    assert numbers.base == 0
    assert numbers.index(error(None)) is None
    assert numbers.candidates(error(None)) == ()


def test_an_error_beyond_the_rows_has_no_index() -> None:
    assert solve([error(0, "a")], "a", "b").index(error(7)) is None


def test_without_errors_the_base_is_open() -> None:
    assert solve([], "a").base is None


@given(st.data())
def test_the_rejected_row_is_always_among_the_candidates(data: st.DataObject) -> None:
    cells = data.draw(st.lists(CELLS, min_size=1, max_size=8))
    base = data.draw(st.sampled_from(BASES))
    rejected = data.draw(st.lists(st.integers(0, len(cells) - 1), min_size=1, max_size=5))
    errors = [
        error(row + base, cells[row] if data.draw(st.booleans()) else None) for row in rejected
    ]
    numbers = solve(errors, *cells)
    assert numbers.base in {None, base}
    for row, wrong in zip(rejected, errors, strict=True):
        assert row in numbers.candidates(wrong)
        assert numbers.index(wrong) in {None, row}


@given(
    st.lists(st.builds(error, st.integers(-5, 20) | st.none(), CELLS | st.none())),
    st.lists(CELLS),
)
def test_candidates_are_rows_that_were_sent(errors: list[RowError], cells: list[str]) -> None:
    numbers = solve(errors, *cells)
    for wrong in errors:
        found = numbers.candidates(wrong)
        assert all(0 <= row < len(cells) for row in found)
        assert list(found) == sorted(set(found))
        index = numbers.index(wrong)
        assert index is None or found == (index,)
