"""Messages about rows show no value, quoted or not."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.redaction import (
    _MAX_READ,
    _OPENERS,
    _WORDS,
    LEFT_OUT,
    MAX_LENGTH,
    mask_values,
    plain,
    redact,
)

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


@pytest.mark.parametrize("piece", ["http://", "“", "a?b", "eyJ", "'", "bearer ", "://a", "x:/? "])
def test_the_time_for_a_text_does_not_grow_with_the_square_of_its_length(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    began = time.process_time()
    redact(text, "s3cret")
    mask_values(text)
    assert time.process_time() - began < 1


@given(
    st.sampled_from([" ", "\t", "=", '"', ""]),
    st.integers(0, 60),
    st.sampled_from(["http://a.example/b?", "a b ", "eyJ"]),
)
def test_no_part_of_a_secret_survives_where_a_long_text_is_cut(
    before: str, inside: int, start: str
) -> None:
    secret = "S3CRET" * 10
    filler = "x" * (_MAX_READ - inside - len(start) - len(before))
    assert "S3C" not in redact(f"{start}{filler}{before}{secret} and more", secret)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\x9bb\x00", "a\\x9bb\\x00"),
        ("a\r\nb\u2028c", "a  b c"),
        ("a\udc80", "a\\udc80"),
        ("Größe 5 \N{SNOWMAN}", "Größe 5 \N{SNOWMAN}"),
    ],
)
def test_nothing_in_a_text_can_control_a_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_a_plain_and_a_redacted_text_are_printable(text: str) -> None:
    assert plain(text).isprintable()
    assert redact(text).isprintable()
    assert len(redact(text)) <= MAX_LENGTH
