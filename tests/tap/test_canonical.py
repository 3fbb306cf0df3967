"""A column counts as canonical only if each cell equals its cast value."""

from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase import cast
from tap_demandbase.arrow import values
from tap_demandbase.arrow.json_lines import escape
from tests.examples import examples

pytestmark = pytest.mark.thorough

Cast = Callable[[str], cast.Value]

ALPHABETS: dict[Cast, str] = {
    cast.to_integer: "0011259+-.xXeEF _\u0665",
    cast.to_number: "0015+-.eExnaif _",
    cast.to_boolean: "trufalsTRUE10 ",
    cast.to_date: "0129-/ T",
    cast.to_date_time: "0123-:TtZz .+",
}
WELL_KNOWN: dict[Cast, list[str]] = {
    cast.to_integer: ["0", "-1", "007", "-0", "-", "0x1F", "0X1f", "-0x1", "9223372036854775807",
                      "9223372036854775808", "-9223372036854775809", " 1", "1 ", "+1", "1e3"],
    cast.to_number: ["1.50", "-0", "00.5", ".5", "5.", "NaN", "inf", "1e400", "0x1F", "1" * 400],
    cast.to_boolean: ["true", "false", "True", "1", "t"],
    cast.to_date: ["2024-02-29", "2023-02-29", "0000-01-01", "0001-01-01", "9999-12-31", "2026-1-1",
                   "10000-01-01", "-001-01-01", "2026-13-01", "2026/01/01"],
    cast.to_date_time: ["2026-01-01T10:20:30Z", "2026-01-01 10:20:30Z", "0000-01-01T00:00:00Z",
                        "2026-01-01T24:00:00Z", "2026-01-01T10:20:60Z", "2023-02-29T00:00:00Z",
                        "2026-01-01T10:20+0100", "2026-01-01T10:20:30z", "2026-01-01T10:20:3Z",
                        "2026-01-01T10:20+01:0", "9999-12-31T23:59:59Z", "2026-01-01T10+01:00",
                        "2026-01-01T1020:30+00", "20260101T10:20:30+00"],
}  # fmt: skip


def is_as_cast(text: str, to_value: Cast) -> bool:
    try:
        value = to_value(text)
    except ValueError:
        return False
    canonical = json.dumps(value) if isinstance(value, bool) else str(value)
    # A number is sent with its own digits.
    return text == canonical or (to_value is cast.to_number and json.loads(text) == float(text))


def are_canonical(texts: list[str | None], to_value: Cast) -> bool:
    cells = [text if text is None else text.encode() for text in texts]
    return values.are_canonical(pa.chunked_array([cells, []], pa.binary()), to_value)


@st.composite
def doubtful(draw: st.DrawFn, to_value: Cast) -> str:
    """Return a text that is canonical, or nearly."""
    alphabet, known = st.sampled_from(ALPHABETS[to_value]), st.sampled_from(WELL_KNOWN[to_value])
    text = draw(st.text(alphabet, min_size=1, max_size=21) | known)
    if draw(st.booleans()):  # one letter of a known one is another
        base = draw(known)
        at = draw(st.integers(0, len(base) - 1))
        text = base[:at] + draw(alphabet) + base[at + 1 :]
    return text


@pytest.mark.parametrize("to_value", list(ALPHABETS))
@examples(500)
@given(data=st.data())
def test_a_canonical_column_equals_its_cast_values(to_value: Cast, data: st.DataObject) -> None:
    text = data.draw(doubtful(to_value))
    if are_canonical([text, None], to_value):
        assert is_as_cast(text, to_value)


@pytest.mark.parametrize(
    ("to_value", "text"),
    [
        (cast.to_integer, "-9223372036854775808"),
        (cast.to_number, "-123456789012345678901234567890.10"),
        (cast.to_boolean, "false"),
        (cast.to_date, "2024-02-29"),
        (cast.to_date_time, "2024-02-29T23:59:59Z"),
    ],
)
def test_a_column_of_usual_cells_is_canonical(to_value: Cast, text: str) -> None:
    assert are_canonical([text, None, text], to_value)
    assert are_canonical([], to_value)
    assert are_canonical([None], to_value)


@examples(500)
@given(st.lists(st.none() | st.text(st.sampled_from('a"\\\n\r\t\b\f\0\x1f\x7f\x85\u2028\u2029é\u2027') | st.characters(codec="utf-8")), max_size=5))  # fmt: skip  # noqa: E501
def test_json_reads_escaped_texts_as_they_were(texts: list[str | None]) -> None:
    cells = pa.array([text if text is None else text.encode() for text in texts], pa.binary())
    for text, line in zip(texts, escape(cells).to_pylist(), strict=True):
        if text is None:
            assert line is None
        else:
            assert json.loads(b'"' + line + b'"') == text
            assert len(line.decode().splitlines()) <= 1
