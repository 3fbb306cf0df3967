"""The case of import jobs that take a while: how much longer a run takes than its jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Line, Sense, Unit
from benchmarks.setting import GOAL_JOB_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Command
    from benchmarks.race import Contender, Entry
    from benchmarks.setting import Setting

IMPORTS = 10
GOAL_SECONDS = 5.0
GROUP = "slow imports"
SUM = "sum of the jobs"


def queued_imports(setting: Setting) -> list[Line]:
    """Compare the time of ten imports in a row, and of two at a time, with the sum of the jobs."""
    sizes = setting.sizes
    is_full = sizes.job_seconds == GOAL_JOB_SECONDS
    seconds = GOAL_SECONDS if is_full else max(0.1, sizes.job_seconds / 20)
    rows = IMPORTS * max(1, sizes.wide // 50)
    goals = {1: Goal(Sense.AT_MOST, 1.2), 2: Goal(Sense.AT_MOST, 0.7)}
    contenders = {jobs: _contender(setting, rows, seconds, jobs) for jobs in goals}
    try:
        ran = setting.track.only_counted().race(list(contenders.values()), 1)
    finally:
        setting.server.import_seconds = 0.0
    size = f"{IMPORTS} jobs of {seconds:g} s" + ("" if is_full else f" (goal: {GOAL_SECONDS:g} s)")
    return [
        _line(ran[contenders[jobs].name], size, IMPORTS * seconds, goal if is_full else None)
        for jobs, goal in goals.items()
    ]


def _contender(setting: Setting, rows: int, seconds: float, jobs: int) -> Contender:
    """Return the target with some import jobs at a time, and the poll intervals of the user."""
    name = "imports, one at a time" if jobs == 1 else f"imports, {jobs} at a time"
    target = setting.programs.fed_target(name, "wide", rows)
    settings = {
        "batch_size_rows": rows // IMPORTS,
        "max_concurrent_jobs": jobs,
        "poll_interval_seconds": None,
        "poll_interval_max_seconds": None,
    }

    def command(folder: Path) -> Command:
        made = target.command(folder)
        path = folder / "config.json"
        config = {**json.loads(path.read_text("utf-8")), **settings}
        own = {name: value for name, value in config.items() if value is not None}
        path.write_text(json.dumps(own), "utf-8")
        return made

    def before() -> None:
        setting.server.forget()
        setting.server.import_seconds = seconds

    return replace(target, command=command, before=before)


def _line(entry: Entry, size: str, seconds: float, goal: Goal | None) -> Line:
    if entry.problem:
        return Line(GROUP, entry.name, SUM, size, Unit.SECONDS, goal=goal, problem=entry.problem)
    walls = [run.seconds for run in entry.runs]
    return Line(
        GROUP, entry.name, SUM, size, Unit.SECONDS, Figure.of(walls), Figure.of([seconds]),
        Figure.of([wall / seconds for wall in walls]), goal, len(walls),
    )  # fmt: skip
