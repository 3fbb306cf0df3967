"""The charts of a run's page: rows over time, and what each job went through.

Places along the axis of time are in percent, so that texts keep their size at any width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from demandbase_api.jobs.job_timeline import JobPhase
from demandbase_api.words import counted, duration, short
from demandbase_cli.html import element

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from demandbase_api.run_report import ReportedPhase, RowSample
    from demandbase_cli.run_reports import Job

MAX_ROWS = 200
"""Maximum number of jobs that are drawn; the table has all of them."""

_STEPS = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600,
    43200, 86400, 172800,
)  # fmt: skip
"""Seconds between two ticks."""
_MOST_TICKS = 5
_BARS = 60
_CHART_HEIGHT = 128
_HEADROOM = 12
_THICK, _THIN = 12, 4
_MIDDLE = "50%"
_MIN_PERCENT = 0.4
"""Width of the shortest bar, so that it can be seen."""
_PHASES = {
    JobPhase.WAITING: "waiting in Demandbase",
    JobPhase.RUNNING: "running in Demandbase",
    JobPhase.UPLOADING: "uploading",
    JobPhase.DOWNLOADING: "downloading",
    JobPhase.READING: "reading and sending rows",
}


@dataclass(frozen=True, slots=True)
class Axis:
    """The axis of time.

    Args:
        seconds: Its length.
        step: Seconds between two ticks.
    """

    seconds: float
    step: float

    @classmethod
    def of(cls, seconds: float) -> Axis:
        """Return the axis for a run of some duration."""
        length = max(seconds, _STEPS[0])
        step = next((each for each in _STEPS if length / each <= _MOST_TICKS), None)
        return cls(length, step or length / _MOST_TICKS)

    @property
    def ticks(self) -> list[float]:
        """Moments to label, from 0."""
        return [number * self.step for number in range(math.floor(self.seconds / self.step) + 1)]

    def percent(self, seconds: float) -> float:
        """Return the place of a moment."""
        return 100 * min(max(seconds / self.seconds, 0.0), 1.0)

    def place(self, seconds: float) -> str:
        """Return the place of a moment as an attribute."""
        return f"{self.percent(seconds):.3f}%"

    def grid(self) -> list[Element]:
        """Return a line for each tick."""
        return [
            element(
                "line", class_="grid", x1=self.place(tick), x2=self.place(tick), y1="0", y2="100%"
            )
            for tick in self.ticks
        ]

    def labels(self) -> Element:
        """Return the labels of the ticks; the chart and the table have the same in words."""
        texts = []
        for tick in self.ticks:
            anchor = "start" if tick == 0 else "middle"
            # A label at the end would be cut off.
            if self.percent(tick) > 97:  # noqa: PLR2004
                anchor = "end"
            texts.append(
                element("text", duration(tick), x=self.place(tick), y="14", text_anchor=anchor)
            )
        return element("svg", *texts, class_="ticks", height="20", aria_hidden="true")


def rates(samples: Sequence[RowSample], axis: Axis) -> list[float]:
    """Return the rows per second in equal parts of a run.

    Args:
        samples: Rows that had been read, at some moments.
        axis: The axis of time.
    """
    width = axis.seconds / _BARS
    rows = [0.0] * _BARS
    for before, after in pairwise(samples):
        begin, end = before.seconds, max(after.seconds, before.seconds + 1e-6)
        speed = (after.rows - before.rows) / (end - begin)
        first, last = int(begin / width), int(end / width)
        for bar in range(max(first, 0), min(last, _BARS - 1) + 1):
            shared = min(end, (bar + 1) * width) - max(begin, bar * width)
            rows[bar] += speed * max(shared, 0.0)
    return [each / width for each in rows]


def rate_chart(samples: Sequence[RowSample], axis: Axis) -> Element:
    """Return the chart of the rows per second over the run."""
    found = rates(samples, axis)
    peak = max(found)
    step = _nice(peak)
    top = step * max(math.ceil(peak / step), 1)
    total = counted(samples[-1].rows if samples else 0, "row")
    drawn: list[Element] = [
        element("title", f"Rows per second over the run: {total}, at most {_speed(peak)}"),
        *axis.grid(),
    ]
    base = _CHART_HEIGHT + _HEADROOM
    for number in range(math.floor(top / step) + 1):
        y = base - _CHART_HEIGHT * number * step / top
        drawn.append(
            element("line", class_="level", x1="0", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}")
        )
    width = axis.seconds / _BARS
    for bar, rate in enumerate(found):
        if rate > 0:
            height = max(_CHART_HEIGHT * rate / top, 1.0)
            moments = f"{duration(bar * width)} to {duration((bar + 1) * width)}"
            drawn.append(
                element(
                    "rect",
                    element("title", f"{moments}: {_speed(rate)}"),
                    class_="rate",
                    x=f"{100 * bar / _BARS + 0.12:.3f}%",
                    width=f"{100 / _BARS - 0.24:.3f}%",
                    y=f"{base - height:.1f}",
                    height=f"{height:.1f}",
                    rx="1.5",
                )
            )
    for number in range(1, math.floor(top / step) + 1):
        y = base - _CHART_HEIGHT * number * step / top
        drawn.append(element("text", short(number * step), class_="value", x="0", y=f"{y:.1f}"))
    return element("svg", *drawn, class_="chart", height=base + 1, role="img")


def job_row(phases: Sequence[ReportedPhase], axis: Axis, name: str) -> Element:
    """Return the row of a job.

    Args:
        phases: What the job went through.
        axis: The axis of time.
        name: Its stream and its id, for screen readers.
    """
    words = "; ".join(f"{_in_words(each.phase)} {_moments(each)}" for each in phases)
    drawn: list[Element] = [element("title", f"{name}: {words or 'no times'}"), *axis.grid()]
    if phases:
        begin, end = axis.place(phases[0].begin), axis.place(phases[-1].end)
        drawn.append(element("line", class_="idle", x1=begin, x2=end, y1=_MIDDLE, y2=_MIDDLE))
    for each in phases:
        thickness = _THIN if each.phase == JobPhase.WAITING else _THICK
        begin_percent = axis.percent(each.begin)
        width = max(axis.percent(each.end) - begin_percent, _MIN_PERCENT)
        drawn.append(
            element(
                "rect",
                element("title", f"{_in_words(each.phase)}: {_moments(each)}"),
                class_=f"phase {each.phase}" if each.phase in {*JobPhase} else "phase",
                x=f"{min(begin_percent, 100 - width):.3f}%",
                width=f"{width:.3f}%",
                y=_MIDDLE,
                height=thickness,
                transform=f"translate(0 {-thickness // 2})",
                rx="2",
            )
        )
    return element("svg", *drawn, class_="row", role="img")


def legend(jobs: Sequence[Job]) -> Element:
    """Return what the colours mean, of the phases that occur."""
    occur = {each.phase for job in jobs for each in job.phases}
    items = [
        element("li", element("span", class_=f"key {phase.value}"), words)
        for phase, words in _PHASES.items()
        if phase in occur
    ]
    if any(_has_gap(job.phases) for job in jobs):
        items.append(element("li", element("span", class_="key idle"), "complete, not yet read"))
    return element("ul", *items, class_="legend")


def seconds_in(phases: Sequence[ReportedPhase], *kinds: JobPhase) -> float | None:
    """Return the time that a job spent in some phases; ``None`` if it was never in them."""
    found = [each.end - each.begin for each in phases if each.phase in kinds]
    return sum(found) if found else None


def _has_gap(phases: Sequence[ReportedPhase]) -> bool:
    return any(after.begin - before.end > 0.05 for before, after in pairwise(phases))  # noqa: PLR2004


def _nice(peak: float) -> float:
    """Return the distance of two levels: 1, 2 or 5 times a power of ten, for two to four levels."""
    if peak <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(peak))
    return next(
        (step * power for step in (0.2, 0.5, 1, 2, 5) if peak / (step * power) <= 4),  # noqa: PLR2004
        float(power),
    )


def _speed(rate: float) -> str:
    return f"{rate:,.0f} rows/s" if rate >= 1 else f"{rate:.2g} rows/s"


def _in_words(phase: str) -> str:
    return _PHASES[JobPhase(phase)] if phase in {*JobPhase} else phase


def _moments(each: ReportedPhase) -> str:
    return f"{duration(each.end - each.begin)}, from {duration(each.begin)} to {duration(each.end)}"
