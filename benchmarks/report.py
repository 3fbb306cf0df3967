"""The report: a table in Markdown, a picture, and when and on which machine it was measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Line, Unit, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from benchmarks.figures import Line

PACKAGES = ("singer-sdk", "pyarrow", "msgspec", "duckdb", "polars", "meltano")
HEADER = ("what", "against", "size", "unit", "measured", "the other", "ratio", "goal", "")
GOOD, SHORT, PLAIN = "#2f7d4f", "#c8553d", "#8a94a6"
MOST_SHOWN = 2.0
BAR_INCHES = 0.34
MARGIN_INCHES = 1.6
_ASK = (
    "import importlib.metadata as m, json, sys\n"
    "found = {}\n"
    "for name in sys.argv[1:]:\n"
    "    try: found[name] = m.version(name)\n"
    "    except m.PackageNotFoundError: pass\n"
    "import platform; found['Python'] = platform.python_version()\n"
    "print(json.dumps(found))\n"
)


def circumstances(pythons: list[str], worth: Sequence[float] = ()) -> dict[str, object]:
    """Return the date, the machine and the versions.

    Args:
        pythons: Interpreters of the environments; of a package in several, the first counts.
        worth: Measured speeds of the cores at the start of runs, in cores.
    """
    versions: dict[str, str] = {}
    for python in pythons:
        done = subprocess.run(
            [python, "-c", _ASK, *PACKAGES], capture_output=True, text=True, check=True
        )
        versions = {**json.loads(done.stdout), **versions}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "cores_worth": asdict(Figure.of(worth)) if worth else None,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


def caption(found: dict[str, object]) -> str:
    """Return the circumstances as one line."""
    versions = found["versions"]
    assert isinstance(versions, dict)  # noqa: S101 - made above
    named = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    cores = f"{found['cores']} cores ({found['processor']})"
    if found.get("cores_worth"):
        worth = Figure(**found["cores_worth"])  # type: ignore[arg-type]
        cores += f" worth {worth.median:.1f} ({worth.low:.1f}–{worth.high:.1f}) at the runs' start"
    return f"{found['date']}, {cores}, {named}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def table(lines: Sequence[Line]) -> str:
    """Return the table: medians, with lowest and highest in brackets."""
    rows = [HEADER, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    texts.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(texts)


def _cells(line: Line) -> tuple[str, ...]:
    verdict = line.verdict.value
    if line.problem:
        verdict = f"{line.verdict.value}: {line.problem}"
    elif line.verdict is not Verdict.REPORTED:
        verdict = f"{line.verdict.value} ({line.runs} runs)"
    return (
        line.what,
        line.against,
        line.size,
        line.unit.value,
        figure_text(line.ours, line.unit),
        figure_text(line.theirs, line.unit),
        ratio_text(line.ratio),
        goal_text(line),
        verdict,
    )


def goal_text(line: Line) -> str:
    """Return the goal as the table shows it."""
    if line.goal is None:
        return "–"
    mark = "×" if line.against else f" {line.unit.value}"
    return f"{line.goal.sense.value} {line.goal.value:g}{mark}"


def in_words(line: Line) -> str:
    """Return a line with a goal as a short text."""
    against = f" against {line.against}" if line.against else ""
    assert line.judged is not None  # noqa: S101 - it has been measured
    unit = "×" if line.ratio else f" {line.unit.value}"
    return f"{line.what}{against}: {line.judged.median:.2f}{unit}, goal {goal_text(line)}"


def number(value: float, unit: Unit) -> str:
    """Return a value as the table shows it."""
    match unit:
        case Unit.RATE:
            return f"{value / 1000:,.1f}k"
        case Unit.SECONDS:
            return f"{value:.2f}"
        case Unit.MEMORY:
            return f"{value:.0f}"


def figure_text(figure: Figure | None, unit: Unit) -> str:
    """Return a median, with lowest and highest in brackets."""
    if figure is None:
        return "–"
    low, high = number(figure.low, unit), number(figure.high, unit)
    return f"{number(figure.median, unit)} ({low}–{high})"


def ratio_text(figure: Figure | None) -> str:
    """Return a ratio, with lowest and highest in brackets."""
    if figure is None:
        return "–"
    return f"{figure.median:.2f}× ({figure.low:.2f}–{figure.high:.2f})"


def draw(lines: Sequence[Line], caption: str, path: Path) -> None:
    """Write a picture as SVG: how much of each goal is reached, and rows per second."""
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
        assert line.goal is not None  # noqa: S101 - selected above
        assert line.judged is not None  # noqa: S101
        median = line.judged.median
        against = line.against.removesuffix(line.what[len(line.what.partition(",")[0]) :])
        names.append(f"{line.what} / {against}" if line.against else line.what)
        scores.append(min(MOST_SHOWN, line.goal.score(median)))
        colours.append(GOOD if line.goal.is_met(median) else SHORT)
        shown = f"{median:.2f}×" if line.ratio else f"{number(median, line.unit)} MiB"
        texts.append(f"{shown}  (goal {goal_text(line)})")
    bars = axes.barh(names, scores, color=colours)
    for label in axes.bar_label(bars, labels=texts, padding=4, fontsize=8):
        label.set_bbox({"color": "white", "pad": 0.5})  # the dashed line may be behind it
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
