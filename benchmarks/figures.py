"""Medians with their spread, and goals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of some runs, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Return the figure for some values, at least one."""
        return cls(statistics.median(values), min(values), max(values))


class Sense(StrEnum):
    """Which side of a goal is the good one."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal for a median."""

    sense: Sense
    value: float

    def is_met(self, value: float) -> bool:
        """Whether a value is on the good side."""
        return value >= self.value if self.sense is Sense.AT_LEAST else value <= self.value

    def score(self, value: float) -> float:
        """Return how much of the goal is reached: 1 or more where it is met."""
        return value / self.value if self.sense is Sense.AT_LEAST else self.value / value


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Return our values divided by those of the same rounds."""
    return Figure.of([our / their for our, their in zip(ours, theirs, strict=True)])


def extended(seconds: float, rows: int, start_up: float, to_rows: int) -> float:
    """Return what a run over other rows would take, its time beside the start-up being linear.

    Args:
        seconds: What a run took.
        rows: How many rows it had.
        start_up: What a run over nearly no rows takes.
        to_rows: How many rows to reckon for.
    """
    return start_up + (seconds - start_up) * to_rows / rows
