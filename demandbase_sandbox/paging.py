"""How lists are paged: what a client asks for, and what it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query

from demandbase_sandbox.fault_book import FaultBook  # noqa: TC001 - FastAPI resolves annotations
from demandbase_sandbox.faults import Effect

Limit = Annotated[int, Query(ge=0)]
Offset = Annotated[int, Query(ge=0)]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list."""

    limit: int
    offset: int


def page(
    faults: FaultBook,
    operation: str,
    facts: dict[str, Any],
    asked: Page,
    largest: int,
) -> Page:
    """Return the page that is given for one that is asked for: capped, and shifted by a fault."""
    hit = faults.hits(operation, facts, Effect.SHIFT_PAGE).get(Effect.SHIFT_PAGE)
    offset = asked.offset + (hit.rows if hit else 0)
    return Page(min(asked.limit, largest), max(0, offset))
