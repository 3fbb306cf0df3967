"""Holds STATE back until all rows that came before it have been settled."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class StateGate:
    """Lets states out in their order, each only when its batches are settled.

    Args:
        emit: Writes a state out.
    """

    def __init__(self, emit: Callable[[dict[str, Any]], None]) -> None:
        self._emit = emit
        self._waiting: deque[tuple[dict[str, Any], set[int]]] = deque()

    def hold(self, state: dict[str, Any], batches: Iterable[int]) -> None:
        """Hold a state until the given batches are settled; without any it goes out at once."""
        needed = set(batches)
        if self._waiting and self._waiting[-1][1] == needed:
            # Both would go out at the same moment: only the later one is worth its memory.
            self._waiting.pop()
        self._waiting.append((state, needed))
        self._let_out()

    def settled(self, batch: int) -> None:
        """Note that a batch's rows are taken or kept."""
        for _, batches in self._waiting:
            batches.discard(batch)
        self._let_out()

    def _let_out(self) -> None:
        ready: dict[str, Any] | None = None
        while self._waiting and not self._waiting[0][1]:
            ready, _ = self._waiting.popleft()
        if ready is not None:
            self._emit(ready)
