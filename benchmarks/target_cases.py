"""The cases of the target: speed and memory over the lines of several taps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Goal, Pair, Sense, peak_alone, slowest_against_fastest
from benchmarks.programs import bare_loop
from benchmarks.setting import GOAL_ROWS, GOAL_WIDE
from benchmarks.sizes import extended_text, rows_text
from benchmarks.tap_cases import MOST_MIB

if TYPE_CHECKING:
    from benchmarks.figures import Line
    from benchmarks.setting import Setting

WIDE = "target, 30 columns"
LARGE = "target, many rows"
TEXTBOOK = "textbook SDK target"
LOOP = "bare loop"
GOALS = {"wide": (20.0, 1.6)}
OTHER_GOALS = (15.0, 1.4)
"""Least multiples of the textbook target and of the bare loop."""
LARGE_INPUTS = ("wide", "mixed")


def wide(setting: Setting) -> list[Line]:
    """Race the target, the textbook target and a bare loop over each input, and peers over one."""
    programs, sizes, inputs = setting.programs, setting.sizes, setting.lines
    own = inputs["wide"]
    peers = setting.peers.targets(own.source, sizes.slow, own.slow) if setting.with_peers else []
    contenders = [*peers]
    for name, lines in inputs.items():
        source = lines.source
        contenders += [
            programs.target(_named("target", name), source, sizes.wide, lines.all),
            bare_loop(_named(LOOP, name), source, sizes.wide, lines.all),
            programs.textbook_target(_named(TEXTBOOK, name), source, sizes.slow, lines.slow),
        ]
    if sizes.slow < sizes.wide:
        contenders.append(programs.textbook_target("start", own.source, 1, own.start))
    ran = setting.track.patient().race(contenders, sizes.runs)
    size = rows_text(sizes.wide, GOAL_WIDE)
    targets = {name: ran[_named("target", name)] for name in inputs}
    lines_of_table = []
    for name, target in targets.items():
        textbook, loop = (Goal(Sense.AT_LEAST, it) for it in GOALS.get(name, OTHER_GOALS))
        extended = extended_text("textbook", sizes.slow, sizes.wide)
        lines_of_table += [
            Pair(
                WIDE, target.name, target, ran[_named(TEXTBOOK, name)], textbook, size + extended,
                ran.get("start"),
            ).rates(),
            Pair(WIDE, target.name, target, ran[_named(LOOP, name)], loop, size).rates(),
        ]  # fmt: skip
    return [
        *lines_of_table,
        slowest_against_fastest(WIDE, targets, size),
        *(
            Pair(WIDE, it.name, ran[it.name], ran[TEXTBOOK], None, rows_text(sizes.slow)).rates()
            for it in peers
        ),
    ]


def _named(program: str, given: str) -> str:
    return program if given == "wide" else f"{program}, {given}"


def large(setting: Setting) -> list[Line]:
    """Compare the target's peak memory over some rows with that over ten times as many."""
    programs, sizes = setting.programs, setting.sizes
    track = setting.track.only_counted()
    size = rows_text(sizes.large, GOAL_ROWS)
    lines = []
    for name in LARGE_INPUTS:
        few, many = (
            programs.fed_target(_named(f"target, {rows:,} rows", name), name, rows)
            for rows in (sizes.wide, sizes.large)
        )
        ran = track.race([few, many], sizes.long_runs)
        ours = ran[many.name]
        lines += [
            Pair(LARGE, many.name, ours, ran[few.name], Goal(Sense.AT_MOST, 1.1), size).peaks(),
            peak_alone(LARGE, ours, size, Goal(Sense.AT_MOST, MOST_MIB)),
        ]
    return lines
