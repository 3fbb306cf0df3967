"""Rewrites cells that ``cast`` accepts, but that are not canonical, as canonical texts.

Exports of other writers have such cells in whole columns: ``TRUE``, ``1.0``, ``1E3``, ``+00:00``.
Each kind of spelling is rewritten for all of its cells at once. What Arrow cannot rewrite is cast
by Python's own types, and what has a rare spelling by ``cast``, each distinct text once.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase import cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_demandbase.cast import Value

_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"

_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)

_LEAP_DAY = (
    r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
)

_DATE = f"(?:{_YEAR}-{_DAY}|{_LEAP_DAY})"

_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"

CANONICAL: dict[Callable[[str], Value], str] = {
    cast.to_integer: r"\A(?:0|-?[1-9][0-9]*)\z",
    cast.to_number: r"\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\z",
    cast.to_boolean: r"\A(?:true|false)\z",
    cast.to_date: rf"\A{_DATE}\z",
    cast.to_date_time: rf"\A{_DATE}T{_TIME}Z\z",
}
"""Regular expression (RE2) of canonical texts, by the function that casts a cell.

The expression of an integer is for those up to ``_MOST_DIGITS``: with a counted repetition, it
would take ten times as long to compile, at each call.
"""

_MOST_DIGITS = 100
"""If an integer is longer, all are cast: ``cast`` has an upper limit."""

_OFFSET = r"[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]"

_MIDNIGHT = rf"\A{_DATE}[T ]00:00(?::00(?:[.,]0{{1,6}})?)?(?:Z| Z|{_OFFSET})?\z"
"""A date-time at midnight, which ``cast`` reads as a date."""

_DATE_TIME = (
    rf"\A{_DATE}(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
    rf"(?:Z| Z|{_OFFSET})?)?\z"
)
"""Date-times that ``cast`` reads; whether the offset leads out of the calendar is open."""

_LONG_FRACTION = r"(\.[0-9]{6})[0-9]+"
"""Digits after microseconds, which ``cast`` drops."""

_HAS_OFFSET = rf"(?:Z|{_OFFSET})\z"

CANONICAL_BYTES = len("2026-01-01T00:00:00Z")
"""Of texts of this length, Arrow reads only the canonical ones, and those with a space for T."""

_DATE_BYTES = len("2026-01-01")

_END = 64
"""An offset after the end of any timestamp."""

_SECOND_BYTES = len("2026-01-01T00:00:00")
_MICROSECOND_BYTES = len("2026-01-01T00:00:00.000000")

_OFFSETS = (len("+00:00"), len("+0000"))
"""Lengths of the offsets that ``cast`` reads; Arrow reads hours without minutes, too."""

_UTC = pa.timestamp("us", "UTC")
_NAIVE = pa.timestamp("us")

FIRST_TIMESTAMP = pa.scalar("0001-01-01").cast(_NAIVE).value
LAST_TIMESTAMP = pa.scalar("9999-12-31T23:59:59.999999").cast(_NAIVE).value
"""Python's first and last timestamp; Arrow has earlier and later ones."""

_WHOLE = r"\A[+-]?[0-9]+(?:\.0*)?\z"
"""A whole number, which may have a fraction of zero."""

_WHOLE_DECIMAL = r"\A[+-]?[0-9]+(?:\.0*)?[eE]\+?[0-9]{1,2}\z"
"""A whole number with an exponent that is not negative."""

_DECIMAL = r"\A[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\z"

_PLAIN_EXPONENTS = (7, 8, 9)
"""Exponents of numbers up to ten billion, which Java writes from ten million on."""


def rewritten(cells: pa.Array, to_value: Callable[[str], Value]) -> pa.Array:
    """Return cells as canonical texts; null stays null.

    Args:
        cells: UTF-8 as binary.
        to_value: Casts one cell.

    Raises:
        ValueError: A cell does not fit; the error does not quote it.
    """
    if to_value is cast.to_boolean:
        return _cast(cells, to_value)
    if to_value is cast.to_date_time:
        if (made := _rewrite_alike(cells)) is not None:
            return made
        fit = pc.equal(pc.binary_length(cells), CANONICAL_BYTES)
        if not fit.true_count:  # as if one writer wrote all: an expression takes longer
            return _replaced(cells, fit, _rewrite_date_times)
    if to_value is cast.to_integer:
        if _longest(cells) > _MOST_DIGITS:
            return _cast(cells, to_value)
        if (made := _without_fraction(cells)) is not None:
            return made
    return _canonical_by(cells, to_value, _REWRITERS[to_value])


def _canonical_by(
    cells: pa.Array, to_value: Callable[[str], Value], rewrite: Callable[[pa.Array], pa.Array]
) -> pa.Array:
    """Return cells, those that are not canonical rewritten."""
    return _replaced(cells, pc.match_substring_regex(cells, CANONICAL[to_value]), rewrite)


def _replaced(
    cells: pa.Array, fit: pa.BooleanArray, rewrite: Callable[[pa.Array], pa.Array]
) -> pa.Array:
    """Return cells, those that do not fit rewritten."""
    if fit.true_count == _count(cells):
        return cells
    odd = pc.fill_null(pc.invert(fit), False)  # noqa: FBT003 - Arrow's own argument
    if odd.true_count == len(cells):
        return rewrite(cells)
    return pc.replace_with_mask(cells, odd, rewrite(cells.filter(odd)))


def _cast(cells: pa.Array, to_value: Callable[[str], Value]) -> pa.Array:
    """Cast cells one by one, each distinct text once."""
    return _each(cells, lambda text: _canonical(to_value(text)))


def _each(cells: pa.Array, make: Callable[[str], object]) -> pa.Array:
    """Return the text of what is made of each cell, once of each distinct one."""
    encoded = cells.dictionary_encode()
    distinct = encoded.dictionary.view(pa.string()).to_pylist()
    return (
        pa.array(list(map(str, map(make, distinct))), pa.string())
        .view(pa.binary())
        .take(encoded.indices)
    )


def _canonical(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_fraction(cells: pa.Array) -> pa.Array | None:
    """Return whole numbers without their ``.0``; ``None`` if one has none, or something else."""
    if pc.ends_with(cells, b".0").true_count < _count(cells):
        return None
    whole = pc.binary_slice(cells, 0, -len(".0"))
    fit = pc.match_substring_regex(whole, CANONICAL[cast.to_integer])
    return whole if fit.true_count == _count(cells) else None


def _rewrite_integers(cells: pa.Array) -> pa.Array:
    return _split(cells, _WHOLE, _rewrite_whole, _rewrite_decimal_integers)


def _rewrite_whole(cells: pa.Array) -> pa.Array:
    """Return whole numbers without a fraction, a plus or zeros at the start."""
    texts = cells.view(pa.string())
    if pc.ends_with(texts, ".0").true_count == len(texts):
        texts = pc.binary_slice(cells, 0, -len(".0")).view(pa.string())
    elif _have(cells, b"."):
        trimmed = pc.ascii_rtrim(pc.ascii_rtrim(texts, "0"), ".")
        # Without a fraction, zeros at the end count.
        texts = pc.if_else(pc.match_substring(texts, "."), trimmed, texts)
    if _have(cells, b"+"):
        texts = pc.ascii_ltrim(texts, "+")
    return _canonical_by(texts.view(pa.binary()), cast.to_integer, partial(_each, make=int))


def _rewrite_decimal_integers(cells: pa.Array) -> pa.Array:
    return _split(
        cells,
        _WHOLE_DECIMAL,
        partial(_each, make=lambda text: int(Decimal(text))),
        partial(_cast, to_value=cast.to_integer),
    )


def _rewrite_numbers(cells: pa.Array, exponents: tuple[int, ...] = _PLAIN_EXPONENTS) -> pa.Array:
    if not exponents:
        return _split(cells, _DECIMAL, _rewrite_decimals, partial(_cast, to_value=cast.to_number))
    exponent, *others = exponents
    rewrite_others = partial(_rewrite_numbers, exponents=tuple(others))
    if not _have(cells, b"E%d" % exponent):
        return rewrite_others(cells)
    # With at least one digit after the moved point: otherwise, the exponent remains.
    pattern = rf"\A[1-9]\.[0-9]{{{exponent + 1},}}E{exponent}\z"
    return _split(cells, pattern, partial(_move_point, exponent=exponent), rewrite_others)


def _move_point(cells: pa.Array, exponent: int) -> pa.Array:
    """Return numbers without their exponent, all of which have the same of one digit."""
    digits = pc.binary_replace_slice(pc.binary_slice(cells, 0, -len("E7")), 1, 2, b"")
    return pc.binary_replace_slice(digits, exponent + 1, exponent + 1, b".")


def _rewrite_decimals(cells: pa.Array) -> pa.Array:
    """Return numbers without a plus, and with an exponent only where Python writes one."""
    if not _have(cells, b"+"):
        return _each(cells, Decimal)
    cells = pc.ascii_ltrim(cells.view(pa.string()), "+").view(pa.binary())
    return _canonical_by(cells, cast.to_number, partial(_each, make=Decimal))


def _rewrite_dates(cells: pa.Array) -> pa.Array:
    return _split(
        cells,
        _MIDNIGHT,
        lambda alike: pc.binary_slice(alike, 0, _DATE_BYTES),
        partial(_cast, to_value=cast.to_date),
    )


def _rewrite_date_times(cells: pa.Array) -> pa.Array:
    cast_others = partial(_cast, to_value=cast.to_date_time)
    return _split(cells, _DATE_TIME, _rewrite_usual_date_times, cast_others)


def _rewrite_usual_date_times(cells: pa.Array) -> pa.Array:
    texts = cells.view(pa.string())
    if _have(cells, b","):
        texts = pc.replace_substring(texts, ",", ".")
    if _have(cells, b" Z"):
        texts = pc.replace_substring(texts, " Z", "Z")
    have_offset = pc.ends_with(texts, "Z")
    if have_offset.true_count < len(texts):
        have_offset = pc.match_substring_regex(texts, _HAS_OFFSET)
    if 0 < have_offset.true_count < len(texts):
        utc = pc.if_else(pc.equal(pc.binary_length(texts), _DATE_BYTES), "T00:00Z", "Z")
        texts = pc.if_else(have_offset, texts, pc.binary_join_element_wise(texts, utc, ""))
    kind = _UTC if have_offset.true_count else _NAIVE
    if _longest(texts) > _MICROSECOND_BYTES + (len("Z") if kind == _UTC else 0):
        texts = pc.replace_substring_regex(texts, _LONG_FRACTION, r"\1")
    timestamps = texts.cast(kind)
    _check_range(timestamps)
    return format_timestamps(timestamps)


_REWRITERS: dict[Callable[[str], Value], Callable[[pa.Array], pa.Array]] = {
    cast.to_integer: _rewrite_integers,
    cast.to_number: _rewrite_numbers,
    cast.to_date: _rewrite_dates,
    cast.to_date_time: _rewrite_date_times,
}


def _rewrite_alike(cells: pa.Array) -> pa.Array | None:
    """Return date-times that all have seconds and end alike; ``None`` if they are not such.

    Of these, Arrow reads only what ``cast`` reads: this takes a fraction of an expression's time.
    """
    if cells.null_count == len(cells):
        return cells
    zone = _zone_bytes(cells)
    shortest, longest = pc.min_max(pc.binary_length(cells)).as_py().values()
    if zone is None or not (
        zone + _SECOND_BYTES <= shortest and longest <= zone + _MICROSECOND_BYTES
    ):
        return None
    try:
        timestamps = cells.view(pa.string()).cast(_UTC if zone else _NAIVE)
    except pa.ArrowInvalid:
        return None
    _check_range(timestamps)
    return (
        format_timestamps(timestamps)
        if zone > len("Z")
        else _with_canonical_ends(cells, timestamps, zone)
    )


def _with_canonical_ends(cells: pa.Array, timestamps: pa.Array, zone: int) -> pa.Array:
    """Return date-times in UTC as canonical texts, without formatting them.

    Args:
        cells: Date-times with seconds.
        timestamps: Their values.
        zone: Length of what all have after the time: 0, or that of ``Z``.
    """
    naive, are_whole = _whole_seconds(timestamps)
    if _have(cells, b" "):
        cells = pc.binary_replace_slice(cells, _DATE_BYTES, _DATE_BYTES + 1, b"T")
    if are_whole.true_count == _count(cells):
        return pc.binary_replace_slice(cells, _SECOND_BYTES, _END, b"Z")
    lengths = pc.binary_length(cells).filter(pc.invert(are_whole))
    shortest, longest = pc.min_max(lengths).as_py().values()
    if shortest < longest:
        return _format_mixed(naive, are_whole)
    stop = shortest - zone
    end = b"0" * (_MICROSECOND_BYTES - stop) + b"Z"
    made = cells if end == b"Z" and zone else pc.binary_replace_slice(cells, stop, _END, end)
    return _cut(made, are_whole)


def _zone_bytes(cells: pa.Array) -> int | None:
    """Return the length of what all date-times have after the time; ``None`` if they differ."""
    in_utc = pc.ends_with(cells, b"Z").true_count
    if in_utc:
        return len("Z") if in_utc == _count(cells) else None
    for length in _OFFSETS:
        signs = pc.binary_slice(cells, -length, 1 - length).buffers()[2]
        if signs is not None and not signs.to_pybytes().translate(None, b"+-"):
            return length
    # Arrow takes a microsecond to reject a cell.
    return None if _have(cells, b"+") else 0


def _check_range(timestamps: pa.Array) -> None:
    least, most = (bound.value for bound in pc.min_max(timestamps).values())
    if least is not None and (least < FIRST_TIMESTAMP or most > LAST_TIMESTAMP):
        raise ValueError


def format_timestamps(timestamps: pa.Array) -> pa.Array:
    """Return UTC timestamps as canonical texts, as binary, with a fraction if it is not zero."""
    naive, are_whole = _whole_seconds(timestamps)
    if are_whole.true_count == _count(naive):
        return _format_naive(naive.cast(pa.timestamp("s")))
    return _format_mixed(naive, are_whole)


def _whole_seconds(timestamps: pa.Array) -> tuple[pa.Array, pa.BooleanArray]:
    """Return timestamps without their zone, and whether each has no fraction."""
    # With a time zone, Arrow's formatting takes twenty times as long.
    naive = timestamps.cast(_NAIVE)
    seconds = naive.cast(pa.timestamp("s"), safe=False)
    return naive, pc.equal(seconds.cast(_NAIVE), naive)


def _format_mixed(timestamps: pa.Array, are_whole: pa.BooleanArray) -> pa.Array:
    return _cut(_format_naive(timestamps), are_whole)


def _cut(texts: pa.Array, are_whole: pa.BooleanArray) -> pa.Array:
    """Return canonical texts without a fraction where it is zero."""
    if not are_whole.true_count:
        return texts
    return pc.if_else(are_whole, pc.binary_replace_slice(texts, _SECOND_BYTES, _END, b"Z"), texts)


def _format_naive(timestamps: pa.Array) -> pa.Array:
    """Return timestamps without a time zone in Arrow's format, but with T and Z."""
    texts = timestamps.cast(pa.string()).view(pa.binary())
    return pc.binary_replace_slice(
        pc.binary_replace_slice(texts, _DATE_BYTES, _DATE_BYTES + 1, b"T"), _END, _END, b"Z"
    )


def _split(
    cells: pa.Array,
    pattern: str,
    rewrite: Callable[[pa.Array], pa.Array],
    rewrite_others: Callable[[pa.Array], pa.Array],
) -> pa.Array:
    """Rewrite cells that match a pattern in one way, and all others in another; none is null."""
    match = pc.match_substring_regex(cells, pattern)
    count = match.true_count
    if count == len(cells):
        return rewrite(cells)
    if not count:
        return rewrite_others(cells)
    others = pc.invert(match)
    made = pc.replace_with_mask(cells, match, rewrite(cells.filter(match)))
    return pc.replace_with_mask(made, others, rewrite_others(cells.filter(others)))


def _count(cells: pa.Array) -> int:
    """Return the number of cells that are not null."""
    return len(cells) - cells.null_count  # type: ignore[no-any-return]


def _longest(cells: pa.Array) -> int:
    return pc.max(pc.binary_length(cells)).as_py() or 0


def _have(cells: pa.Array, mark: bytes) -> bool:
    """Return whether a cell has some bytes; perhaps true if only another cell of its array has."""
    buffer = cells.buffers()[2]
    return buffer is not None and mark in buffer.to_pybytes()
