"""Draws the lines: how much of each goal is reached, and rows a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.lines import Line, Unit
from benchmarks.table import goal_text, number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

GOOD, SHORT, PLAIN = "#2f7d4f", "#c8553d", "#8a94a6"
MOST_SHOWN = 2.0
BAR_INCHES = 0.34
MARGIN_INCHES = 1.6


def draw(lines: Sequence[Line], caption: str, path: Path) -> None:
    """Write the picture as SVG.

    Args:
        lines: The table.
        caption: When and where it was measured.
        path: Where to.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9}
    from matplotlib import pyplot as plt

    goals = [line for line in lines if line.goal and line.judged]
    speeds = [line for line in lines if line.unit is Unit.RATE and line.ours and line.theirs]
    bars = len(goals) + 2 * len(speeds)
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, bars * BAR_INCHES + MARGIN_INCHES), layout="constrained",
        height_ratios=(max(1, len(goals)), max(1, 2 * len(speeds))),
    )  # fmt: skip
    _draw_goals(above, goals)
    _draw_speeds(below, speeds)
    figure.supxlabel(caption, fontsize=7, color="#555555")
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def _draw_goals(axes: Axes, lines: Sequence[Line]) -> None:
    names, scores, colours, texts = [], [], [], []
    for line in lines:
        assert line.goal is not None  # noqa: S101 - chosen by it
        assert line.judged is not None  # noqa: S101
        median = line.judged.median
        names.append(f"{line.what} / {line.against}" if line.against else line.what)
        scores.append(min(MOST_SHOWN, line.goal.score(median)))
        colours.append(GOOD if line.goal.is_met(median) else SHORT)
        shown = f"{median:.2f}×" if line.ratio else f"{number(median, line.unit)} MiB"
        texts.append(f"{shown}  (goal {goal_text(line)})")
    bars = axes.barh(names, scores, color=colours)
    for label in axes.bar_label(bars, labels=texts, padding=4, fontsize=8):
        label.set_bbox({"color": "white", "pad": 0.5})  # the dashed line may lie behind it
    axes.axvline(1, color="black", linestyle="--", linewidth=1)
    axes.set(xlim=(0, MOST_SHOWN * 1.5), title="How much of each goal is reached (dashed: all)")
    axes.set_xticks([0, 0.5, 1, 1.5, MOST_SHOWN])
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _draw_speeds(axes: Axes, lines: Sequence[Line]) -> None:
    names: list[str] = []
    rates: list[tuple[float, float, float]] = []
    goals: list[float | None] = []
    for line in lines:
        for name, figure in ((line.what, line.ours), (line.against, line.theirs)):
            if figure is not None and name not in names:
                names.append(name)
                rates.append((figure.median, figure.low, figure.high))
                goals.append(None)
        if line.goal and line.theirs:
            place = names.index(line.what)
            goals[place] = max(goals[place] or 0, line.goal.value * line.theirs.median)
    colours = [PLAIN if goal is None else (GOOD if rate[0] >= goal else SHORT)
               for rate, goal in zip(rates, goals, strict=True)]  # fmt: skip
    values = [rate[0] / 1000 for rate in rates]
    spread = [
        [(rate[0] - rate[1]) / 1000 for rate in rates],
        [(rate[2] - rate[0]) / 1000 for rate in rates],
    ]
    bars = axes.barh(names, values, xerr=spread, color=colours, ecolor="#444444", capsize=2)
    axes.bar_label(bars, fmt="{:.0f}k", padding=8, fontsize=8)
    for place, goal in enumerate(goals):
        if goal is not None:
            axes.plot([goal / 1000] * 2, [place - 0.45, place + 0.45], "k--", linewidth=1)
    axes.set(title="Thousand rows a second, whole process (dashed: highest goal; line: spread)")
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
