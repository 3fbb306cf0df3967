"""The tap's lines of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Goal, Sense
from benchmarks.limits import duckdb_copy, parquet_copy
from benchmarks.lines import Pair
from benchmarks.size_text import extended_text, rows_text
from benchmarks.sizes import GOAL_ROWS, GOAL_WIDE

if TYPE_CHECKING:
    from benchmarks.lines import Line
    from benchmarks.setting import Setting

WIDE = "tap, 30 columns"
NARROW = "tap, 3 columns"
PARQUET_LIMIT = "pyarrow alone, to parquet"


def wide(setting: Setting) -> list[Line]:
    """Run the tap with all columns, half of them and BATCH, beside textbook, DuckDB and peers."""
    files, programs, sizes = setting.files, setting.programs, setting.sizes
    peers = setting.peers.taps(files.slow) if setting.with_peers else []
    contenders = [
        programs.tap("tap", {"wide": files.wide}),
        duckdb_copy("DuckDB, one thread", files.wide),
        programs.tap("tap, half of the columns", {"wide": files.half}),
        programs.batch_tap("tap, BATCH parquet", "wide", files.wide),
        parquet_copy(PARQUET_LIMIT, "wide", files.wide, programs),
        programs.textbook_tap("textbook SDK tap", files.slow),
        *peers,
    ]
    if sizes.slow < sizes.wide:
        contenders.append(programs.textbook_tap("start", files.start))
    ran = setting.track.patient().race(contenders, sizes.runs)
    start = ran.get("start")
    tap, textbook = ran["tap"], ran["textbook SDK tap"]
    size = rows_text(sizes.wide, GOAL_WIDE)
    slow = size + extended_text("textbook", sizes.slow, sizes.wide)
    at_least = Sense.AT_LEAST
    return [
        Pair(WIDE, "tap", tap, textbook, Goal(at_least, 12), slow, start).rates(),
        Pair(WIDE, "tap", tap, ran["DuckDB, one thread"], Goal(at_least, 1.0), size).rates(),
        Pair(
            WIDE, "tap, half of the columns", ran["tap, half of the columns"], tap,
            Goal(at_least, 1.3), size,
        ).rates(),
        Pair(
            WIDE, "tap, BATCH parquet", ran["tap, BATCH parquet"], tap, Goal(at_least, 2), size
        ).rates(),
        Pair(WIDE, PARQUET_LIMIT, ran[PARQUET_LIMIT], tap, None, size).rates(),
        Pair(
            WIDE, "tap, BATCH parquet", ran["tap, BATCH parquet"], ran[PARQUET_LIMIT],
            Goal(at_least, 0.9), size,
        ).rates(),
        *(
            Pair(WIDE, each.name, ran[each.name], textbook, None, rows_text(sizes.slow)).rates()
            for each in peers
        ),
    ]  # fmt: skip


def narrow(setting: Setting) -> list[Line]:
    """Run the tap with narrow rows beside the textbook."""
    files, programs, sizes = setting.files, setting.programs, setting.sizes
    textbook_name = "textbook SDK tap, 3 columns"
    contenders = [
        programs.tap("tap, 3 columns", {"narrow": files.narrow}),
        programs.textbook_tap(textbook_name, files.slow_narrow),
    ]
    if sizes.slow_narrow < sizes.narrow:
        contenders.append(programs.textbook_tap("start", files.start_narrow))
    ran = setting.track.patient().race(contenders, sizes.runs)
    size = rows_text(sizes.narrow, GOAL_ROWS)
    size += extended_text("textbook", sizes.slow_narrow, sizes.narrow)
    goal = Goal(Sense.AT_LEAST, 12)
    tap, textbook = ran["tap, 3 columns"], ran[textbook_name]
    return [Pair(NARROW, tap.name, tap, textbook, goal, size, ran.get("start")).rates()]
