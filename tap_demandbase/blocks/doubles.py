"""Reads numbers as doubles where these have all of their digits."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase import cast
from tap_demandbase.blocks.bytes_view import bytes_of

_SURE_LENGTH = 15
"""A decimal of so many digits comes out of a double as it went in, if it has no exponent."""


def read(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return numbers as doubles; ``None`` where one loses a digit, or is none that casting takes.

    Raises:
        pa.ArrowInvalid: Arrow takes one for no number.
    """
    doubles = texts.cast(pa.float64())
    is_exact = pc.all(pc.is_finite(doubles), min_count=0).as_py() and _are_exact(texts, doubles)
    return doubles if is_exact else None


def _are_exact(texts: pa.ChunkedArray, doubles: pa.ChunkedArray) -> bool:
    lengths = pc.binary_length(texts)
    longest = pc.max(lengths).as_py()
    if longest is None or (longest <= _SURE_LENGTH and not _has_exponents(texts)):
        return True
    doubtful = pc.or_(
        pc.greater(lengths, _SURE_LENGTH), pc.match_substring(texts, "e", ignore_case=True)
    )
    pairs = zip(
        texts.filter(doubtful).to_pylist(), doubles.filter(doubtful).to_pylist(), strict=True
    )
    try:
        return all(Decimal(repr(double)) == cast.to_number(text) for text, double in pairs)
    except ValueError:
        return False


def _has_exponents(texts: pa.ChunkedArray) -> bool:
    return any(mark in bytes_of(chunk) for chunk in texts.chunks for mark in (b"e", b"E"))
