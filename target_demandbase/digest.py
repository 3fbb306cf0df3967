"""What was wrong with the rejected rows: field and error type, counts and rows, no values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demandbase_api.models import RowError

ROWS_SHOWN = 10


@dataclass
class RejectDigest:
    """Counts row errors; memory stays flat however many there are."""

    rows: set[int] = field(default_factory=set)
    errors: int = 0
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _first: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, error: RowError) -> None:
        """Count one."""
        self.errors += 1
        kind = (error.field or "(no field)", error.error_type or "(no type)")
        self._counts[kind] = self._counts.get(kind, 0) + 1
        first = self._first.setdefault(kind, [])
        if error.row_number is not None:
            self.rows.add(error.row_number)
            if len(first) < ROWS_SHOWN:
                first.append(error.row_number)

    def lines(self) -> list[str]:
        """Return one line a field and error type, the most frequent first."""
        return [
            f"{name}, {kind}: {count} (rows {self._shown((name, kind), count)})"
            for (name, kind), count in sorted(self._counts.items(), key=lambda item: -item[1])
        ]

    def _shown(self, kind: tuple[str, str], count: int) -> str:
        numbers = ", ".join(map(str, self._first[kind])) or "unknown"
        return numbers + (", …" if count > len(self._first[kind]) else "")
