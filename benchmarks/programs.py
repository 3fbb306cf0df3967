"""The contenders: how each program is started, and how its work is checked.

The plugins, the textbook plugins, engines and loops by themselves, and plugins by others.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import checks
from benchmarks.checks import CheckError
from benchmarks.columns import KEY, Kind, schema_of
from benchmarks.data import TARGET_INPUTS, target_input
from benchmarks.measure import Command
from benchmarks.race import Contender, UnavailableError
from benchmarks.server import IMPORT_ENTITY, TOKEN, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.data import ExportFiles, Source

HERE = Path(__file__).parent
ROOT = HERE.parent
PEER_CONSTRAINTS = HERE / "peer-constraints"
NO_PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@dataclass(frozen=True)
class Programs:
    """The plugins and the textbook plugins, and the server that they call.

    Args:
        bin: ``bin`` folder of the environment in which the project is installed.
    """

    bin: Path
    server: Server

    @property
    def python(self) -> str:
        """Python interpreter of that environment."""
        return str(self.bin / "python")

    @cached_property
    def about_tap(self) -> dict[str, Any]:
        """Output of the tap's ``--about``."""
        return self._json("tap-demandbase", "--about", "--format=json")

    def _json(self, program: str, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [str(self.bin / program), *arguments], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    @cached_property
    def catalog(self) -> dict[str, Any]:
        """Output of the tap's ``--discover``."""
        config = self.server.folder / "discover.json"
        _write(config, self.tap_config(self.server.folder))
        return self._json("tap-demandbase", "--config", str(config), "--discover")

    def tap_config(self, folder: Path) -> dict[str, Any]:
        """Return the tap's settings."""
        return {
            "api_url": self.server.url,
            "access_token": TOKEN,
            "job_reuse_hours": 0,
            "poll_interval_seconds": 1,
            "poll_interval_max_seconds": 1,
            "spool_dir": str(folder),
            "stream_options": {name: {"key_properties": [KEY]} for name in self.server.entities},
        }

    def target_config(self, folder: Path) -> dict[str, Any]:
        """Return the target's settings."""
        return {
            "api_url": self.server.url,
            "access_token": TOKEN,
            "entity_map": dict.fromkeys(self._streams, IMPORT_ENTITY),
            "poll_interval_seconds": 1,
            "poll_interval_max_seconds": 1,
            "rejects_path": str(folder / "rejects"),
            "spool_dir": str(folder),
        }

    @property
    def _streams(self) -> list[str]:
        """Names of streams in Singer messages: our own, and those of other taps."""
        names = [target_input(name, 1).stream for name in TARGET_INPUTS]
        return sorted({*self.server.entities, *names})

    def tap_argv(
        self,
        folder: Path,
        wanted: Mapping[str, Sequence[str]],
        **settings: Any,  # noqa: ANN401
    ) -> list[str]:
        """Return the tap's command line for the selected fields of each stream."""
        catalog = json.loads(json.dumps(self.catalog))
        for entry in catalog["streams"]:
            fields = wanted.get(entry["tap_stream_id"])
            for item in entry["metadata"]:
                name = item["breadcrumb"][-1] if item["breadcrumb"] else None
                item["metadata"]["selected"] = fields is not None and (
                    name is None or name in fields
                )
        _write(folder / "catalog.json", catalog)
        _write(folder / "config.json", {**self.tap_config(folder), **settings})
        return [
            str(self.bin / "tap-demandbase"),
            f"--config={folder / 'config.json'}",
            f"--catalog={folder / 'catalog.json'}",
        ]

    def tap(self, name: str, streams: Mapping[str, ExportFiles]) -> Contender:
        """Return the tap over streams; if it is one stream, its values are compared."""
        rows = sum(files.rows for files in streams.values())
        size = sum(files.size for files in streams.values())

        def command(folder: Path) -> Command:
            wanted = {stream: files.source.names for stream, files in streams.items()}
            return Command(self.tap_argv(folder, wanted), NO_PROXY)

        def check(_folder: Path, out: Path | None) -> None:
            if self.server.sent_bytes != size:
                raise CheckError(f"{self.server.sent_bytes:,} of {size:,} bytes were downloaded")
            if out is not None and len(streams) == 1:
                (files,) = streams.values()
                checks.check_record_lines(out, files.source, rows)
            elif out is not None:
                checks.check_count(checks.marks_in(out), rows, "were written")

        return Contender(name, rows, command, check, self.server.forget)

    def batch_tap(self, name: str, stream: str, files: ExportFiles) -> Contender:
        """Return the tap with ``batch_config`` for Parquet files."""

        def command(folder: Path) -> Command:
            if "batch" not in self.about_tap["capabilities"]:
                raise UnavailableError("the tap has no batch_config")
            batch_config = {
                "encoding": {"format": "parquet"},
                "storage": {"root": (folder / "batch").as_uri(), "prefix": ""},
            }
            (folder / "batch").mkdir()
            wanted = {stream: files.source.names}
            argv = self.tap_argv(folder, wanted, batch_config=batch_config)
            return Command(argv, NO_PROXY)

        def check(folder: Path, out: Path | None) -> None:
            if out is not None and b'"BATCH"' not in out.read_bytes():
                raise CheckError("no BATCH message was written")
            paths = [path for path in (folder / "batch").rglob("*") if path.is_file()]
            checks.check_parquet_files(_by_age(paths), files.source, files.rows)

        return Contender(name, files.rows, command, check, self.server.forget)

    def target(self, name: str, source: Source, rows: int, lines: Path) -> Contender:
        """Return the target over a file of Singer lines."""
        return self._target(name, source, rows, lambda argv: Command(argv, NO_PROXY, lines))

    def fed_target(self, name: str, given: str, rows: int) -> Contender:
        """Return the target over a pipe from which it reads one of the inputs."""
        source = target_input(given, rows)
        feed = _feed(given, rows)
        return self._target(name, source, rows, lambda argv: Command(argv, NO_PROXY, None, feed))

    def _target(
        self, name: str, source: Source, rows: int, reading: Callable[[list[str]], Command]
    ) -> Contender:
        def command(folder: Path) -> Command:
            _write(folder / "config.json", self.target_config(folder))
            argv = [str(self.bin / "target-demandbase"), f"--config={folder / 'config.json'}"]
            return reading(argv)

        def check(_folder: Path, out: Path | None) -> None:
            checks.check_count(self.server.uploaded_rows, rows, "arrived")
            if out is not None:
                checks.check_csv_files(self.server.uploads, source, rows)
                if b'"bookmarks"' not in out.read_bytes():
                    raise CheckError("no state was written")

        return Contender(name, rows, command, check, self.server.forget)

    def textbook_tap(self, name: str, files: ExportFiles) -> Contender:
        """Return the textbook tap."""
        return self.file_tap(name, files, lambda config: self._textbook("tap", config))

    def _textbook(self, kind: str, config: Path) -> list[str]:
        return [self.python, str(HERE / "textbook.py"), kind, f"--config={config}"]

    def file_tap(
        self,
        name: str,
        files: ExportFiles,
        argv: Callable[[Path], Sequence[str]],
        *,
        is_typed: bool = True,
    ) -> Contender:
        """Return a tap that reads CSV files from the disk.

        Args:
            name: Name in the table.
            files: Files to read.
            argv: Returns the command line for a configuration file.
            is_typed: Whether it casts values, so that they can be compared; else, its rows are
                counted.
        """

        def command(folder: Path) -> Command:
            config = {
                "stream": files.source.name,
                "schema": schema_of(files.source.columns),
                "key_properties": [KEY],
                "paths": [str(path) for path in files.parts],
                "is_loose": files.source.cells.is_loose,
            }
            _write(folder / "config.json", config)
            return Command(argv(folder / "config.json"), {})

        def check(_folder: Path, out: Path | None) -> None:
            if out is not None and is_typed:
                checks.check_record_lines(out, files.source, files.rows)
            elif out is not None:
                checks.check_count(checks.marks_in(out), files.rows, "were written")

        return Contender(name, files.rows, command, check)

    def textbook_target(self, name: str, source: Source, rows: int, lines: Path) -> Contender:
        """Return the textbook target."""

        def argv(folder: Path) -> list[str]:
            _write(folder / "config.json", {"path": str(folder / "rows.csv")})
            return self._textbook("target", folder / "config.json")

        return file_target(name, source, rows, lines, argv)


def file_target(  # noqa: PLR0913
    name: str,
    source: Source,
    rows: int,
    lines: Path,
    argv: Callable[[Path], Sequence[str]],
    *,
    written: str = "rows.csv",
) -> Contender:
    """Return a target that writes a file.

    Args:
        name: Name in the table.
        source: Source of the rows.
        rows: Number of rows.
        lines: File of Singer lines.
        argv: Returns the command line for a working folder.
        written: Name of the file that it writes there; its suffix tells CSV from JSON lines.
    """

    def check(folder: Path, out: Path | None) -> None:
        path = folder / written
        if not path.is_file():
            raise CheckError("no file was written")
        checks.check_count(checks.marks_in(path), rows, "arrived")
        if out is not None and path.suffix == ".csv":
            checks.check_csv_files([path], source, rows)
        elif out is not None:
            checks.check_json_lines(path, source, rows)

    return Contender(name, rows, lambda folder: Command(argv(folder), {}, lines), check)


def bare_loop(name: str, source: Source, rows: int, lines: Path) -> Contender:
    """Return a loop from Singer lines to CSV: decode a line, write a row."""

    def argv(folder: Path) -> list[str]:
        _require("msgspec")
        order = "" if source.spelling.has_order else ",".join(source.names)
        return [sys.executable, *_limit("msgspec", folder / "rows.csv", order)]

    return file_target(name, source, rows, lines, argv)


def engine_copy(engine: str, name: str, files: ExportFiles) -> Contender:
    """Return DuckDB or polars from CSV to JSON lines.

    Args:
        engine: ``duckdb`` or ``polars``.
    """

    def command(_folder: Path) -> Command:
        _require(engine)
        return Command([sys.executable, *_limit(engine, _kinds(files.source), *files.parts)], {})

    def check(_folder: Path, out: Path | None) -> None:
        if out is not None:
            checks.check_json_lines(out, files.source, files.rows)

    return Contender(name, files.rows, command, check)


def pyarrow_copy(name: str, stream: str, files: ExportFiles, programs: Programs) -> Contender:
    """Return pyarrow from CSV to Parquet, after the start and the download of a tap."""
    server = programs.server

    def command(folder: Path) -> Command:
        # In the plugins' environment: other packages in it would slow the start of the SDK.
        kinds, parts = _kinds(files.source), len(files.parts)
        argv = [programs.python, *_limit("pyarrow", server.url, stream, kinds, parts, folder)]
        return Command(argv, NO_PROXY)

    def check(folder: Path, _out: Path | None) -> None:
        checks.check_parquet_files([folder / "rows.parquet"], files.source, files.rows)

    return Contender(name, files.rows, command, check, server.forget)


@dataclass(frozen=True, slots=True)
class Peers:
    """Plugins by others that do the same, each in an environment of its own.

    Args:
        programs: The plugins; their environment has uv.
        folder: Folder for the environments.
    """

    programs: Programs
    folder: Path

    def taps(self, files: ExportFiles) -> list[Contender]:
        """Return the taps over files that have a folder to themselves."""

        def folder_tap(config: Path) -> list[str]:
            settings = {"filesystem": "local", "path": str(files.parts[0].parent)}
            settings |= {"read_mode": "merge", "stream_name": files.source.name}
            config.write_text(json.dumps(settings), encoding="utf-8")
            python = self._installed("tap-csv-folder")
            return [str(python.with_name("tap-csv-folder")), f"--config={config}"]

        def loop(config: Path) -> list[str]:
            return [str(self._installed("singer-python")), *_limit("singer-python", config)]

        return [
            self.programs.file_tap("tap-csv-folder 0.0.1a1", files, folder_tap, is_typed=False),
            self.programs.file_tap("loop with singer-python 6.8", files, loop),
        ]

    def targets(self, source: Source, rows: int, lines: Path) -> list[Contender]:
        """Return the targets over a file of Singer lines."""

        def jsonl(folder: Path) -> list[str]:
            config = {"destination_path": str(folder), "do_timestamp_file": False}
            return self._target(folder, "target-jsonl", "target-jsonl", config)

        def csv(folder: Path) -> list[str]:
            config = {"output_path": str(folder)}
            return self._target(folder, "meltanolabs-target-csv", "target-csv", config)

        return [
            file_target(
                "target-jsonl 0.1.4", source, rows, lines, jsonl, written=f"{source.name}.jsonl"
            ),
            file_target(
                "meltanolabs-target-csv 0.5", source, rows, lines, csv, written=f"{source.name}.csv"
            ),
        ]  # fmt: skip

    def _target(
        self, folder: Path, package: str, program: str, config: Mapping[str, object]
    ) -> list[str]:
        path = folder / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return [str(self._installed(package).with_name(program)), "--config", str(path)]

    def _installed(self, package: str) -> Path:
        """Return the interpreter of a package's environment; install the package if needed.

        Raises:
            UnavailableError: It cannot be installed.
        """
        place = self.folder / package
        python = place / "bin" / "python"
        ready = place / ".ready"
        if ready.exists():
            return python
        uv = str(self.programs.bin / "uv")
        own = PEER_CONSTRAINTS / f"{package}.txt"
        constraints = own if own.exists() else ROOT / f"constraints-{package}.txt"
        install = [uv, "pip", "install", "--quiet", f"--python={python}"]
        base = self.programs.python
        for command in (
            [uv, "venv", "--quiet", "--clear", f"--python={base}", str(place)],
            [*install, f"--constraint={constraints}", package],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise UnavailableError(f"{package} cannot be installed on this machine")
        ready.touch()
        return python


def _limit(name: str, *arguments: object) -> list[str]:
    """Return the arguments that run one of the programs in ``limits.py``."""
    return [str(HERE / "limits.py"), name, *map(str, arguments)]


def _require(package: str) -> None:
    """Check that a package is installed.

    Raises:
        UnavailableError: It is not.
    """
    if importlib.util.find_spec(package) is None:
        raise UnavailableError(f"{package} is not installed; `make bench` installs it")


def _kinds(source: Source) -> str:
    loose = {Kind.DATE_TIME: "offset"} if source.cells.is_loose else {}
    return ",".join(f"{it.name}:{loose.get(it.kind, it.kind.value)}" for it in source.columns)


def _feed(name: str, rows: int) -> list[str]:
    python = [sys.executable, "-m", "benchmarks.data", name, str(rows)]
    return ["/usr/bin/env", f"PYTHONPATH={ROOT}", *python]


def _by_age(paths: Sequence[Path]) -> list[Path]:
    """Return files by the time of their last change."""
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
