"""The cases: which programs compete, and the lines of the table that come of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

from benchmarks import checks, tap_cases, target_cases
from benchmarks.checks import CheckError
from benchmarks.figures import Goal, Pair, Sense
from benchmarks.job_cases import queued_imports
from benchmarks.measure import Command
from benchmarks.programs import NO_PROXY, ROOT
from benchmarks.race import Contender
from benchmarks.server import IMPORT_ENTITY, TOKEN
from benchmarks.sizes import jobs_text, rows_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.figures import Line
    from benchmarks.setting import Setting

JOBS = "slow jobs"
START_UP = "start-up"
MELTANO = "Meltano"
START_RUNS_PER_RUN = 2
OWN_VARIABLES = ("MELTANO_", "TAP_", "TARGET_")


def slow_jobs(setting: Setting) -> list[Line]:
    """Compare the time of two streams with slow jobs with that of one."""
    files, programs, sizes = setting.files, setting.programs, setting.sizes
    one = {"first": files.first_job}
    contenders = [
        programs.tap("one stream", one),
        programs.tap("two streams", {**one, "second": files.second_job}),
    ]
    ran = setting.track.only_counted().race(contenders, sizes.long_runs)
    size = jobs_text(sizes)
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
        plugin("demandbase", "--version", wanted=b"demandbase"),
    ]
    runs = setting.sizes.runs
    ran = setting.track.race([floor, *ours], START_RUNS_PER_RUN * runs - 1)
    goal = Goal(Sense.AT_MOST, 1.2)
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
    size = rows_text(files.rows)
    return [Pair(MELTANO, "meltano run", ran["meltano run"], ran["pipe"], None, size).seconds()]


CASES: dict[str, Callable[[Setting], list[Line]]] = {
    "tap": tap_cases.wide,
    "narrow": tap_cases.narrow,
    "target": target_cases.wide,
    "large tap": tap_cases.large,
    "large target": target_cases.large,
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
