"""The rows of an export job as SQL."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What ``Store.select_sql`` takes, with names and labels of the columns."""

    entity: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    expressions: tuple[str, ...]
    where: str
    values: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON can keep it."""
        return asdict(self)
