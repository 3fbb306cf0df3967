"""All lines of the table, in its order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import memory_cases, tap_cases, target_cases, wait_cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.lines import Line
    from benchmarks.setting import Setting

CASES: dict[str, Callable[[Setting], list[Line]]] = {
    "tap": tap_cases.wide,
    "narrow": tap_cases.narrow,
    "target": target_cases.wide,
    "memory": memory_cases.peaks,
    "jobs": wait_cases.slow_jobs,
    "start-up": wait_cases.start_up,
    "meltano": wait_cases.meltano,
}


def run_all(setting: Setting, names: list[str]) -> list[Line]:
    """Run some of the cases and return their lines."""
    lines = []
    for name in names:
        sys.stderr.write(f"{name}\n")
        lines += CASES[name](setting)
    return lines
