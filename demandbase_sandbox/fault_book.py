"""The rules in force and how often each was met."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demandbase_sandbox.faults import Effect, Fault


class FaultBook:
    """Decides which faults strike a request; from any thread.

    Args:
        faults: Rules in force from the start.
        seed: Seed of the draws for rules with a probability.
    """

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._draw = _draws(seed)
        self._rules: list[tuple[Fault, list[int]]] = [(fault, [0]) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        with self._lock:
            self._rules.append((fault, [0]))

    def clear(self) -> None:
        """Take all rules out of force; draws begin anew."""
        with self._lock:
            self._rules.clear()
            self._draw = _draws(self._seed)

    def hits(
        self, operation: str, facts: Mapping[str, Any], *effects: Effect
    ) -> dict[Effect, Fault]:
        """Return the faults that strike this request, and count it."""
        struck: dict[Effect, Fault] = {}
        with self._lock:
            for fault, met in self._rules:
                if fault.operation != operation or fault.effect not in effects:
                    continue
                if fault.effect in struck:
                    continue
                if any(facts.get(name) != value for name, value in fault.match.items()):
                    continue
                met[0] += 1
                turn = met[0] - fault.after
                if turn < 1 or (fault.times is not None and turn > fault.times):
                    continue
                if fault.probability == 1 or self._draw.random() < fault.probability:
                    struck[fault.effect] = fault
        return struck


def _draws(seed: int) -> random.Random:
    return random.Random(f"faults/{seed}")  # noqa: S311 - a script, no secret
