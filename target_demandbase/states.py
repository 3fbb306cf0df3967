"""States: each waits until all rows before it are accounted for, and is written as a whole line."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import simplejson

from demandbase_api.output import output_problem, write_lines
from target_demandbase.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demandbase_api.clock import Clock


HELD = 0
"""Stands for the batch that a held state waits for; batches are numbered from 1."""


@dataclass(frozen=True, slots=True)
class PendingState:
    """A state that waits for the rows before it.

    Args:
        value: The state.
        last_batch: Number of the last batch all of whose rows came before the state, as did those
            of all earlier batches.
    """

    value: dict[str, Any]
    last_batch: int


class StateGate:
    """Releases states in their order, each once the batches before it are finished.

    A state that is held is left out if a later one is released, and released at the end of the
    run.
    """

    def __init__(self) -> None:
        self._pending: deque[tuple[PendingState, set[int]]] = deque()

    def defer(self, state: PendingState, batches: Iterable[int]) -> None:
        """Add a state that waits for some batches."""
        needed = set(batches)
        if self._pending and self._pending[-1][1] - {HELD} == needed:
            # Only the later one needs to be kept: it is released with the other, or before it.
            self._pending.pop()
        self._pending.append((state, needed))

    @property
    def is_waiting(self) -> bool:
        """Whether a state waits for a batch."""
        return bool(self._pending)

    def finish(self, batch: int) -> None:
        """Record that all rows of a batch are accounted for."""
        for _, batches in self._pending:
            batches.discard(batch)

    def hold(self, batch: int) -> None:
        """Hold the states that wait for a batch: rows that came after them are in it as well."""
        for _, batches in self._pending:
            if batch in batches:
                batches.add(HELD)

    def end(self) -> None:
        """Hold no state any longer: no other follows."""
        for _, batches in self._pending:
            batches.discard(HELD)

    def release(self) -> PendingState | None:
        """Remove the states that wait no longer and return the last one."""
        released, count = None, 0
        for number, (state, batches) in enumerate(self._pending, 1):
            if batches - {HELD}:
                break
            if not batches:
                released, count = state, number
        for _ in range(count):
            self._pending.popleft()
        return released


def write_state(state: Mapping[str, Any], clock: Clock, *, has_rows: bool) -> None:
    """Write a state to standard output.

    Args:
        state: The state; decimals keep their digits.
        clock: Time.
        has_rows: Whether rows came before it.

    Raises:
        OutputError: It cannot be written.
    """
    text = simplejson.dumps(state, use_decimal=True, allow_nan=True)
    try:
        write_lines(sys.stdout, f"{text}\n".encode("ascii"), clock)
    except OSError as error:
        what = "The rows have landed, but the state" if has_rows else "The state"
        raise OutputError(
            f"{what} could not be written to standard output: {output_problem(error)}. Connect "
            "standard output to what keeps the state; the next run continues from the last state "
            "that was written."
        ) from None
