"""The cases: which programs compete, and the lines of the table that come of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

from benchmarks import checks
from benchmarks.checks import CheckError
from benchmarks.figures import Goal, Pair, Sense, peak_alone
from benchmarks.job_cases import queued_imports
from benchmarks.measure import Command
from benchmarks.programs import NO_PROXY, ROOT, bare_loop, duckdb_copy, pyarrow_copy
from benchmarks.race import Contender
from benchmarks.server import IMPORT_ENTITY, TOKEN
from benchmarks.setting import GOAL_JOB_ROWS, GOAL_JOB_SECONDS, GOAL_ROWS, GOAL_WIDE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.figures import Line
    from benchmarks.setting import Setting, Sizes

TAP_WIDE = "tap, 30 columns"
TAP_NARROW = "tap, 3 columns"
TARGET_WIDE = "target, 30 columns"
MEMORY = "peak memory"
JOBS = "slow jobs"
START_UP = "start-up"
MELTANO = "Meltano"
PARQUET_LIMIT = "pyarrow alone, to parquet"
MOST_MIB = 200
START_RUNS_PER_RUN = 2
OWN_VARIABLES = ("MELTANO_", "TAP_", "TARGET_")


def tap_wide(setting: Setting) -> list[Line]:
    """Race the tap (30 columns, 15, BATCH), the textbook tap, DuckDB, pyarrow and peers."""
    files, programs, sizes = setting.files, setting.programs, setting.sizes
    peers = setting.peers.taps(files.slow) if setting.with_peers else []
    contenders = [
        programs.tap("tap", {"wide": files.wide}),
        duckdb_copy("DuckDB, one thread", files.wide),
        programs.tap("tap, half of the columns", {"wide": files.half}),
        programs.batch_tap("tap, BATCH parquet", "wide", files.wide),
        pyarrow_copy(PARQUET_LIMIT, "wide", files.wide, programs),
        programs.textbook_tap("textbook SDK tap", files.slow),
        *peers,
    ]
    if sizes.slow < sizes.wide:
        contenders.append(programs.textbook_tap("start", files.start))
    ran = setting.track.patient().race(contenders, sizes.runs)
    start = ran.get("start")
    tap, textbook = ran["tap"], ran["textbook SDK tap"]
    size = _rows_text(sizes.wide, GOAL_WIDE)
    slow = size + _extended_text("textbook", sizes.slow, sizes.wide)
    at_least = Sense.AT_LEAST
    return [
        Pair(TAP_WIDE, "tap", tap, textbook, Goal(at_least, 12), slow, start).rates(),
        Pair(TAP_WIDE, "tap", tap, ran["DuckDB, one thread"], Goal(at_least, 1.0), size).rates(),
        Pair(
            TAP_WIDE, "tap, half of the columns", ran["tap, half of the columns"], tap,
            Goal(at_least, 1.3), size,
        ).rates(),
        Pair(
            TAP_WIDE, "tap, BATCH parquet", ran["tap, BATCH parquet"], tap, Goal(at_least, 2), size
        ).rates(),
        Pair(TAP_WIDE, PARQUET_LIMIT, ran[PARQUET_LIMIT], tap, None, size).rates(),
        Pair(
            TAP_WIDE, "tap, BATCH parquet", ran["tap, BATCH parquet"], ran[PARQUET_LIMIT],
            Goal(at_least, 0.9), size,
        ).rates(),
        *(
            Pair(
                TAP_WIDE, each.name, ran[each.name], textbook, None, _rows_text(sizes.slow)
            ).rates()
            for each in peers
        ),
    ]  # fmt: skip


def tap_narrow(setting: Setting) -> list[Line]:
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
    size = _rows_text(sizes.narrow, GOAL_ROWS)
    size += _extended_text("textbook", sizes.slow_narrow, sizes.narrow)
    goal = Goal(Sense.AT_LEAST, 12)
    tap, textbook = ran["tap, 3 columns"], ran[textbook_name]
    return [Pair(TAP_NARROW, tap.name, tap, textbook, goal, size, ran.get("start")).rates()]


def target_wide(setting: Setting) -> list[Line]:
    """Race the target, the textbook target, a bare loop and peers."""
    programs, sizes, source = setting.programs, setting.sizes, setting.wide
    slow_lines = setting.slow_lines
    peers = setting.peers.targets(source, sizes.slow, slow_lines) if setting.with_peers else []
    contenders = [
        programs.target("target", source, sizes.wide, lines=setting.lines),
        bare_loop("bare loop", source, sizes.wide, setting.lines),
        programs.textbook_target("textbook SDK target", source, sizes.slow, slow_lines),
        *peers,
    ]
    if sizes.slow < sizes.wide:
        contenders.append(programs.textbook_target("start", source, 1, setting.start_lines))
    ran = setting.track.patient().race(contenders, sizes.runs)
    target, textbook = ran["target"], ran["textbook SDK target"]
    size = _rows_text(sizes.wide, GOAL_WIDE)
    slow = size + _extended_text("textbook", sizes.slow, sizes.wide)
    at_least = Sense.AT_LEAST
    return [
        Pair(
            TARGET_WIDE, "target", target, textbook, Goal(at_least, 20), slow, ran.get("start")
        ).rates(),
        Pair(TARGET_WIDE, "target", target, ran["bare loop"], Goal(at_least, 1.6), size).rates(),
        *(
            Pair(
                TARGET_WIDE, each.name, ran[each.name], textbook, None, _rows_text(sizes.slow)
            ).rates()
            for each in peers
        ),
    ]  # fmt: skip


def memory(setting: Setting) -> list[Line]:
    """Compare the peak memory over some rows with that over ten times as many."""
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
    size = _rows_text(sizes.large, GOAL_ROWS)
    at_most = Sense.AT_MOST
    lines = []
    for ours, theirs in zip(large.values(), small.values(), strict=True):
        lines += [
            Pair(MEMORY, ours.name, ours, theirs, Goal(at_most, 1.1), size).peaks(),
            peak_alone(MEMORY, ours, size, Goal(at_most, MOST_MIB)),
        ]
    return lines


def slow_jobs(setting: Setting) -> list[Line]:
    """Compare the time of two streams with slow jobs with that of one."""
    files, programs, sizes = setting.files, setting.programs, setting.sizes
    one = {"first": files.first_job}
    contenders = [
        programs.tap("one stream", one),
        programs.tap("two streams", {**one, "second": files.second_job}),
    ]
    ran = setting.track.only_counted().race(contenders, sizes.runs)
    size = _jobs_text(sizes)
    goal = Goal(Sense.AT_MOST, 1.3)
    return [Pair(JOBS, "two streams", ran["two streams"], ran["one stream"], goal, size).seconds()]


def start_up(setting: Setting) -> list[Line]:
    """Measure commands that read no rows."""
    programs = setting.programs

    def command(*argv: str) -> Contender:
        return Contender(" ".join(argv), 0, lambda _: Command([programs.python, *argv], {}))

    def plugin(name: str, *arguments: str, wanted: bytes) -> Contender:
        def check(_folder: Path, out: Path | None) -> None:
            if out is not None and wanted not in out.read_bytes():
                raise CheckError("its output is not what it should be")

        argv = [str(programs.bin / name), *arguments]
        shown = " ".join([name, *(it for it in arguments if not it.startswith("--config"))])
        return Contender(shown, 0, lambda _: Command(argv, NO_PROXY), check)

    programs.catalog  # noqa: B018 - writes discover.json
    config = f"--config={setting.server.folder / 'discover.json'}"
    floor = command("-c", "import singer_sdk")
    ours = [
        plugin("tap-demandbase", "--version", wanted=b"tap-demandbase"),
        plugin("tap-demandbase", config, "--discover", wanted=b'"streams"'),
        plugin("target-demandbase", "--version", wanted=b"target-demandbase"),
    ]
    runs = setting.sizes.runs
    ran = setting.track.race([floor, *ours], START_RUNS_PER_RUN * runs - 1)
    goal = Goal(Sense.AT_MOST, 1.3)
    imported = ran[floor.name]
    imported.name = "import singer_sdk"
    return [Pair(START_UP, it.name, ran[it.name], imported, goal, "").seconds() for it in ours]


def meltano(setting: Setting) -> list[Line]:
    """Compare ``meltano run`` with the same tap and target over a pipe."""
    if not setting.with_peers:
        return []
    programs, server, files = setting.programs, setting.server, setting.files.piped

    def check(_folder: Path, _out: Path | None) -> None:
        checks.check_count(server.uploaded_rows, files.rows, "arrived")

    def pipe(folder: Path) -> Command:
        argv = programs.tap_argv(folder, {"piped": files.source.names})
        (folder / "target.json").write_text(json.dumps(programs.target_config(folder)), "utf-8")
        target = f"{programs.bin / 'target-demandbase'} --config={folder / 'target.json'}"
        return Command(["/bin/sh", "-c", f"{' '.join(argv)} | {target}"], NO_PROXY)

    def run(folder: Path) -> Command:
        shutil.copy(ROOT / "meltano.yml", folder)
        argv = [str(programs.bin / "meltano"), "run", "tap-demandbase", "target-demandbase"]
        return Command(argv, _meltano_variables(setting, folder))

    contenders = [
        Contender("pipe", files.rows, pipe, check, server.forget),
        Contender("meltano run", files.rows, run, check, server.forget),
    ]
    ran = setting.track.race(contenders, setting.sizes.runs)
    size = _rows_text(files.rows)
    return [Pair(MELTANO, "meltano run", ran["meltano run"], ran["pipe"], None, size).seconds()]


CASES: dict[str, Callable[[Setting], list[Line]]] = {
    "tap": tap_wide,
    "narrow": tap_narrow,
    "target": target_wide,
    "memory": memory,
    "jobs": slow_jobs,
    "imports": queued_imports,
    "start-up": start_up,
    "meltano": meltano,
}


def run_all(setting: Setting, names: list[str]) -> list[Line]:
    """Run cases and return their lines."""
    lines = []
    for name in names:
        sys.stderr.write(f"{name}\n")
        lines += CASES[name](setting)
    return lines


def _meltano_variables(setting: Setting, folder: Path) -> dict[str, str]:
    programs = setting.programs
    tap, target = programs.tap_config(folder), programs.target_config(folder)
    tap |= {"entities": ["piped"]}
    target["entity_map"] = {"piped": IMPORT_ENTITY}
    variables = {name: "" for name in os.environ if name.startswith(OWN_VARIABLES)}
    for prefix, settings in (("TAP_DEMANDBASE", tap), ("TARGET_DEMANDBASE", target)):
        for name, value in settings.items():
            text = value if isinstance(value, str) else json.dumps(value)
            variables[f"{prefix}_{name.upper()}"] = text
    return {
        **variables,
        **NO_PROXY,
        "PATH": f"{programs.bin}{os.pathsep}{os.environ['PATH']}",
        "MELTANO_PROJECT_ROOT": str(folder),
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "TAP_DEMANDBASE__SELECT": '["piped.*"]',
        "TAP_DEMANDBASE_ACCESS_TOKEN": TOKEN,
        "TARGET_DEMANDBASE_ACCESS_TOKEN": TOKEN,
        "NO_COLOR": "1",
    }


def _rows_text(rows: int, goal_rows: int | None = None) -> str:
    """Return the number of rows, and the goal's if it differs."""
    own = "" if goal_rows in {None, rows} else f" (goal: {_short(goal_rows or 0)})"
    return f"{_short(rows)} rows{own}"


def _extended_text(who: str, rows: int, to_rows: int) -> str:
    """Return a note that a time is extrapolated from fewer rows, or nothing."""
    return "" if rows >= to_rows else f"; {who}: {_short(rows)}, extended"


def _jobs_text(sizes: Sizes) -> str:
    """Return the duration and the size of the jobs, and the goal's if they differ."""
    text = f"jobs of {sizes.job_seconds:g} s, {_short(sizes.job_rows)} rows each"
    if sizes.job_seconds == GOAL_JOB_SECONDS:
        return text
    return f"{text} (goal: {GOAL_JOB_SECONDS:g} s, {_short(GOAL_JOB_ROWS)})"


def _short(number: int) -> str:
    """Return a number, round ones with k or M."""
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if number >= size and number % (size // 10) == 0:
            return f"{number / size:g}{letter}"
    return f"{number:,}"
