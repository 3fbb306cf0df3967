"""Medians with their spread, and goals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.race import Entry


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


class Verdict(StrEnum):
    """What a line says in the end."""

    MET = "met"
    MISSED = "missed"
    REPORTED = "reported"
    MISSING = "not available"
    FAILED = "FAILED"


class Unit(StrEnum):
    """What the figures of a line count."""

    RATE = "rows/s"
    SECONDS = "s"
    MEMORY = "MiB"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table.

    Args:
        group: Which part of the table it belongs to.
        what: What is measured.
        against: What it is compared with; empty where nothing is.
        size: How much was worked on, and how that differs from the goal's own size.
        unit: What the figures count.
        ours: What was measured.
        theirs: What it is compared with.
        ratio: The one divided by the other, round by round.
        goal: What the ratio, or ``ours`` where there is none, should be.
        runs: How many runs the medians are of.
        problem: Why there are no figures.
        is_missing: Whether that is since something is not installed or not supported.
    """

    group: str
    what: str
    against: str
    size: str
    unit: Unit
    ours: Figure | None = None
    theirs: Figure | None = None
    ratio: Figure | None = None
    goal: Goal | None = None
    runs: int = 0
    problem: str = ""
    is_missing: bool = False

    @property
    def judged(self) -> Figure | None:
        """The figure that the goal is about."""
        return self.ratio or self.ours

    @property
    def verdict(self) -> Verdict:
        """What the line says."""
        if self.problem or self.judged is None:
            return Verdict.MISSING if self.is_missing else Verdict.FAILED
        if self.goal is None:
            return Verdict.REPORTED
        return Verdict.MET if self.goal.is_met(self.judged.median) else Verdict.MISSED


@dataclass(frozen=True, slots=True)
class Pair:
    """Two contenders of one race, the one measured against the other.

    Args:
        group: Which part of the table it belongs to.
        what: What the one does.
        ours: What became of it.
        theirs: What became of the other.
        goal: What the ratio should be.
        size: What to say of the rows.
        start: A run of ``theirs`` over nearly no rows, where its time is to be extended.
        own_start: The same for ``ours``.
    """

    group: str
    what: str
    ours: Entry
    theirs: Entry
    goal: Goal | None
    size: str
    start: Entry | None = None
    own_start: Entry | None = None

    def rates(self) -> Line:
        """Return the line of rows a second."""
        if problem := self._problem(Unit.RATE):
            return problem
        rows = max(self.ours.rows, self.theirs.rows)
        ours = _rates(self.ours, self.own_start, rows)
        return self._line(Unit.RATE, ours, _rates(self.theirs, self.start, rows))

    def seconds(self) -> Line:
        """Return the line of wall times."""
        return self._problem(Unit.SECONDS) or self._line(
            Unit.SECONDS,
            [run.seconds for run in self.ours.runs],
            [run.seconds for run in self.theirs.runs],
        )

    def peaks(self) -> Line:
        """Return the line of peak memory; the medians are compared, not the rounds."""
        if problem := self._problem(Unit.MEMORY):
            return problem
        ours = Figure.of([run.peak_mib for run in self.ours.runs])
        theirs = Figure.of([run.peak_mib for run in self.theirs.runs])
        ratio = ours.median / theirs.median
        return Line(
            self.group, self.what, self.theirs.name, self.size, Unit.MEMORY, ours, theirs,
            Figure(ratio, ours.low / theirs.high, ours.high / theirs.low), self.goal,
            len(self.ours.runs),
        )  # fmt: skip

    def _line(self, unit: Unit, ours: list[float], theirs: list[float]) -> Line:
        return Line(
            self.group, self.what, self.theirs.name, self.size, unit, Figure.of(ours),
            Figure.of(theirs), paired(ours, theirs), self.goal, len(ours),
        )  # fmt: skip

    def _problem(self, unit: Unit) -> Line | None:
        starts = [entry for entry in (self.start, self.own_start) if entry is not None]
        for entry in (self.ours, self.theirs, *starts):
            if entry.problem:
                return Line(
                    self.group, self.what, self.theirs.name, self.size, unit, goal=self.goal,
                    problem=f"{entry.name}: {entry.problem}", is_missing=entry.is_missing,
                )  # fmt: skip
        return None


def alone(group: str, entry: Entry, size: str, unit: Unit, goal: Goal | None = None) -> Line:
    """Return the line of a contender that is compared with nothing: its peak or its seconds."""
    if entry.problem:
        return Line(
            group, entry.name, "", size, unit, goal=goal, problem=entry.problem,
            is_missing=entry.is_missing,
        )  # fmt: skip
    values = [run.peak_mib if unit is Unit.MEMORY else run.seconds for run in entry.runs]
    return Line(group, entry.name, "", size, unit, Figure.of(values), goal=goal, runs=len(values))


def _rates(entry: Entry, start: Entry | None, rows: int) -> list[float]:
    if start is None or entry.rows == rows:
        return [entry.rows / run.seconds for run in entry.runs]
    start_up = Figure.of([run.seconds for run in start.runs]).median
    return [rows / extended(run.seconds, entry.rows, start_up, rows) for run in entry.runs]
