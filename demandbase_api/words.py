"""Figures in words, for people."""

from __future__ import annotations

_KILO = 1000
_MINUTE, _HOUR = 60, 3600
_SHORT_SECONDS, _FEW_SECONDS = 0.1, 10


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in ``1 row`` and ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a duration: ``40 ms``, ``0.4 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if 0 < seconds < _SHORT_SECONDS:
        return f"{max(round(seconds * _KILO), 1)} ms"
    if seconds < _FEW_SECONDS:
        return f"{round(seconds, 1):g} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    hours, rest = divmod(whole, _HOUR)
    minutes, last = divmod(rest, _MINUTE)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else last, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def size(number: int) -> str:
    """Return a number of bytes: ``512 bytes``, ``1.2 MB``."""
    if number < _KILO:
        return f"{number} bytes"
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= _KILO
        if value < _KILO:
            return f"{value:.1f} {unit}"
    return f"{value / _KILO:,.1f} TB"


def short(number: float) -> str:
    """Return a number for an axis: ``400``, ``1.5k``, ``20k``, ``3M``."""
    for limit, unit in ((1_000_000, "M"), (_KILO, "k")):
        if number >= limit:
            return f"{number / limit:g}{unit}"
    return f"{number:g}"
