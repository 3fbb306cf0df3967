"""Writes the table of docs/performance.md from the results of the last full run.

``python -m benchmarks.page`` writes it again from ``results.json``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, Goal, Line, Sense, Unit, Verdict
from benchmarks.report import caption, figure_text, goal_text, ratio_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->"


def main() -> None:
    """Write the section of docs/performance.md from results.json."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    write_section(PAGE, lines_of(results), caption(results))


def lines_of(results: Mapping[str, Any]) -> list[Line]:
    """Return the lines of a file of results."""
    return [_line(members) for members in results["lines"]]


def write_section(path: Path, lines: Sequence[Line], circumstances: str) -> None:
    """Write the table between the markers of a page."""
    text = path.read_text(encoding="utf-8")
    path.write_text(with_section(text, lines, circumstances), encoding="utf-8")


def with_section(text: str, lines: Sequence[Line], circumstances: str) -> str:
    """Return the text of a page with the table between its markers."""
    rows = "\n".join(map(_row, lines))
    section = (
        f"{BEGIN}| what | against | size | measured | ratio | goal |\n|---|---|---|---|---|---|\n"
        f"{rows}\n\n{circumstances}.\n{END}"
    )
    return re.sub(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: section, text, flags=re.DOTALL
    )


def _line(members: Mapping[str, Any]) -> Line:
    known = {name: value for name, value in members.items() if name != "verdict"}
    for name in ("ours", "theirs", "ratio"):
        known[name] = Figure(**known[name]) if known[name] else None
    goal = known["goal"]
    known["goal"] = Goal(Sense(goal["sense"]), goal["value"]) if goal else None
    known["unit"] = Unit(known["unit"])
    return Line(**known)


def _row(line: Line) -> str:
    against = line.against or "–"
    if line.verdict in {Verdict.MISSING, Verdict.FAILED}:
        return f"| {line.what} | {against} | {line.size} | {line.verdict.value} | – | – |"
    measured = f"{figure_text(line.ours, line.unit)} {line.unit.value}"
    goal = f"{goal_text(line)}, {line.verdict.value}" if line.goal else "reported"
    ratio = ratio_text(line.ratio)
    return f"| {line.what} | {against} | {line.size} | {measured} | {ratio} | {goal} |"


if __name__ == "__main__":
    main()
