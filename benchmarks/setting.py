"""What all cases share: sizes, data, the server, the programs and the track."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.columns import HALF, NARROW, WIDE
from benchmarks.data import ExportFiles, Source
from benchmarks.programs import Peers, Programs
from benchmarks.race import Track
from benchmarks.server import Entity, Server

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

GOAL_WIDE = 500_000
GOAL_ROWS = 5_000_000
GOAL_JOB_SECONDS = 30.0
GOAL_JOB_ROWS = 100_000
PARTS = 2
START_ROWS = 1


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows and durations of the cases.

    Args:
        wide: Rows of 30 columns.
        slow: The same for textbook plugins and peers, whose time is extrapolated to ``wide``.
        narrow: Rows of 3 columns.
        slow_narrow: The same for the textbook tap.
        large: Rows for peak memory, ten times ``wide``.
        large_runs: Number of runs over ``large`` rows.
        piped: Rows for Meltano.
        job_rows: Rows of a stream with a slow job.
        job_seconds: Duration of a slow job.
        runs: Number of runs of everything else.
    """

    wide: int
    slow: int
    narrow: int
    slow_narrow: int
    large: int
    large_runs: int
    piped: int
    job_rows: int
    job_seconds: float
    runs: int

    @classmethod
    def of(cls, rows: int, runs: int) -> Sizes:
        """Return the sizes of the goals from 5,000,000 rows on, and smaller ones below."""
        is_full = rows >= GOAL_ROWS
        share = min(1.0, rows / 2_000_000)
        wide = min(rows, GOAL_WIDE)
        narrow = min(10 * rows, GOAL_ROWS)
        return cls(
            wide=wide,
            slow=wide if is_full else min(wide, 25_000),
            narrow=narrow,
            slow_narrow=narrow if is_full else min(narrow, 100_000),
            large=10 * wide,
            large_runs=runs if is_full else 1,
            piped=min(wide, 25_000),
            job_rows=max(1, int(GOAL_JOB_ROWS * share)),
            job_seconds=max(0.2, GOAL_JOB_SECONDS * share),
            runs=runs,
        )


@dataclass(frozen=True, slots=True)
class Files:
    """The CSV files; those of ``Sizes.large`` are made when needed."""

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
        self.lines = self.wide.singer_file(self._folder("lines"), sizes.wide)
        self.slow_lines = self.wide.singer_file(self._folder("slow-lines"), sizes.slow)
        self.start_lines = self.wide.singer_file(self._folder("start-lines"), START_ROWS)
        self.server = Server(self._entities(), WIDE, self._folder("uploads"))
        self.programs = Programs(bin_folder, self.server)
        self.peers = Peers(self.programs, work / "peers")
        self.track = Track(own / "track", quick=sizes.runs == 1)

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

    def make_large(self) -> ExportFiles:
        """Make the files for peak memory and serve them for export."""
        files = self.wide.csv_files(self._folder("large"), self.sizes.large, PARTS)
        self.server.entities["wide"] = Entity(WIDE, [files])
        return files

    def remove_large(self) -> None:
        """Remove those files."""
        self.server.entities["wide"] = self._entities()["wide"]
        shutil.rmtree(self._data / "large")

    def _folder(self, name: str) -> Path:
        folder = self._data / name
        folder.mkdir(parents=True)
        return folder

    def _make(self) -> Files:
        sizes = self.sizes
        half = Source("wide", HALF, sizes.wide)
        first = Source("first", WIDE, sizes.job_rows)
        second = Source("second", WIDE, sizes.job_rows)

        def files(name: str, source: Source, rows: int) -> ExportFiles:
            return source.csv_files(self._folder(name), rows, min(PARTS, rows))

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
        )

    def _entities(self) -> dict[str, Entity]:
        files, seconds = self.files, self.sizes.job_seconds
        return {
            "wide": Entity(WIDE, [files.wide, files.half]),
            "narrow": Entity(NARROW, [files.narrow]),
            "piped": Entity(WIDE, [files.piped]),
            "first": Entity(WIDE, [files.first_job], seconds),
            "second": Entity(WIDE, [files.second_job], seconds),
        }
