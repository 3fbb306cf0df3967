"""Messages about rows show no value, quoted or not."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.redaction import _OPENERS, _WORDS, LEFT_OUT, mask_values

WORD = st.text(string.ascii_letters + string.digits + "-_", min_size=12, max_size=60)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("value Angela Merkel of column notes", "value *** of column ***"),
        ('row 3: the field domain holds "Ada", which is no domain',
         "row 3: the field domain holds ***, which is no domain"),
        ("Row 12 is invalid: ada@x.example", "Row 12 is invalid: ***"),
        ("Invalid date 2026-13-45 in column renewal_date", "Invalid date *** in column ***"),
        ("the file is not valid UTF-8", "the file is not valid UTF-8"),
        ("got 4111111111", "got ***"),
        ("row: 12345", "row: ***"),
        ("Grant Long", LEFT_OUT),
        ("'Ada'", LEFT_OUT),
        ("42", LEFT_OUT),
        ("", ""),
        ("Demandbase gave no reason", "Demandbase gave no reason"),
    ],
)  # fmt: skip
def test_only_listed_words_and_row_numbers_are_shown(said: str, shown: str) -> None:
    assert mask_values(said) == shown


@given(st.text())
def test_any_text_is_reduced_to_listed_words_and_row_numbers(said: str) -> None:
    text = mask_values(said)
    if text not in {"", LEFT_OUT}:
        for chunk in text.split():
            word = chunk.rstrip(".,:;")
            assert word in _WORDS | _OPENERS | {"***", ""} or word.isdigit()


@given(
    WORD.map(lambda word: f"Q{word}Q"),
    st.sampled_from(['"{}"', "'{}'", "`{}`", "“{}”", "«{}»", "{}@x.example", '"a {} b"', "{}"]),
    st.text(string.ascii_lowercase + " ,.:;", max_size=30),
)
def test_a_cell_never_survives(value: str, form: str, around: str) -> None:
    assert value not in mask_values(f"{around} {form.format(value)} {around}")


@given(st.integers(10_000, 10**18), st.sampled_from(["got {}", "row: {}!", "no such day {}"]))
def test_a_long_number_never_survives(number: int, form: str) -> None:
    assert str(number) not in mask_values(form.format(number))


def test_no_listed_word_is_a_given_name() -> None:
    assert not _WORDS & {"will", "may", "mark", "grant", "bill", "sue", "rose", "art", "rich"}
