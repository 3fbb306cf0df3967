"""What all cases share: sizes, data, the server, the programs and the track."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.columns import HALF, NARROW, WIDE
from benchmarks.data import (
    TAP_INPUTS,
    TARGET_INPUTS,
    ExportFiles,
    Source,
    tap_input,
    target_input,
)
from benchmarks.programs import Peers, Programs
from benchmarks.race import Track
from benchmarks.server import Entity, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

GOAL_WIDE = 500_000
GOAL_ROWS = 5_000_000
GOAL_JOB_SECONDS = 30.0
GOAL_JOB_ROWS = 100_000
PATIENCE_SECONDS = 180
"""Time that all runs together may wait for the machine to be quiet."""
PARTS = 2
START_ROWS = 1
OTHER_TARGET_INPUTS = [name for name in TARGET_INPUTS if name != "wide"]
OTHER_TAP_INPUTS = [name for name in TAP_INPUTS if name != "wide"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows and durations of the cases.

    Args:
        wide: Rows of 30 columns.
        slow: The same for textbook plugins and peers, whose time is extrapolated to ``wide``.
        narrow: Rows of 3 columns.
        slow_narrow: The same for the textbook tap.
        large: Rows for peak memory and for polars, ten times ``wide``.
        piped: Rows for Meltano.
        job_rows: Rows of a stream with a slow job.
        job_seconds: Duration of a slow job.
        runs: Number of runs.
        long_runs: Number of runs of slow jobs and of targets over ``large`` rows.
    """

    wide: int
    slow: int
    narrow: int
    slow_narrow: int
    large: int
    piped: int
    job_rows: int
    job_seconds: float
    runs: int
    long_runs: int = 1

    @classmethod
    def of(cls, rows: int, runs: int) -> Sizes:
        """Return the sizes of the goals from 500,000 rows on, and smaller ones below."""
        share = min(1.0, rows / GOAL_WIDE)
        wide = min(rows, GOAL_WIDE)
        narrow = min(10 * rows, GOAL_ROWS)
        return cls(
            wide=wide,
            slow=min(wide, max(3_000, int(10_000 * share))),
            narrow=narrow,
            slow_narrow=min(narrow, max(20_000, int(100_000 * share))),
            large=10 * wide,
            piped=min(wide, 25_000),
            job_rows=max(1, int(GOAL_JOB_ROWS * share)),
            job_seconds=max(0.2, GOAL_JOB_SECONDS * share),
            runs=runs,
        )


@dataclass(frozen=True, slots=True)
class Files:
    """The CSV files; those of ``Sizes.large`` are made when needed.

    Args:
        other: Files in the spellings of other programs.
        other_slow: The same for the textbook tap.
    """

    wide: ExportFiles
    half: ExportFiles
    narrow: ExportFiles
    slow: ExportFiles
    slow_narrow: ExportFiles
    start: ExportFiles
    start_narrow: ExportFiles
    piped: ExportFiles
    first_job: ExportFiles
    second_job: ExportFiles
    other: dict[str, ExportFiles]
    other_slow: dict[str, ExportFiles]


@dataclass(frozen=True, slots=True)
class Lines:
    """Files of Singer messages in the spelling of one tap.

    Args:
        all: All rows.
        slow: Fewer rows, for the textbook target and peers.
        start: One row.
    """

    source: Source
    all: Path
    slow: Path
    start: Path


class Setting:
    """Everything that the cases need; use it as a context manager.

    Args:
        bin_folder: ``bin`` folder of the environment in which the project is installed.
        work: Folder for data, runs and peers.
        with_peers: Run plugins by others and Meltano, too.
    """

    def __init__(self, sizes: Sizes, bin_folder: Path, work: Path, *, with_peers: bool) -> None:
        self.sizes = sizes
        self.with_peers = with_peers
        work.mkdir(parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(prefix="run-", dir=work))
        self._undo = ExitStack()
        self._undo.callback(shutil.rmtree, own, ignore_errors=True)
        self._data = own / "data"
        self.wide = Source("wide", WIDE, sizes.large)
        self.narrow = Source("narrow", NARROW, sizes.narrow)
        self.files = self._make()
        self.server = Server(self._entities(), WIDE, self._folder("uploads"))
        self.programs = Programs(bin_folder, self.server)
        self.peers = Peers(self.programs, work / "peers")
        patience = PATIENCE_SECONDS if sizes.wide >= GOAL_WIDE else 0
        self.track = Track(own / "track", quick=sizes.runs == 1, budget=patience)

    def __enter__(self) -> Self:
        """Start the server."""
        self._undo.enter_context(self.server)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server and remove the data."""
        self._undo.close()

    @cached_property
    def lines(self) -> dict[str, Lines]:
        """The files of Singer messages by input."""
        return {name: self._lines(name) for name in TARGET_INPUTS}

    @contextmanager
    def large(self, name: str) -> Iterator[ExportFiles]:
        """Make the CSV files of an input with many rows, and serve them for export meanwhile."""
        source = tap_input(name, self.sizes.large)
        files = source.csv_files(self._folder(f"large-{name}"), self.sizes.large, PARTS)
        self.server.entities[name] = Entity(source.columns, [files])
        try:
            yield files
        finally:
            self.server.entities[name] = self._entities()[name]
            shutil.rmtree(files.parts[0].parent)

    def _folder(self, name: str) -> Path:
        folder = self._data / name
        folder.mkdir(parents=True)
        return folder

    def _lines(self, name: str) -> Lines:
        sizes = self.sizes
        source = target_input(name, sizes.large)
        plain = replace(source, spelling=source.spelling.for_sdk())

        def file(what: str, source: Source, rows: int) -> Path:
            return source.singer_file(self._folder(f"{what}-lines-{name}"), rows)

        return Lines(
            source,
            file("all", source, sizes.wide),
            file("slow", plain, sizes.slow),
            file("start", plain, START_ROWS),
        )

    def _make(self) -> Files:
        sizes = self.sizes
        half = Source("wide", HALF, sizes.wide)
        first = Source("first", WIDE, sizes.job_rows)
        second = Source("second", WIDE, sizes.job_rows)

        def files(name: str, source: Source, rows: int) -> ExportFiles:
            return source.csv_files(self._folder(name), rows, min(PARTS, rows))

        def others(name: str, rows: int) -> dict[str, ExportFiles]:
            return {
                each: files(f"{name}-{each}", tap_input(each, sizes.large), rows)
                for each in OTHER_TAP_INPUTS
            }

        return Files(
            wide=files("wide", self.wide, sizes.wide),
            half=files("half", half, sizes.wide),
            narrow=files("narrow", self.narrow, sizes.narrow),
            slow=files("slow", self.wide, sizes.slow),
            slow_narrow=files("slow-narrow", self.narrow, sizes.slow_narrow),
            start=files("start", self.wide, START_ROWS),
            start_narrow=files("start-narrow", self.narrow, START_ROWS),
            piped=files("piped", Source("piped", WIDE, sizes.piped), sizes.piped),
            first_job=files("first", first, sizes.job_rows),
            second_job=files("second", second, sizes.job_rows),
            other=others("other", sizes.wide),
            other_slow=others("other-slow", sizes.slow),
        )

    def _entities(self) -> dict[str, Entity]:
        files, seconds = self.files, self.sizes.job_seconds
        return {
            "wide": Entity(WIDE, [files.wide, files.half]),
            "narrow": Entity(NARROW, [files.narrow]),
            "piped": Entity(WIDE, [files.piped]),
            "first": Entity(WIDE, [files.first_job], seconds),
            "second": Entity(WIDE, [files.second_job], seconds),
            **{name: Entity(it.source.columns, [it]) for name, it in files.other.items()},
        }
