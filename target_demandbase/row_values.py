"""Finds the rows of a file by the values that row errors quote.

A server may quote a value in another form than it was sent: in lower case, with other spaces, cut
off, or as a number in another notation. All such forms count as alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence


MIN_PREFIX = 3
"""Minimum length of a value that may be the beginning of a longer one."""

_MAX_KNOWN, _MAX_SHORT = 10_000, 100
"""Number and length of cells whose values are remembered: many columns have few different ones."""

_ELLIPSIS = "..."


class Quote(NamedTuple):
    """A value that an error quotes.

    Args:
        position: Position of its column in the file; ``None`` for any column.
        value: The value, folded.
    """

    position: int | None
    value: str


def folded(text: str) -> str:
    """Return a text in lower case, in one Unicode form, and with single spaces."""
    if not text.isascii():
        text = normalize("NFKC", text)
    return " ".join(text.casefold().split())


def plain_name(name: str) -> str:
    """Return the letters and digits of a field's name: errors may have its label."""
    return "".join(filter(str.isalnum, name.casefold()))


def find_rows(
    quotes: Iterable[Quote], rows: Iterable[Sequence[str]]
) -> Mapping[Quote, frozenset[int]]:
    """Return the rows, counted from 0, that have a value like each of the quotes.

    Args:
        quotes: The quotes.
        rows: The values of each row.
    """
    by_position: dict[int | None, set[str]] = defaultdict(set)
    for quote in quotes:
        by_position[quote.position].add(quote.value)
    forms = {position: _Forms(values) for position, values in by_position.items()}
    found: dict[Quote, set[int]] = {
        Quote(position, value): set()
        for position, values in by_position.items()
        for value in values
    }
    for row, cells in enumerate(rows):
        for position, known in forms.items():
            for cell in cells if position is None else (cells[position],):
                for value in known.like(cell):
                    found[Quote(position, value)].add(row)
    return {quote: frozenset(where) for quote, where in found.items()}


class _Forms:
    """The forms in which some values may be written.

    Args:
        values: The values, folded.
    """

    def __init__(self, values: Collection[str]) -> None:
        self._values = frozenset(values)
        self._by_number: dict[Decimal, list[str]] = defaultdict(list)
        by_prefix: dict[str, list[str]] = defaultdict(list)
        for value in values:
            if (number := _number(value)) is not None:
                self._by_number[number].append(value)
            prefix = value.removesuffix(_ELLIPSIS).rstrip()
            if len(prefix) >= MIN_PREFIX:
                by_prefix[prefix].append(value)
        self._by_prefix = by_prefix
        self._prefixes = sorted(by_prefix)
        self._parents = _parents(self._prefixes)
        self._like_short = lru_cache(_MAX_KNOWN)(self._like)

    def like(self, cell: str) -> set[str]:
        """Return the values that may be quoted from a cell."""
        return self._like_short(cell) if len(cell) <= _MAX_SHORT else self._like(cell)

    def _like(self, cell: str) -> set[str]:
        text = folded(cell)
        found = {text} & self._values
        if self._by_number and (number := _number(text)) is not None:
            found.update(self._by_number.get(number, ()))
        for prefix in self._prefixes_of(text):
            found.update(self._by_prefix[prefix])
        return found

    def _prefixes_of(self, text: str) -> Iterator[str]:
        # All prefixes of a text are the one before it in their order, or that one's own prefixes.
        place = bisect_right(self._prefixes, text) - 1
        while place >= 0:
            if text.startswith(self._prefixes[place]):
                yield self._prefixes[place]
            place = self._parents[place]


def _parents(prefixes: Sequence[str]) -> list[int]:
    """Return the place of the longest proper prefix of each text, or -1; the texts are sorted."""
    parents: list[int] = []
    open_places: list[int] = []
    for place, text in enumerate(prefixes):
        while open_places and not text.startswith(prefixes[open_places[-1]]):
            open_places.pop()
        parents.append(open_places[-1] if open_places else -1)
        open_places.append(place)
    return parents


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
