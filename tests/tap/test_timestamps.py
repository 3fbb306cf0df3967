"""Date-times of all usual formats become canonical texts equal to their cast values."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase import cast
from tap_demandbase.arrow import values as values_
from tap_demandbase.arrow.spellings import format_timestamps, rewritten
from tests.examples import examples

pytestmark = pytest.mark.thorough


def read(texts: list[str | None]) -> pa.ChunkedArray | None:
    cells = [text if text is None else text.encode() for text in texts]
    return values_.read_typed(pa.chunked_array([pa.array(cells, pa.binary())]), cast.to_date_time)


@st.composite
def usual(draw: st.DrawFn) -> str:
    """Return a date-time in a form that an export may have."""
    timestamp = draw(st.datetimes())
    date, time = f"{timestamp.date()}", f"{timestamp:%H:%M:%S.%f}"
    stop = draw(st.sampled_from([0, 5, 8, 10, 12, 15]))
    offset = draw(st.sampled_from(["", "Z", "+00:00", "-0530", "+14:00"])) if stop else ""
    return date + (draw(st.sampled_from("T ")) + time[:stop] + offset if stop else "")


@examples(600)
@given(st.lists(st.none() | usual(), max_size=3))
def test_they_are_as_casting_makes_them(texts: list[str | None]) -> None:
    values = read(texts)
    if values is not None:
        made = format_timestamps(values.combine_chunks()).to_pylist()
        assert [text and text.decode() for text in made] == [
            cast.to_date_time(text or "") for text in texts
        ]


@pytest.mark.parametrize(
    "form",
    ["2026-01-31T10:20:30Z", "2026-01-31T10:20:30.123Z", "2026-01-31 10:20:30.123456",
     "2026-01-31 10:20", "2026-01-31", "2026-01-31T10:20:30+02:00", "2026-01-31T10:20:30.5-0530"],
)  # fmt: skip
def test_usual_forms_are_read_by_the_column(form: str) -> None:
    assert read([form, None, form]) is not None


@pytest.mark.parametrize(
    "texts",
    [["2026-01-31T10Z"], ["2026-01-31T10+02:00"], ["0001-01-01T00:00:00+14:00"],
     ["9999-12-31T23:59:59-01:00"], ["2026-02-29T10:20:30.5Z"], ["2026-01-31T10:20:30.1234567Z"],
     ["2026-01-31T10:20:30Z", "2026-01-31T10:20:30"]],
)  # fmt: skip
def test_what_is_in_doubt_is_not_read_by_the_column(texts: list[str | None]) -> None:
    assert read(texts) is None


def test_a_column_of_several_forms_is_cast_as_well() -> None:
    texts = ["2026-01-31T10:20:30Z", "2026-01-31 10:20", None, "2026-01-31T10:20:30.1234567Z"]
    cells = pa.array([text and text.encode() for text in texts], pa.binary())
    assert [text and text.decode() for text in rewritten(cells, cast.to_date_time).to_pylist()] == [
        cast.to_date_time(text or "") for text in texts
    ]
