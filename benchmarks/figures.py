"""Figures of the table: medians with their spread, goals, and the lines that compare programs."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from benchmarks.race import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Figure:
    """Median, lowest and highest of several runs."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Return the figure of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


class Sense(StrEnum):
    """Side of a goal on which it is met."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True, slots=True)
class Goal:
    """Goal for a median."""

    sense: Sense
    value: float

    def is_met(self, value: float) -> bool:
        """Whether a value meets the goal."""
        return value >= self.value if self.sense is Sense.AT_LEAST else value <= self.value

    def score(self, value: float) -> float:
        """Return the share of the goal that is reached: 1 or more if it is met."""
        return value / self.value if self.sense is Sense.AT_LEAST else self.value / value


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Return the ratio of our values to theirs, round by round."""
    return Figure.of([our / their for our, their in zip(ours, theirs, strict=True)])


def extended(seconds: float, rows: int, start_up: float, to_rows: int) -> float:
    """Extrapolate the time of a run to more rows: linear, but for the start-up.

    Args:
        seconds: Time of a run over ``rows`` rows.
        start_up: Time in seconds of a run over nearly no rows.
        to_rows: Number of rows to extrapolate to.
    """
    return start_up + (seconds - start_up) * to_rows / rows


class Verdict(StrEnum):
    """Result of a line."""

    MET = "met"
    MISSED = "missed"
    REPORTED = "reported"
    MISSING = "not available"
    FAILED = "FAILED"


class Unit(StrEnum):
    """Unit of a line's figures."""

    RATE = "rows/s"
    SECONDS = "s"
    MEMORY = "MiB"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table.

    Args:
        group: Part of the table.
        what: The program that is measured.
        against: The program that it is compared with, or empty.
        size: Size of the data, and the goal's size if it differs.
        ratio: ``ours`` divided by ``theirs``, round by round.
        goal: Goal for ``ratio``, or for ``ours`` if there is no ratio.
        runs: Number of runs behind each median.
        problem: Reason for missing figures.
        is_missing: The reason is that something is not installed or not supported.
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
        """The figure that the goal applies to."""
        return self.ratio or self.ours

    @property
    def verdict(self) -> Verdict:
        """Result of the line."""
        if self.problem or self.judged is None:
            return Verdict.MISSING if self.is_missing else Verdict.FAILED
        if self.goal is None:
            return Verdict.REPORTED
        return Verdict.MET if self.goal.is_met(self.judged.median) else Verdict.MISSED


@dataclass(frozen=True, slots=True)
class Pair:
    """Two programs of one race, compared with each other.

    Args:
        group: Part of the table.
        what: Name of ``ours`` in this line.
        goal: Goal for the ratio.
        size: Size of the data, as the table shows it.
        start: ``theirs`` over nearly no rows, to extrapolate from fewer rows than ``ours``.
    """

    group: str
    what: str
    ours: Entry
    theirs: Entry
    goal: Goal | None
    size: str
    start: Entry | None = None

    def rates(self) -> Line:
        """Return a line of rows per second."""
        if problem := self._problem(Unit.RATE):
            return problem
        rows = max(self.ours.rows, self.theirs.rows)
        ours = _rates(self.ours, None, rows)
        return self._line(Unit.RATE, ours, _rates(self.theirs, self.start, rows))

    def seconds(self) -> Line:
        """Return a line of wall times."""
        return self._problem(Unit.SECONDS) or self._line(
            Unit.SECONDS,
            [run.seconds for run in self.ours.runs],
            [run.seconds for run in self.theirs.runs],
        )

    def peaks(self) -> Line:
        """Return a line of peak memory; it compares medians, not rounds."""
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
        for entry in (self.ours, self.theirs, self.start):
            if entry and entry.problem:
                return Line(
                    self.group, self.what, self.theirs.name, self.size, unit, goal=self.goal,
                    problem=f"{entry.name}: {entry.problem}", is_missing=entry.is_missing,
                )  # fmt: skip
        return None


def slowest_against_fastest(group: str, entries: Mapping[str, Entry], size: str) -> Line:
    """Return a line that compares the rates of one program over its slowest and fastest input.

    Args:
        entries: The program's results by input, all over the same number of rows.
    """
    goal = Goal(Sense.AT_LEAST, 0.5)
    program = group.partition(",")[0]
    slowest, fastest = f"{program}, slowest input", f"{program}, fastest input"
    for entry in entries.values():
        if entry.problem:
            return Pair(group, slowest, entry, Entry(fastest, entry.rows), goal, size).rates()

    def seconds(name: str) -> float:
        return Figure.of([run.seconds for run in entries[name].runs]).median

    slow, fast = max(entries, key=seconds), min(entries, key=seconds)
    line = Pair(group, slowest, entries[slow], entries[fast], goal, size).rates()
    return replace(line, against=fastest, size=f"{size}; {slow} and {fast}")


def peak_alone(group: str, entry: Entry, size: str, goal: Goal) -> Line:
    """Return a line of the peak memory of one program, compared with nothing."""
    if entry.problem:
        return Line(
            group, entry.name, "", size, Unit.MEMORY, goal=goal, problem=entry.problem,
            is_missing=entry.is_missing,
        )  # fmt: skip
    values = [run.peak_mib for run in entry.runs]
    return Line(
        group, entry.name, "", size, Unit.MEMORY, Figure.of(values), goal=goal, runs=len(values)
    )


def _rates(entry: Entry, start: Entry | None, rows: int) -> list[float]:
    if start is None or entry.rows == rows:
        return [entry.rows / run.seconds for run in entry.runs]
    start_up = Figure.of([run.seconds for run in start.runs]).median
    return [rows / extended(run.seconds, entry.rows, start_up, rows) for run in entry.runs]
