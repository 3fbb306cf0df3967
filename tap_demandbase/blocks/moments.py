"""Date-times: read from the forms that exports have, written in the one form."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import compute as pc

FORM_BYTES = len("2026-01-01T00:00:00Z")
"""Of this length, Arrow takes nothing but the one form and a blank in it for the T."""
_DATE_BYTES = len("2026-01-01")
_END = 64
"""Behind the last letter of any."""
_USUAL = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?\z"
)
"""What Arrow and casting both take; Arrow would take hours without minutes, too."""
_UTC = pa.timestamp("us", "UTC")
_NAIVE = pa.timestamp("us")
_FIRST = pa.scalar("0001-01-01").cast(_NAIVE).value
_LAST = pa.scalar("9999-12-31T23:59:59.999999").cast(_NAIVE).value
"""Those that Python has; Arrow has more."""


def are_of_length(texts: pa.ChunkedArray) -> bool:
    """Return whether all date-times are as long as the one form."""
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    return set(lengths.values()) <= {FORM_BYTES, None}


def read(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return moments of UTC in microseconds; ``None`` where there is doubt.

    Args:
        texts: All with an offset or Z, or none, which means UTC.

    Raises:
        pa.ArrowInvalid: One is none of the calendar.
    """
    if not are_of_length(texts) and not _are_usual(texts):
        return None
    # To try what fails takes Arrow a microsecond a cell.
    moments = texts.cast(_UTC if _has_offset(pc.first(texts).as_py()) else _NAIVE).cast(_UTC)
    least, most = (bound.value for bound in pc.min_max(moments).values())
    return moments if least is None or (least >= _FIRST and most <= _LAST) else None


def texts_of(moments: pa.Array) -> pa.Array:
    """Return moments of UTC in the one form, as binary: with a fraction where it is not zero."""
    # With its zone, Arrow writes a moment twenty times as slowly.
    naive = moments.cast(_NAIVE)
    seconds = naive.cast(pa.timestamp("s"), safe=False)
    are_whole = pc.equal(seconds.cast(_NAIVE), naive)
    return pc.if_else(are_whole, _texts_of(seconds), _texts_of(naive))


def _are_usual(texts: pa.ChunkedArray) -> bool:
    found: bool = pc.all(pc.match_substring_regex(texts, _USUAL), min_count=0).as_py()
    return found


def _has_offset(text: str | None) -> bool:
    time = text[_DATE_BYTES:] if text else ""
    return any(mark in time for mark in "Z+-")


def _texts_of(moments: pa.Array) -> pa.Array:
    """Return moments without a zone as Arrow writes them, but with T and Z."""
    texts = moments.cast(pa.string()).view(pa.binary())
    return pc.binary_replace_slice(
        pc.binary_replace_slice(texts, _DATE_BYTES, _DATE_BYTES + 1, b"T"), _END, _END, b"Z"
    )
