"""The target's lines of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Goal, Sense
from benchmarks.limits import floor_loop
from benchmarks.lines import Pair
from benchmarks.size_text import extended_text, rows_text
from benchmarks.sizes import GOAL_WIDE

if TYPE_CHECKING:
    from benchmarks.lines import Line
    from benchmarks.setting import Setting

GROUP = "target, 30 columns"


def wide(setting: Setting) -> list[Line]:
    """Run the target beside the textbook, the bare loop and peers."""
    programs, sizes, source = setting.programs, setting.sizes, setting.wide
    slow_lines = setting.slow_lines
    peers = setting.peers.targets(source, sizes.slow, slow_lines) if setting.with_peers else []
    contenders = [
        programs.target("target", source, sizes.wide, lines=setting.lines),
        floor_loop("bare loop", source, sizes.wide, setting.lines),
        programs.textbook_target("textbook SDK target", source, sizes.slow, slow_lines),
        *peers,
    ]
    if sizes.slow < sizes.wide:
        contenders.append(programs.textbook_target("start", source, 1, setting.start_lines))
    ran = setting.track.patient().race(contenders, sizes.runs)
    target, textbook = ran["target"], ran["textbook SDK target"]
    size = rows_text(sizes.wide, GOAL_WIDE)
    slow = size + extended_text("textbook", sizes.slow, sizes.wide)
    at_least = Sense.AT_LEAST
    return [
        Pair(
            GROUP, "target", target, textbook, Goal(at_least, 20), slow, ran.get("start")
        ).rates(),
        Pair(GROUP, "target", target, ran["bare loop"], Goal(at_least, 1.6), size).rates(),
        *(
            Pair(GROUP, each.name, ran[each.name], textbook, None, rows_text(sizes.slow)).rates()
            for each in peers
        ),
    ]  # fmt: skip
