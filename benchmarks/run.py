"""Runs the benchmarks, prints the table and writes it as JSON and as a picture."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cases import CASES, run_all
from benchmarks.figures import Verdict
from benchmarks.page import write_section
from benchmarks.programs import ROOT
from benchmarks.report import caption, circumstances, draw, in_words, table
from benchmarks.setting import GOAL_WIDE, Setting, Sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Line

DEFAULT_ROWS, DEFAULT_RUNS = 60_000, 2
FULL_ROWS, FULL_RUNS = GOAL_WIDE, 5


def main() -> int:
    """Run; return 1 if a case failed. A missed goal is only named."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # clean up on the way
    began = time.monotonic()
    sizes = Sizes.of(options.rows, options.runs)
    setting = Setting(sizes, options.bin, options.work, with_peers=options.peers)
    with setting:
        lines = run_all(setting, options.only or list(CASES))
    found = circumstances([str(options.bin / "python"), sys.executable], setting.track.cores)
    print(f"\n{table(lines)}\n\n{caption(found)}; {time.monotonic() - began:.0f} s in all")
    for path in (options.results, options.picture, options.page):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
    if options.results:
        _write(options.results, found, sizes, lines)
    if options.picture:
        draw(lines, caption(found), options.picture)
    if options.page:
        write_section(options.page, lines, caption(found))
    for line in lines:
        if line.verdict is Verdict.MISSED:
            print(f"Missed: {in_words(line)}")
    failed = [line for line in lines if line.verdict is Verdict.FAILED]
    for line in failed:
        print(f"Failed: {line.what} against {line.against}: {line.problem}", file=sys.stderr)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    add = parser.add_argument
    add("--full", action="store_true", help="measure as the goals say, instead of small and quick")
    add("--rows", type=int, help="rows of 30 columns")
    add("--runs", type=int, help="runs of each program")
    add("--no-peers", dest="peers", action="store_false", help="leave out programs by others")
    add("--only", action="append", choices=list(CASES), help="run only this case; may be repeated")
    add(
        "--bin",
        type=Path,
        default=ROOT / ".venv" / "bin",
        help="bin folder of the environment with the plugins",
    )
    add("--work", type=Path, default=ROOT / ".bench", help="folder for data and peers")
    add("--results", type=Path, help="JSON file to write")
    add("--picture", type=Path, help="SVG file to write")
    add("--page", type=Path, help="Markdown file in whose marked section the table is written")
    options = parser.parse_args()
    rows, runs = (FULL_ROWS, FULL_RUNS) if options.full else (DEFAULT_ROWS, DEFAULT_RUNS)
    options.rows = rows if options.rows is None else options.rows
    options.runs = runs if options.runs is None else options.runs
    if options.rows < 1 or options.runs < 1:
        parser.error("--rows and --runs must be at least 1")
    options.work, options.bin = options.work.absolute(), options.bin.absolute()
    return options


def _write(path: Path, found: dict[str, object], sizes: Sizes, lines: Sequence[Line]) -> None:
    document = {
        **found,
        "sizes": asdict(sizes),
        "lines": [{**asdict(line), "verdict": line.verdict.value} for line in lines],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
