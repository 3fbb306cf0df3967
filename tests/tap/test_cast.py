from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase import cast


@given(st.integers())
def test_whole_numbers_are_exact_whatever_their_size(number: int) -> None:
    assert cast.to_integer(str(number)) == number


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_numbers_keep_all_digits(number: Decimal) -> None:
    assert cast.to_number(format(number, "f")) == number


@given(st.dates())
def test_dates_stay_as_they_are(day: date) -> None:
    assert cast.to_date(day.isoformat()) == day.isoformat()


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_timestamps_are_canonical_in_utc(naive: datetime, offset: int) -> None:
    timestamp = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))
    result = cast.to_date_time(timestamp.isoformat())
    assert result is not None
    assert result.endswith("Z")
    assert datetime.fromisoformat(result) == timestamp.astimezone(UTC)


@given(st.text(min_size=1))
def test_text_is_unchanged(text: str) -> None:
    assert cast.to_string(text) == text


@pytest.mark.parametrize(
    "function",
    [
        cast.to_string,
        cast.to_integer,
        cast.to_number,
        cast.to_boolean,
        cast.to_date,
        cast.to_date_time,
    ],
)
def test_an_empty_cell_is_null(function: Callable[[str], cast.Value]) -> None:
    assert function("") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("YES", True), ("1", True), ("False", False), ("no", False), ("0", False)],
)
def test_booleans_are_read_in_any_case(text: str, value: bool) -> None:  # noqa: FBT001
    assert cast.to_boolean(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000),
        ("12.0", 12),
        ("-2.50E+1", -25),
        ("+5", 5),
        pytest.param("1e1000", 10**1000, id="1e1000"),
    ],
)
def test_whole_numbers_in_other_clothes_are_read(text: str, value: int) -> None:
    assert cast.to_integer(text) == value


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "216.54"),
        ({"type": "integer"}, "1_000"),
        ({"type": "integer"}, " 5"),
        ({"type": "integer"}, "0x1F"),
        ({"type": "integer"}, "1e9999"),
        ({"type": "integer"}, "1e1001"),
        ({"type": "number"}, "NaN"),
        ({"type": "number"}, "inf"),
        ({"type": "number"}, "1,5"),
        ({"type": "boolean"}, "2"),
        ({"type": "string", "format": "date"}, "2026-02-30"),
        ({"type": "string", "format": "date"}, "2026-01-01T10:00:00Z"),
        ({"type": "string", "format": "date"}, "2026-01-01T00:00:01Z"),
        ({"type": "string", "format": "date"}, "2026-01-01T00:00:00.000001Z"),
        ({"type": "string", "format": "date-time"}, "yesterday"),
        ({"type": "string", "format": "date-time"}, "0001-01-01T00:00:00+14:00"),
    ],
)
def test_what_does_not_fit_is_rejected_without_its_text(schema: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message must be empty
        cast.caster(schema)(text)
    if "Z" not in text and "30" not in text:
        assert text not in str(caught.value)
