"""What was wrong with the rejected rows: kinds, counts and rows, no values."""

from __future__ import annotations

from dataclasses import dataclass, field

ROWS_SHOWN = 10
KINDS_SHOWN = 20


@dataclass
class RejectDigest:
    """Counts rejected rows; memory stays flat however many there are."""

    rows: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _first: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, row: int) -> None:
        """Count a row.

        Args:
            kind: What was wrong.
            row: The row, counted from 1.
        """
        self.rows += 1
        self._counts[kind] = self._counts.get(kind, 0) + 1
        first = self._first.setdefault(kind, [])
        if len(first) < ROWS_SHOWN:
            first.append(row)

    def lines(self) -> list[str]:
        """Return a clause for each of the most frequent kinds."""
        ordered = sorted(self._counts.items(), key=lambda item: -item[1])
        lines = [f"{kind}: {count} ({self._shown(kind, count)})" for kind, count in ordered]
        more = len(lines) - KINDS_SHOWN
        return lines if more <= 0 else [*lines[:KINDS_SHOWN], f"{more} other kinds"]

    def _shown(self, kind: str, count: int) -> str:
        numbers = ", ".join(map(str, self._first[kind]))
        return ("row " if count == 1 else "rows ") + numbers + (", …" if count > ROWS_SHOWN else "")
