"""Which rows of a job were rejected: row errors lead to rows of the file.

No document says how an API numbers rows, or in which form it quotes their values. So

1. all errors with one row number are about one row, and different numbers about different rows;
2. a numbering (rows or physical lines, from 0, 1, 2 or 3) counts only if each error of the job has
   a number that leads to a row with a value like the one that it quotes;
3. without a numbering, a row is found by its values alone;
4. rows that one of several errors may be about are all kept, as ``uncorrelated``. If nothing says
   which ones these are, all rows of the file are.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_demandbase.row_values import Quote, find_rows, folded, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from demandbase_api.models import RowError


BASES = (0, 1, 2, 3)
"""Possible numbers of the first data row or line: the API documents none."""

UNCORRELATED = "uncorrelated"

_READS = 3

_MAX_CHANCE = 0.001
"""Chance below which rows do not have the quoted values by accident."""

_LINE_BREAKS = (re.compile(r"\n"), re.compile(r"\r\n|\r|\n"))
"""What may end a physical line."""


@dataclass(frozen=True, slots=True)
class RowReject:
    """Why a row is written to the dead letters.

    Args:
        type: Kind of error; ``uncorrelated`` if the error may be about another row.
        reason: Demandbase's words. They may quote the row and must not be logged.
        field: The Demandbase field.
    """

    type: str
    reason: str
    field: str | None = None


@dataclass(frozen=True)
class Outcome:
    """Outcome of the rows of a job.

    Args:
        sent: Number of rows in the file.
        succeeded: Number of rows that Demandbase imported.
        kept: Rows that were rejected, or may have been, by index from 0.
    """

    sent: int
    succeeded: int
    kept: Mapping[int, RowReject] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every row was imported."""
        return self.succeeded == self.sent

    @property
    def is_certain(self) -> bool:
        """Whether the kept rows are exactly those that were not imported."""
        return self.succeeded + len(self.kept) == self.sent and not any(
            each.type == UNCORRELATED for each in self.kept.values()
        )


@dataclass(frozen=True)
class SentRows:
    """The rows of a file.

    Args:
        count: Their number.
        positions: Position of a column by the plain names that errors may give it.
        cells: Yields the values of each row.
    """

    count: int
    positions: Mapping[str, int]
    cells: Callable[[], Iterable[Sequence[str]]]


@dataclass(frozen=True)
class Rejections:
    """The rejected rows of a job.

    Args:
        counted: Each of them once, with its index if that is certain.
        kept: Rows that were rejected, or may have been, by index.
    """

    counted: Sequence[tuple[int | None, RowReject]] = ()
    kept: Mapping[int, RowReject] = field(default_factory=dict)

    def without_uncertain(self) -> Rejections:
        """Return them with only those kept that were certainly rejected."""
        kept = {row: why for row, why in self.kept.items() if why.type != UNCORRELATED}
        return Rejections(self.counted, kept)


def read_errors(
    read: Callable[[], Sequence[RowError]], expected: int | None
) -> tuple[RowError, ...]:
    """Return the row errors of a job; read them again if pages may have shifted meanwhile.

    An error that names its row counts once however often it is listed.

    Args:
        read: Reads all pages.
        expected: Number of rejected rows, if the job reports it.
    """
    found: Counter[RowError] = Counter()
    for _ in range(_READS):
        before = found.total()
        # Errors without a row number may be equal and yet be about several rows.
        found |= Counter(
            {
                error: count if error.row_number is None else 1
                for error, count in Counter(read()).items()
            }
        )
        if expected is None or count_rows(found.elements()) >= expected or found.total() == before:
            break
    return tuple(found.elements())


def count_rows(errors: Iterable[RowError]) -> int:
    """Return the number of rows that errors are about; several errors about one row count once."""
    numbers = [error.row_number for error in errors]
    return len(set(numbers) - {None}) + numbers.count(None)


def rejected_rows(errors: Sequence[RowError], rows: SentRows) -> Rejections:
    """Return the rows that errors are about, or may be about.

    Args:
        errors: All row errors of the job.
        rows: The rows of its file.
    """
    if not errors:
        return Rejections()
    claims = _claims(errors, rows)
    _place(claims, rows)
    kept: dict[int, RowReject] = {}
    counted: list[tuple[int | None, RowReject]] = []
    uncertain: dict[frozenset[int] | None, RowReject] = {}
    for group in _by_places(claims):
        places = group[0].places
        if places is not None:
            left = places.difference(kept)  # different claims are about different rows
            if len(left) == len(group):
                for row, claim in zip(sorted(left), group, strict=True):
                    kept[row] = claim.reject
                    counted.append((row, claim.reject))
                continue
            if len(left) < len(group):
                places = None
        counted += [(None, claim.reject) for claim in group]
        first = group[0].reject
        uncertain.setdefault(places, RowReject(UNCORRELATED, first.reason, first.field))
    for places, reject in uncertain.items():
        for row in range(rows.count) if places is None else places:
            kept.setdefault(row, reject)
    return Rejections(counted, kept)


@dataclass
class _Claim:
    """The errors about one row.

    Args:
        number: Its number in the errors. ``None`` if they do not give one.
        reject: Why it was rejected.
        quotes: What the errors quote of the file's columns.
        words: All values that they quote, whichever the column.
        alike: Rows with values like the quotes. ``None`` if there are no quotes.
        places: Rows that the errors may be about. ``None`` if that is open.
    """

    number: int | None
    reject: RowReject
    quotes: frozenset[Quote]
    words: frozenset[Quote]
    alike: frozenset[int] | None = None
    places: frozenset[int] | None = None


def _claims(errors: Sequence[RowError], rows: SentRows) -> list[_Claim]:
    """Group errors by row number, in its order."""
    by_number: dict[int, list[RowError]] = {}
    without: list[list[RowError]] = []
    for error in errors:
        if error.row_number is None:
            without.append([error])
        else:
            by_number.setdefault(error.row_number, []).append(error)
    return [_claim(by_number[number], rows) for number in sorted(by_number)] + [
        _claim(each, rows) for each in without
    ]


def _claim(errors: Sequence[RowError], rows: SentRows) -> _Claim:
    first = errors[0]
    # An empty value is no value: taken as one, it would speak for a row whose cell is empty.
    quoted = [(plain_name(error.field or ""), folded(error.value or "")) for error in errors]
    return _Claim(
        first.row_number,
        RowReject(
            first.error_type or "unknown",
            first.message or first.error_type or "Demandbase gave no reason",
            first.field,
        ),
        frozenset(
            Quote(rows.positions[name], value)
            for name, value in quoted
            if value and name in rows.positions
        ),
        frozenset(Quote(None, value) for _, value in quoted if value),
    )


def _place(claims: Sequence[_Claim], rows: SentRows) -> None:
    """Find the rows that each claim may be about."""
    alike = _rows_with([claim.quotes for claim in claims], rows)
    for claim in claims:
        claim.alike = alike.get(claim.quotes)
    numbered = [claim for claim in claims if claim.number is not None]
    fitting = [
        numbering
        for numbering in _numberings(rows)
        if all(_fits(claim, numbering.row(claim.number)) for claim in numbered)
    ]
    if fitting and numbered:
        chance = math.prod(
            len(claim.alike) / rows.count for claim in numbered if claim.alike is not None
        )
        for claim in claims:
            _place_by_number(claim, fitting, is_proved=chance < _MAX_CHANCE)
        return
    # The name of a field may be wrong as well, so that a value counts wherever it is.
    anywhere = _rows_with([claim.words for claim in claims], rows)
    for claim in claims:
        claim.places = anywhere.get(claim.words) or None


def _rows_with(
    sets: Iterable[frozenset[Quote]], rows: SentRows
) -> Mapping[frozenset[Quote], frozenset[int]]:
    """Return the rows with values like all quotes of a set, by set; empty sets are left out."""
    wanted = {quotes for quotes in sets if quotes}
    if not wanted:
        return {}
    found = find_rows({quote for quotes in wanted for quote in quotes}, rows.cells())
    return {quotes: _common([found[quote] for quote in quotes]) for quotes in wanted}


def _common(sets: Sequence[frozenset[int]]) -> frozenset[int]:
    first, *others = sorted(sets, key=len)
    return first.intersection(*others) if others else first


def _fits(claim: _Claim, row: int | None) -> bool:
    return row is not None and (claim.alike is None or row in claim.alike)


def _place_by_number(claim: _Claim, fitting: Sequence[_Numbering], *, is_proved: bool) -> None:
    if claim.alike is not None and not (is_proved and claim.number is not None):
        # Neighbours may have the same value, and the numbering may be one that is not known.
        claim.places = claim.alike or None
    else:
        rows = (numbering.row(claim.number) for numbering in fitting)
        claim.places = frozenset(row for row in rows if row is not None) or None


def _by_places(claims: Iterable[_Claim]) -> list[list[_Claim]]:
    """Group claims that may be about the same rows; begin with the fewest rows."""
    groups: dict[frozenset[int] | None, list[_Claim]] = {}
    for claim in claims:
        groups.setdefault(claim.places, []).append(claim)
    unknown, known = (
        groups.pop(None, []),
        sorted(groups.items(), key=lambda item: len(item[0] or ())),
    )
    return [*(group for _, group in known), *([unknown] if unknown else [])]


@dataclass(frozen=True)
class _Numbering:
    """A way to number the rows of a file.

    Args:
        base: Number of the first data row or line.
        count: Number of rows.
        lines: First line of each row, from 0, and that after the last one; ``None`` if rows are
            counted.
    """

    base: int
    count: int
    lines: Sequence[int] | None = None

    def row(self, number: int | None) -> int | None:
        """Return the row with a number, counted from 0; ``None`` if no row has it."""
        if number is None:
            return None
        place = number - self.base
        if self.lines is not None:
            place = bisect_right(self.lines, place) - 1
        return place if 0 <= place < self.count else None


def _numberings(rows: SentRows) -> Iterator[_Numbering]:
    """Yield the possible ways to number rows; those that make no difference come once."""
    yield from (_Numbering(base, rows.count) for base in BASES)
    starts: list[list[int]] = [[0] for _ in _LINE_BREAKS]
    for cells in rows.cells():
        broken = [cell for cell in cells if "\n" in cell or "\r" in cell]
        for lines, line_break in zip(starts, _LINE_BREAKS, strict=True):
            lines.append(lines[-1] + 1 + sum(len(line_break.findall(cell)) for cell in broken))
    seen = [list(range(rows.count + 1))]
    for lines in starts:
        if lines not in seen:
            seen.append(lines)
            yield from (_Numbering(base, rows.count, lines) for base in BASES)
