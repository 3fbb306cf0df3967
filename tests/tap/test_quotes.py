"""Quotes are valid exactly where strict CSV has them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase.arrow import splitter
from tests.examples import examples

pytestmark = pytest.mark.thorough

CELL = r'(?:"(?:[^"]|"")*"|[^",\r\n]*)'
STRICT = re.compile(rf"(?:{CELL}(?:,|\r\n|\n|\r))*{CELL}")


def are_valid(text: str) -> bool:
    data = text.encode()
    return splitter.are_valid_quotes(data, splitter.find_quotes(data))


@examples(3000)
@given(st.text('"",\r\naé', max_size=16))
def test_quotes_are_valid_exactly_in_strict_csv(text: str) -> None:
    assert are_valid(text) == (STRICT.fullmatch(text) is not None)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_usual_rows_are_strict(end: str) -> None:
    plain, empty, quoted = "a,,b", '"",,""', '"She said ""yes"",\r\n\nthen left",""""'
    assert are_valid("".join(row + end for row in (plain, quoted, empty, plain)) * 99)


@pytest.mark.parametrize("cell", ['a"b', '"a"b', '"a', 'a"', '"a" ', ' "a"', 'a""b', '"a"""b'])
@pytest.mark.parametrize("around", ["x,{},x\n", "{},x\n", "x,{}\n", "x,{}"])
def test_one_cell_that_is_not_strict_is_found_among_many(cell: str, around: str) -> None:
    assert not are_valid('"x,y",""""\n' * 99 + around.format(cell))
