"""Whole columns are read as Arrow's values only if each is what casting makes of its cell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase import cast
from tap_demandbase.arrow.values import read_typed
from tests.examples import examples
from tests.tap.test_canonical import ALPHABETS, Cast, doubtful

pytestmark = pytest.mark.thorough

Typed = int | float | bool | date | None

# From what casting makes to what Python has for Arrow's value.
AS_TYPED: dict[Cast, Callable[[cast.Value], Typed]] = {
    cast.to_integer: lambda value: int(str(value)),
    cast.to_number: lambda value: float(str(value)),
    cast.to_boolean: bool,
    cast.to_date: lambda value: date.fromisoformat(str(value)),
    cast.to_date_time: lambda value: datetime.fromisoformat(str(value)).replace(tzinfo=UTC),
}


def typed(texts: list[str | None], to_value: Cast) -> list[Typed] | None:
    cells = [text if text is None else text.encode() for text in texts]
    values = read_typed(pa.chunked_array([cells, []], pa.binary()), to_value)
    return None if values is None else values.to_pylist()


@pytest.mark.parametrize("to_value", list(ALPHABETS))
@examples(500)
@given(data=st.data())
def test_what_is_read_is_what_casting_makes(to_value: Cast, data: st.DataObject) -> None:
    text = data.draw(doubtful(to_value))
    values = typed([text, None], to_value)
    if values is not None:
        assert values == [AS_TYPED[to_value](to_value(text)), None]


@examples(500)
@given(st.text("0123456789.", max_size=25), st.sampled_from(["", "e5", "E-7", "e400", "e00005"]))
def test_a_number_is_read_only_with_all_of_its_digits(digits: str, exponent: str) -> None:
    values = typed([digits + exponent], cast.to_number)
    if values is not None:
        assert Decimal(repr(values[0])) == cast.to_number(digits + exponent)


@pytest.mark.parametrize(
    ("to_value", "text", "value"),
    [
        (cast.to_integer, "-9223372036854775808", -(2**63)),
        (cast.to_integer, "007", 7),
        (cast.to_number, "0.1234567890123456", 0.1234567890123456),
        (cast.to_number, "-1.5E3", -1500.0),
        (cast.to_boolean, "false", False),
        (cast.to_date, "2024-02-29", date(2024, 2, 29)),
        (cast.to_date_time, "2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_usual_cells_are_read(to_value: Cast, text: str, value: Typed) -> None:
    assert typed([text, None, text], to_value) == [value, None, value]
    assert typed([], to_value) == []
    assert typed([None], to_value) == [None]


@pytest.mark.parametrize(
    ("to_value", "text"),
    [
        (cast.to_integer, "0x1F"),
        (cast.to_integer, "9223372036854775808"),
        (cast.to_number, "0.12345678901234567890"),
        (cast.to_number, "inf"),
        (cast.to_number, "1e00005"),
        (cast.to_boolean, "1"),
        (cast.to_date, "0000-01-01"),
        (cast.to_date_time, "0000-01-01T00:00:00Z"),
        (cast.to_date_time, "2026-01-01T10Z"),
    ],
)
def test_one_doubtful_cell_sends_all_to_the_slow_path(to_value: Cast, text: str) -> None:
    assert typed([None, text], to_value) is None
