"""Writes date-times of all common spellings as ISO 8601 in UTC, many at a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from target_demandbase.csv_writer import encode_value

if TYPE_CHECKING:
    from collections.abc import Sequence


_TEXT = pa.string()
_NAIVE = pa.timestamp("us")
_UTC = pa.timestamp("us", "UTC")
_SECONDS = pa.timestamp("s")

_DATE_BYTES = len("2026-01-02")
_SECOND_BYTES = len("2026-01-02T03:04:05")
_MICROSECOND_BYTES = len("2026-01-02T03:04:05.123456")
_END = 2**31 - 1

_FEW = 4
"""Number of lengths of texts that are worth a step each."""

_DIGITS = bytes.maketrans(b"123456789", b"000000000")

_MOMENT = r"^(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})-\d\d-\d\d{}$"
_NAIVE_PATTERN = _MOMENT.replace("{}", r"([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?", 1)
_ZONED_PATTERN = _MOMENT.replace("{}", r"[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)", 1)
"""What both Arrow and Python read, as the same moment. Arrow reads a year 0 in addition."""

_CANONICAL = b"0000-00-00T00:00:00Z"

_SHAPE = re.compile(rb"0000-00-00[T ]00:00:00(?P<fraction>(\.0{1,6})?)(?P<zone>(Z|[+-]00:?00)?)")
"""With 0 for each digit."""

_FIRST, _LAST = (
    round(moment.replace(tzinfo=UTC).timestamp()) * 10**6 + moment.microsecond
    for moment in (datetime.min, datetime(9999, 12, 31, 23, 59, 59))  # noqa: DTZ001, DTZ901
)


def with_dates(texts: pa.Array) -> pa.Array:
    """Return date-times as ``utc_texts`` writes them, but midnight as a date."""
    dates = pc.binary_replace_slice(texts, _DATE_BYTES, _END, "")
    return pc.if_else(pc.ends_with(texts, "T00:00:00Z"), dates, texts)


def utc_texts(texts: pa.Array) -> pa.Array:
    """Return date-times as ``2026-01-02T03:04:05Z``, with microseconds if they are not zero.

    A date-time without an offset is one in UTC. Null and the empty text stay as they are.

    Raises:
        ValueError: A text is no date-time, or one that UTC cannot express.
    """
    found = _texts_by_length(texts)
    return _different_texts(texts) if found is None else found


def _alike_texts(texts: pa.Array) -> pa.Array | None:
    """Return date-times that are all spelled in the same way; ``None`` if they are not."""
    count = len(texts) - texts.null_count
    data = _bytes_of(texts)
    if not count or not data:
        return texts
    first = data[: len(data) // count]
    shape = first.translate(_DIGITS)
    spelled = _SHAPE.fullmatch(shape)
    # All texts one after the other.
    if spelled is None or data.translate(_DIGITS) != shape * count:
        return None
    zone = spelled["zone"]
    try:
        # Shows that each is a date-time by itself, of a day that exists.
        moments = pc.cast(texts, _UTC if zone else _NAIVE)
    except pa.ArrowInvalid:
        return None
    if pc.min(moments).value < _FIRST:  # Arrow reads a year 0 in addition
        return None
    if shape == _CANONICAL:
        return texts
    is_utc = zone in {b"", b"Z"} or pc.all(pc.ends_with(texts, zone)).as_py()
    return _cut(texts, shape, spelled["fraction"], zone) if is_utc else _formatted(moments)


def _cut(texts: pa.Array, shape: bytes, fraction: bytes, zone: bytes) -> pa.Array:
    """Return date-times in UTC, all of one shape, without a fraction of zero and with T and Z.

    Args:
        texts: The date-times.
        shape: The shape.
        fraction: The fraction's part of it.
        zone: What each of them ends with.
    """
    if shape[_DATE_BYTES : _DATE_BYTES + 1] != b"T":
        texts = pc.binary_replace_slice(texts, _DATE_BYTES, _DATE_BYTES + 1, "T")
    seconds = pc.binary_replace_slice(texts, _SECOND_BYTES, _END, "Z")
    if not fraction:
        return seconds
    are_whole = pc.ends_with(texts, fraction + zone)
    if pc.all(are_whole).as_py():
        return seconds
    end = _SECOND_BYTES + len(fraction)
    fill = "0" * (_MICROSECOND_BYTES - end) + "Z"
    microseconds = pc.binary_replace_slice(texts, end, _END, fill)
    if not pc.any(are_whole).as_py():
        return microseconds
    return pc.if_else(are_whole, seconds, microseconds)


def _bytes_of(texts: pa.Array) -> bytes:
    """Return the bytes of all texts, concatenated."""
    buffer = texts.buffers()[2]
    if buffer is None or not len(texts):
        return b""
    offsets = memoryview(texts.buffers()[1]).cast("i")
    return bytes(memoryview(buffer)[offsets[texts.offset] : offsets[texts.offset + len(texts)]])


def _texts_by_length(texts: pa.Array) -> pa.Array | None:
    """Return date-times of which those of each length are spelled alike; ``None`` if not."""
    alike = _alike_texts(texts)
    if alike is not None:
        return alike
    lengths = pc.binary_length(texts)
    distinct = pc.unique(lengths.drop_null())
    if len(distinct) > _FEW:
        return None
    found = texts
    for length in distinct:
        have_length = pc.fill_null(pc.equal(lengths, length), False)  # noqa: FBT003
        alike = _alike_texts(texts.filter(have_length))
        if alike is None:
            return None
        found = pc.replace_with_mask(found, have_length, alike)
    return found


def _different_texts(texts: pa.Array) -> pa.Array:
    """Return date-times of which each may be spelled in another way."""
    found = pa.nulls(len(texts), _TEXT)
    left = pc.is_valid(texts)
    for pattern, kind in ((_NAIVE_PATTERN, _NAIVE), (_ZONED_PATTERN, _UTC)):
        match = pc.fill_null(pc.match_substring_regex(texts, pattern), False)  # noqa: FBT003
        if not pc.any(match, min_count=0).as_py():
            continue
        try:
            formatted = _formatted(pc.cast(texts.filter(match), kind))
        except pa.ArrowInvalid:
            continue  # one of them is no date: each is read by itself
        if formatted is not None:
            found = pc.replace_with_mask(found, match, formatted)
            left = pc.and_not(left, match)
    if not pc.any(left, min_count=0).as_py():
        return found
    return pc.replace_with_mask(found, left, _each_text(texts.filter(left).to_pylist()))


def _each_text(texts: Sequence[str]) -> pa.Array:
    return pa.array([text and encode_value(text, is_date_time=True) for text in texts], _TEXT)


def _formatted(moments: pa.Array) -> pa.Array | None:
    """Return moments as texts; ``None`` if one of them has a year that dates do not have."""
    bounds = pc.min_max(moments)
    if bounds["min"].value < _FIRST or bounds["max"].value // 10**6 * 10**6 > _LAST:
        return None
    # With a time zone, Arrow's formatting takes twenty times as long.
    naive = pc.cast(moments, _NAIVE)
    seconds = pc.cast(naive, _SECONDS, safe=False)
    are_whole = pc.equal(pc.cast(seconds, _NAIVE), naive)
    if pc.all(are_whole, min_count=0).as_py():
        return _with_marks(seconds)
    return pc.if_else(are_whole, _with_marks(seconds), _with_marks(naive))


def _with_marks(moments: pa.Array) -> pa.Array:
    """Return moments in Arrow's format, but with T and Z."""
    texts = pc.binary_replace_slice(pc.cast(moments, _TEXT), _DATE_BYTES, _DATE_BYTES + 1, "T")
    return pc.binary_replace_slice(texts, _END, _END, "Z")
