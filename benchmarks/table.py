"""Prints the lines as one table in Markdown, which reads well on a terminal, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.lines import Unit, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Figure
    from benchmarks.lines import Line

HEADER = ("what", "against", "size", "unit", "measured", "the other", "ratio", "goal", "")


def table(lines: Sequence[Line]) -> str:
    """Return the table: medians, and lowest to highest in brackets."""
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
        _figure(line.ours, line.unit),
        _figure(line.theirs, line.unit),
        _ratio(line.ratio),
        goal_text(line),
        verdict,
    )


def goal_text(line: Line) -> str:
    """Return a line's goal."""
    if line.goal is None:
        return "–"
    mark = "×" if line.against else f" {line.unit.value}"
    return f"{line.goal.sense.value} {line.goal.value:g}{mark}"


def number(value: float, unit: Unit) -> str:
    """Return a value as the table shows it."""
    match unit:
        case Unit.RATE:
            return f"{value / 1000:,.1f}k"
        case Unit.SECONDS:
            return f"{value:.2f}"
        case Unit.MEMORY:
            return f"{value:.0f}"


def _figure(figure: Figure | None, unit: Unit) -> str:
    if figure is None:
        return "–"
    low, high = number(figure.low, unit), number(figure.high, unit)
    return f"{number(figure.median, unit)} ({low}–{high})"


def _ratio(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    return f"{figure.median:.2f}× ({figure.low:.2f}–{figure.high:.2f})"
