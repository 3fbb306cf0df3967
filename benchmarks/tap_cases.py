"""The cases of the tap: speed over files of several spellings, and over few columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Goal, Pair, Sense, peak_alone, slowest_against_fastest
from benchmarks.programs import engine_copy, pyarrow_copy
from benchmarks.setting import GOAL_ROWS, GOAL_WIDE, OTHER_TAP_INPUTS
from benchmarks.sizes import extended_text, rows_text

if TYPE_CHECKING:
    from benchmarks.figures import Line
    from benchmarks.race import Entry
    from benchmarks.setting import Setting

WIDE = "tap, 30 columns"
NARROW = "tap, 3 columns"
LARGE = "tap, many rows"
DUCKDB = "DuckDB, one thread"
POLARS = "polars, typed"
TEXTBOOK = "textbook SDK tap"
PARQUET_LIMIT = "pyarrow alone, to parquet"
AT_LEAST_TEXTBOOK = Goal(Sense.AT_LEAST, 12)
AT_LEAST_DUCKDB = Goal(Sense.AT_LEAST, 1.0)
AT_LEAST_POLARS = Goal(Sense.AT_LEAST, 0.7)
MOST_MIB = 200
POLARS_INPUTS = ("wide", "java")
"""Inputs that polars reads with types; in ``quoted``, it stops at TRUE."""


def wide(setting: Setting) -> list[Line]:
    """Race the tap (30 columns, 15, BATCH), the textbook tap, DuckDB, pyarrow and peers."""
    files, programs, sizes = setting.files, setting.programs, setting.sizes
    peers = setting.peers.taps(files.slow) if setting.with_peers else []
    contenders = [
        programs.tap("tap", {"wide": files.wide}),
        engine_copy("duckdb", DUCKDB, files.wide),
        programs.tap("tap, half of the columns", {"wide": files.half}),
        programs.batch_tap("tap, BATCH parquet", "wide", files.wide),
        pyarrow_copy(PARQUET_LIMIT, "wide", files.wide, programs),
        programs.textbook_tap(TEXTBOOK, files.slow),
        *peers,
    ]
    for name in OTHER_TAP_INPUTS:
        contenders += [
            programs.tap(_named("tap", name), {name: files.other[name]}),
            engine_copy("duckdb", _named(DUCKDB, name), files.other[name]),
            programs.textbook_tap(_named(TEXTBOOK, name), files.other_slow[name]),
        ]
    if sizes.slow < sizes.wide:
        contenders.append(programs.textbook_tap("start", files.start))
    ran = setting.track.patient().race(contenders, sizes.runs)
    size = rows_text(sizes.wide, GOAL_WIDE)
    taps = {name: ran[_named("tap", name)] for name in ("wide", *OTHER_TAP_INPUTS)}
    return [
        *(line for name in taps for line in _against_others(setting, ran, name)),
        slowest_against_fastest(WIDE, taps, size),
        *_other_outputs(ran, size),
        *(
            Pair(WIDE, it.name, ran[it.name], ran[TEXTBOOK], None, rows_text(sizes.slow)).rates()
            for it in peers
        ),
    ]


def _named(program: str, given: str) -> str:
    return program if given == "wide" else f"{program}, {given}"


def _against_others(setting: Setting, ran: dict[str, Entry], name: str) -> list[Line]:
    sizes = setting.sizes
    size = rows_text(sizes.wide, GOAL_WIDE)
    tap, textbook = ran[_named("tap", name)], ran[_named(TEXTBOOK, name)]
    duckdb = ran[_named(DUCKDB, name)]
    return [
        Pair(
            WIDE, tap.name, tap, textbook, AT_LEAST_TEXTBOOK,
            size + extended_text("textbook", sizes.slow, sizes.wide), ran.get("start"),
        ).rates(),
        Pair(WIDE, tap.name, tap, duckdb, AT_LEAST_DUCKDB, size).rates(),
    ]  # fmt: skip


def _other_outputs(ran: dict[str, Entry], size: str) -> list[Line]:
    tap, limit = ran["tap"], ran[PARQUET_LIMIT]
    half, batch = ran["tap, half of the columns"], ran["tap, BATCH parquet"]
    at_least = Sense.AT_LEAST
    return [
        Pair(WIDE, half.name, half, tap, Goal(at_least, 1.3), size).rates(),
        Pair(WIDE, batch.name, batch, tap, Goal(at_least, 2), size).rates(),
        Pair(WIDE, limit.name, limit, tap, None, size).rates(),
        Pair(WIDE, batch.name, batch, limit, Goal(at_least, 0.9), size).rates(),
    ]


def narrow(setting: Setting) -> list[Line]:
    """Race the tap and the textbook tap over 3 columns."""
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
    tap, textbook = ran["tap, 3 columns"], ran[textbook_name]
    return [
        Pair(NARROW, tap.name, tap, textbook, AT_LEAST_TEXTBOOK, size, ran.get("start")).rates()
    ]


def large(setting: Setting) -> list[Line]:
    """Race the tap and polars over many rows, and compare the tap's memory with that for fewer."""
    programs, sizes, track = setting.programs, setting.sizes, setting.track
    small = programs.tap(f"tap, {sizes.wide:,} rows", {"wide": setting.files.wide})
    few = track.without_output().race([small], 1)[small.name]
    size = rows_text(sizes.large, GOAL_ROWS)
    rates: list[Line] = []
    peaks: list[Line] = []
    for name in POLARS_INPUTS:
        with setting.large(name) as files:
            tap = programs.tap(_named(f"tap, {sizes.large:,} rows", name), {name: files})
            polars = engine_copy("polars", _named(POLARS, name), files)
            ran = track.patient().without_output().race([tap, polars], sizes.runs)
        many = ran[tap.name]
        rates.append(Pair(LARGE, tap.name, many, ran[polars.name], AT_LEAST_POLARS, size).rates())
        peaks += [
            Pair(LARGE, tap.name, many, few, Goal(Sense.AT_MOST, 1.1), size).peaks(),
            peak_alone(LARGE, many, size, Goal(Sense.AT_MOST, MOST_MIB)),
        ]
    return [*rates, *peaks]
