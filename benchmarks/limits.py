"""What the plugins are measured against beside textbook and peers: engines and loops by themselves.

None of them talks to an API, keeps a state or proves anything.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from benchmarks import checks
from benchmarks.measure import Command
from benchmarks.programs import HERE, PAST_PROXIES, file_target
from benchmarks.race import Contender, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.data import ExportFiles, Source
    from benchmarks.programs import Programs


def floor_loop(name: str, source: Source, rows: int, lines: Path) -> Contender:
    """Return the bare loop from lines to CSV."""

    def argv(folder: Path) -> list[str]:
        need("msgspec")
        return [sys.executable, str(HERE / "floor_loop.py"), str(folder / "rows.csv")]

    return file_target(name, source, rows, lines, argv)


def duckdb_copy(name: str, files: ExportFiles) -> Contender:
    """Return DuckDB's way from CSV to JSON lines."""

    def command(_folder: Path) -> Command:
        need("duckdb")
        script = str(HERE / "duckdb_copy.py")
        return Command([sys.executable, script, _kinds(files.source), *map(str, files.parts)], {})

    def check(_folder: Path, out: Path | None) -> None:
        if out is not None:
            checks.check_json_lines(out, files.source, files.rows)

    return Contender(name, files.rows, command, check)


def parquet_copy(name: str, stream: str, files: ExportFiles, programs: Programs) -> Contender:
    """Return pyarrow's way from CSV to Parquet, behind the same start and download."""
    server = programs.server

    def command(folder: Path) -> Command:
        # In the plugins' environment: what is installed beside the SDK slows its start.
        argv = [programs.python, str(HERE / "parquet_copy.py"), server.url, stream]
        parts = str(len(files.parts))
        return Command([*argv, _kinds(files.source), parts, str(folder)], PAST_PROXIES)

    def check(folder: Path, _out: Path | None) -> None:
        checks.check_parquet_files([folder / "rows.parquet"], files.source, files.rows)

    return Contender(name, files.rows, command, check, server.forget)


def _kinds(source: Source) -> str:
    return ",".join(f"{column.name}:{column.kind.value}" for column in source.columns)


def need(package: str) -> None:
    """Make sure that a package is there.

    Raises:
        UnavailableError: It is not.
    """
    if importlib.util.find_spec(package) is None:
        raise UnavailableError(f"{package} is not installed: `make bench` does that")
