"""The lines about peak memory: ten times the rows must not take more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Goal, Sense
from benchmarks.lines import Pair, Unit, alone
from benchmarks.size_text import rows_text
from benchmarks.sizes import GOAL_ROWS

if TYPE_CHECKING:
    from benchmarks.lines import Line
    from benchmarks.setting import Setting

GROUP = "peak memory"
MOST_MIB = 200


def peaks(setting: Setting) -> list[Line]:
    """Run tap and target over some rows and over ten times as many."""
    programs, sizes, track = setting.programs, setting.sizes, setting.track
    small = track.race(
        [
            programs.tap(f"tap, {sizes.wide:,} rows", {"wide": setting.files.wide}),
            programs.target(f"target, {sizes.wide:,} rows", setting.wide, sizes.wide),
        ],
        sizes.large_runs,
    )
    try:
        files = setting.make_large()
        large = track.only_counted().race(
            [
                programs.tap(f"tap, {sizes.large:,} rows", {"wide": files}),
                programs.target(f"target, {sizes.large:,} rows", setting.wide, sizes.large),
            ],
            sizes.large_runs,
        )
    finally:
        setting.remove_large()
    size = rows_text(sizes.large, GOAL_ROWS)
    at_most = Sense.AT_MOST
    lines = []
    for ours, theirs in zip(large.values(), small.values(), strict=True):
        lines += [
            Pair(GROUP, ours.name, ours, theirs, Goal(at_most, 1.1), size).peaks(),
            alone(GROUP, ours, size, Unit.MEMORY, Goal(at_most, MOST_MIB)),
        ]
    return lines
