"""Date-times of all usual formats become canonical texts equal to their cast values."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase import cast
from tap_demandbase.arrow import values as values_
from tap_demandbase.arrow.spellings import format_timestamps, rewritten
from tests.examples import examples

pytestmark = pytest.mark.thorough


def binary(texts: list[str | None]) -> pa.Array:
    return pa.array([text if text is None else text.encode() for text in texts], pa.binary())


def read(texts: list[str | None]) -> pa.ChunkedArray | None:
    return values_.read_typed(pa.chunked_array([binary(texts)]), cast.to_date_time)


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
    assert rewritten_texts(texts) == cast_texts(texts)


@examples(300)
@given(
    st.lists(st.none() | st.datetimes(), max_size=4),
    st.sampled_from("T "),
    st.sampled_from([None, 0, 1, 3, 6, 7]),
    st.sampled_from(["", "Z", " Z", "+00:00", "-0530", "+14:00", "+02", "+24:00", "+0060"]),
    st.none() | usual(),
)
def test_a_column_of_one_form_is_rewritten_as_cast(
    timestamps: list[datetime | None], sep: str, digits: int | None, zone: str, other: str | None
) -> None:
    def text(timestamp: datetime) -> str:
        whole = timestamp.replace(microsecond=0).isoformat(sep)
        fraction = f"{timestamp.microsecond:06d}0"[:digits]
        return whole + (f".{fraction}" if digits else "") + zone

    texts = [*(None if timestamp is None else text(timestamp) for timestamp in timestamps), other]
    assert rewritten_texts(texts) == cast_texts(texts)


def cast_texts(texts: list[str | None]) -> list[str | None] | None:
    try:
        return [cast.to_date_time(text or "") for text in texts]
    except ValueError:
        return None


def rewritten_texts(texts: list[str | None]) -> list[str | None] | None:
    try:
        made = rewritten(binary(texts), cast.to_date_time).to_pylist()
    except ValueError:
        return None
    return [text and text.decode() for text in made]
