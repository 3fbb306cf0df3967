"""Date-times of all spellings become the texts that they become one by one."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.arrow.date_times import utc_texts, with_dates
from target_demandbase.csv_writer import MIDNIGHT, encode_value
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.thorough

DAYS = ["2026-01-02", "2024-02-29", "2026-02-29", "0001-01-01", "0000-12-31", "9999-12-31", "1-1-1"]
TIMES = [
    "03:04:05",
    "03:04:05",
    "00:00:00",
    "23:59:59",
    "23:59:60",
    "24:00:00",
    "03:04",
    "03",
    "030405",
]
FRACTIONS = ["", "", ".000", ".000000", ".5", ".123", ".123456", ".000001", ".1234567", "."]
ZONES = [
    "Z",
    "",
    "+00:00",
    "-00:00",
    "+0000",
    "+00",
    "+02:00",
    "-1130",
    "+24:00",
    "+02:60",
    "z",
    " Z",
]
MOMENTS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(DAYS), st.sampled_from("TT t"), st.sampled_from(TIMES),
        st.sampled_from(FRACTIONS), st.sampled_from(ZONES),
    ),
)  # fmt: skip
ODD = st.none() | st.sampled_from(["", "2026-01-02", "2026-01-02T", " 2026-01-02T03:04:05Z", "x"])
ALIKE = st.builds(
    lambda days, end: [f"2026-01-{day:02d}{end}" for day in days],
    st.lists(st.integers(1, 31), min_size=1, max_size=3),
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from("T "), st.sampled_from(TIMES), st.sampled_from(FRACTIONS),
            st.sampled_from(ZONES),
        ),
    ),
)  # fmt: skip


@examples(1000)
@given(texts=ALIKE | st.lists(MOMENTS | ODD, min_size=1, max_size=4))
def test_date_times_are_written_as_one_by_one(texts: Sequence[str | None]) -> None:
    expected: list[str | None] | None = None
    with suppress(ValueError):
        expected = [text and encode_value(text, is_date_time=True) for text in texts]
    found: list[str | None] | None = None
    with suppress(ValueError):
        found = utc_texts(pa.array(texts, pa.string())).to_pylist()
    assert found == expected


@examples(300)
@given(texts=ALIKE | st.lists(MOMENTS | ODD, min_size=1, max_size=4))
def test_midnight_becomes_a_date(texts: Sequence[str | None]) -> None:
    with suppress(ValueError):
        written = utc_texts(pa.array(texts, pa.string()))
        expected = [text and re.sub(MIDNIGHT, r"\1", text) for text in written.to_pylist()]
        assert with_dates(written).to_pylist() == expected
