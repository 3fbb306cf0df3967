"""How row errors lead to rows, whatever the numbering and the form of the values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.models import RowError
from target_demandbase.row_errors import (
    BASES,
    UNCORRELATED,
    Outcome,
    Rejections,
    RowReject,
    SentRows,
    count_rows,
    read_errors,
    rejected_rows,
)

CELLS = st.sampled_from(["", "a", "A", "b", "name 1", "name 10", "x\ny"])
FORMS: list[Callable[[str], str]] = [str, str.lower, str.upper, lambda text: f" {text} "]
TEN = [[f"d{n}.example", f"Name {n}"] for n in range(10)]


def sent(*rows: Sequence[str]) -> SentRows:
    """Return a file with the columns ``domain`` and ``name``, or only the latter."""
    width = max(map(len, rows), default=1)
    positions = {"name": 0} if width == 1 else {"domain": 0, "name": 1}
    return SentRows(len(rows), positions, lambda: rows)


def error(
    number: int | None, value: str | None = None, field: str | None = "name", kind: str = "odd"
) -> RowError:
    return RowError(row_number=number, field=field, value=value, error_type=kind)


def solve(errors: Sequence[RowError], *rows: str | Sequence[str]) -> Rejections:
    return rejected_rows(errors, sent(*([row] if isinstance(row, str) else row for row in rows)))


def rows_of(found: Rejections) -> tuple[set[int], set[int]]:
    """Return the rows that were certainly rejected, and those that may have been."""
    certain = {row for row, why in found.kept.items() if why.type == "odd"}
    assert all(why.type in {"odd", UNCORRELATED} for why in found.kept.values())
    assert sorted(row for row, _ in found.counted if row is not None) == sorted(certain)
    assert set(found.without_uncertain().kept) == certain
    return certain, set(found.kept) - certain


EVERY = set(range(10))


@pytest.mark.parametrize(
    ("errors", "certain", "uncertain"),
    [
        # The value is in one row only, whatever its number is.
        ([error(n, "Name 4")], {4}, set())
        for n in (4, 5, 6, 7, 99, None)
    ]
    + [
        # All errors have a number that leads to their row; the last one gives no value.
        ([error(3, "Name 0"), error(4, "Name 1"), error(6, None)], {0, 1, 3}, set()),
        ([error(0, "Name 0"), error(2, "Name 2"), error(4, "")], {0, 2, 4}, set()),
        # Without values the numbers leave several bases.
        ([error(5)], set(), {2, 3, 4, 5}),
        ([error(5, "", "domain")], set(), {2, 3, 4, 5}),
        ([error(5, "x", "other")], set(), {2, 3, 4, 5}),
        ([error(5, "x", None)], set(), {2, 3, 4, 5}),
        ([error(5, "Name 4", "NAME ")], {4}, set()),
        ([error(0)], {0}, set()),
        ([error(12)], {9}, set()),
        ([error(13)], set(), EVERY),
        ([error(-1)], set(), EVERY),
        ([error(1), error(10)], {0, 9}, set()),
        ([error(0), error(10)], set(), EVERY),
        # In the order of something else, the values still lead to their rows.
        ([error(1, "Name 7"), error(2, "Name 3")], {3, 7}, set()),
        ([error(1, "Name 7"), error(2, "Name 3"), error(3)], {3, 7}, EVERY - {3, 7}),
        # The values of two fields are swapped.
        ([error(5, "d4.example")], {4}, set()),
        # Lower case, cut off, other spaces.
        ([error(5, "name  4 ")], {4}, set()),
        ([error(5, "d4.", "domain")], {4}, set()),
        ([error(5, "D4.EX...", "domain")], {4}, set()),
        ([error(5, "D4.ex…", "domain")], {4}, set()),
        ([error(5, "Na")], set(), EVERY),
        ([error(5, "4")], set(), EVERY),
        # A value that is nowhere.
        ([error(5, "***")], set(), EVERY),
        ([error(5, "***"), error(6, "Name 5")], {5}, EVERY - {5}),
        # An error without a number is found by its value only.
        ([error(None)], set(), EVERY),
        ([error(None, "Name 4"), error(8, "Name 7")], {4, 7}, set()),
        ([error(None), error(8, "Name 7")], {7}, EVERY - {7}),
        ([error(None, "***"), error(8, "Name 7")], {7}, EVERY - {7}),
        # Different numbers are different rows.
        ([error(5, "Name 4"), error(9, "Name 4")], set(), EVERY),
        # Two errors about one row.
        ([error(5, "Name 4"), error(5, "d4.example", "domain")], {4}, set()),
        ([error(5, "Name 4"), error(5, "d9.example", "domain")], set(), EVERY),
        ([], set(), set()),
    ],
)
def test_errors_lead_to_the_rows_that_they_are_about(
    errors: list[RowError], certain: set[int], uncertain: set[int]
) -> None:
    found = solve(errors, *TEN)
    assert rows_of(found) == (certain, uncertain)
    assert len(found.counted) == count_rows(errors)


@pytest.mark.parametrize(
    ("errors", "rows", "certain", "uncertain"),
    [
        # The value of the row and of its neighbour are alike, and the base is not a usual one.
        ([error(9, "a")], ["b", "b", "a", "a", "b"], set(), {2, 3}),
        ([error(4, "a")], ["b", "b", "A", "a", "b"], set(), {2, 3}),
        ([error(4, "abc")], ["b", "b", "abcd", "abc", "b"], set(), {2, 3}),
        ([error(4, "10")], ["1", "1", "10.0", "10", "1"], set(), {2, 3}),
        ([error(4, "10")], ["1", "1", "10.0", "2", "1"], {2}, set()),
        ([error(4, "1e1")], ["1", "1", "10", "2", "1"], {2}, set()),
        # As many errors as rows with the value.
        ([error(9, "a"), error(8, "a")], ["b", "b", "a", "a", "b"], {2, 3}, set()),
        ([error(n, "a") for n in (7, 8, 9)], ["b", "b", "a", "a", "b"], set(), {0, 1, 2, 3, 4}),
        # An empty value does not speak for an empty cell.
        ([error(9, "")], ["", "b", "c"], set(), {0, 1, 2}),
        # What one error is about cannot be what another is about.
        ([error(9, "ab"), error(8, "abc")], ["x", "ab", "abc"], {1, 2}, set()),
        ([error(9, "abc"), error(8, "abcd")], ["x", "abcd", "abce"], {1, 2}, set()),
        (
            [error(9, "abc"), error(8, "abc"), error(7, "abcd")],
            ["x", "abcd", "abce"],
            {1},
            {0, 2},
        ),
        # The value is that of another row's other field.
        ([error(9, "x")], [["x", "1"], ["2", "x"], ["3", "4"]], set(), {0, 1}),
        ([error(9, "x", "domain")], [["1", "x"], ["x", "3"]], set(), {0, 1}),
        # Other forms of a letter.
        ([error(1, "strasse")], ["STRASSE", "b"], {0}, set()),
        ([error(1, "ａｂ")], ["ab", "b"], {0}, set()),  # noqa: RUF001
    ],
)
def test_values_that_are_alike_leave_no_row_out(
    errors: list[RowError],
    rows: list[str | list[str]],
    certain: set[int],
    uncertain: set[int],
) -> None:
    assert rows_of(solve(errors, *rows)) == (certain, uncertain)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\n\n"])
@pytest.mark.parametrize("base", BASES)
def test_numbers_may_be_those_of_physical_lines(line_break: str, base: int) -> None:
    rows = [f"{n:04}{line_break}x" if n % 2 else f"{n:04}" for n in range(200)]
    lines = len(line_break.replace("\r\n", "\n"))
    starts = list(accumulate((1 + lines * (n % 2) for n in range(200)), initial=0))
    known = [error(starts[n] + base, rows[n]) for n in (20, 55)]
    # The last line of a row is as good as the first.
    [last] = rows_of(solve([*known, error(starts[71] + base + lines)], *rows))[0] - {20, 55}
    assert last == 71
    # Without values, each row that a numbering leads to.
    certain, uncertain = rows_of(solve([error(starts[71] + base)], *rows))
    assert certain == set()
    assert {71, starts[71]} <= uncertain
    assert len(uncertain) <= 8


def test_a_numbering_that_many_values_prove_narrows_rows_that_are_alike() -> None:
    rows = ["a" if n % 3 == 0 else "b" for n in range(3000)]
    rows[1700] = "only here"
    proved = [error(1701, "only here"), error(4, "a"), error(2999, "b")]
    assert rows_of(solve(proved, *rows)) == ({3, 1700, 2998}, set())
    # An error without a number is found by its value all the same.
    rows[40] = "nor here"
    assert rows_of(solve([*proved, error(None, "nor here")], *rows))[0] == {3, 40, 1700, 2998}
    # Two rows of three may be right by accident.
    assert rows_of(solve([error(2999, "b")], *rows))[0] == set()
    assert len(solve([error(2999, "b")], *rows).kept) == rows.count("b")


def test_one_odd_error_keeps_all_rows_and_counts_once() -> None:
    found = solve([error(5, "Name 4"), error(6, "??", "name"), error(7, "!!")], *TEN)
    assert [row for row, _ in found.counted] == [4, None, None]
    assert {row: why.type for row, why in found.kept.items()} == {
        row: "odd" if row == 4 else UNCORRELATED for row in range(10)
    }
    assert found.without_uncertain() == Rejections(found.counted, {4: found.kept[4]})


@pytest.mark.parametrize(
    ("wrong", "reject"),
    [
        (RowError(1, "name", "kind", "a", "words"), RowReject("kind", "words", "name")),
        (RowError(1, "name", "kind", "a"), RowReject("kind", "kind", "name")),
        (
            RowError(1, "name", None, "a"),
            RowReject("unknown", "Demandbase gave no reason", "name"),
        ),
    ],
)
def test_the_reason_is_that_of_the_server(wrong: RowError, reject: RowReject) -> None:
    assert solve([wrong], "a", "b").kept == {0: reject}
    odd = RowError(1, wrong.field, wrong.error_type, "?", wrong.message)
    kept = solve([odd], "a", "b").kept
    assert kept == dict.fromkeys((0, 1), RowReject(UNCORRELATED, reject.reason, "name"))


def test_rows_with_one_value_have_the_reasons_in_the_order_of_their_numbers() -> None:
    found = solve(
        [RowError(n, "name", f"kind_{n}", "a") for n in (9, 2)], "b", "a", *("b" * 6), "a"
    )
    assert {row: why.type for row, why in found.kept.items()} == {1: "kind_2", 8: "kind_9"}
    assert [row for row, _ in found.counted] == [1, 8]


@given(st.data())
def test_a_rejected_row_is_always_kept(data: st.DataObject) -> None:
    cells = data.draw(st.lists(CELLS, min_size=1, max_size=8))
    base = data.draw(st.sampled_from(BASES))
    form: Callable[[str], str] = data.draw(st.sampled_from(FORMS))
    rejected = data.draw(st.sets(st.integers(0, len(cells) - 1), min_size=1, max_size=5))
    errors = [
        error(row + base, form(cells[row]) if data.draw(st.booleans()) else None)
        for row in sorted(rejected)
    ]
    found = solve(errors, *cells)
    assert rejected <= set(found.kept)
    assert rows_of(found)[0] <= rejected


@given(
    st.lists(st.builds(error, st.integers(-5, 20) | st.none(), CELLS | st.none())),
    st.lists(CELLS, min_size=1),
)
def test_any_errors_count_once_and_keep_enough_rows_that_were_sent(
    errors: list[RowError], cells: list[str]
) -> None:
    found = solve(errors, *cells)
    assert len(found.counted) == count_rows(errors)
    assert set(found.kept) <= set(range(len(cells)))
    assert len(found.kept) >= min(len(found.counted), len(cells))
    rows_of(found)


def test_errors_are_read_again_until_there_are_enough_or_no_more() -> None:
    first, second, unnumbered = error(1, "a"), error(2, "b"), error(None, "c")
    pages = [[first], [second, second], [first, unnumbered, unnumbered]]

    def read_all(expected: int | None, *script: list[RowError]) -> tuple[list[RowError], int]:
        left = list(script)
        found = read_errors(lambda: left.pop(0), expected)
        return list(found), len(script) - len(left)

    assert read_all(None, *pages) == ([first], 1)
    assert read_all(1, *pages) == ([first], 1)
    assert read_all(2, *pages) == ([first, second], 2)
    assert read_all(4, *pages) == ([first, second, unnumbered, unnumbered], 3)
    assert read_all(4, [first], [first], [second]) == ([first], 2)
    assert read_all(9, [first], [second], [error(3)], [error(4)]) == ([first, second, error(3)], 3)
    assert read_all(2, [unnumbered], [unnumbered] * 2) == ([unnumbered] * 2, 2)


@pytest.mark.parametrize(
    ("errors", "rows"),
    [
        ([], 0),
        ([error(1), error(1, "b"), error(2)], 2),
        ([error(None), error(None), error(1)], 3),
        ([error(0)], 1),
    ],
)
def test_errors_count_by_row(errors: list[RowError], rows: int) -> None:
    assert count_rows(errors) == rows


@pytest.mark.parametrize(
    ("sent_rows", "succeeded", "kept", "is_complete", "is_certain"),
    [
        (3, 3, {}, True, True),
        (3, 2, {1: RowReject("odd", "")}, False, True),
        (3, 2, {1: RowReject(UNCORRELATED, "")}, False, False),
        (3, 2, {0: RowReject("odd", ""), 1: RowReject(UNCORRELATED, "")}, False, False),
        (3, 2, {}, False, False),
    ],
)
def test_an_outcome_is_certain_if_just_the_rejected_rows_are_kept(
    sent_rows: int,
    succeeded: int,
    kept: dict[int, RowReject],
    is_complete: bool,  # noqa: FBT001
    is_certain: bool,  # noqa: FBT001
) -> None:
    outcome = Outcome(sent_rows, succeeded, kept)
    assert (outcome.is_complete, outcome.is_certain) == (is_complete, is_certain)
