"""Measures pipes of both plugins: one with many rows, and several that wait for an export job.

A sum of memory counts pages that processes share once. Only Linux has these figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.checks import check_count
from benchmarks.columns import WIDE
from benchmarks.data import ExportFiles, Source
from benchmarks.programs import NO_PROXY, ROOT, Programs
from benchmarks.server import Entity, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PART_ROWS = 1_000_000
SAMPLE_SECONDS = 0.1
STREAM = "wide"
WAITING_ROWS = 1_000
FOREVER = 3600.0


@dataclass(slots=True)
class Process:
    """One of the plugins.

    Args:
        name: ``tap`` or ``target``.
        peak_mib: Peak of its resident memory in MiB.
        disk_mb: Peak of its files in ``spool_dir``, in MB.
        cpu_seconds: Processor time, once it has ended.
    """

    name: str
    process: subprocess.Popen[bytes]
    spool: Path
    peak_mib: float = 0
    disk_mb: float = 0
    cpu_seconds: float = 0
    is_ended: bool = field(default=False)

    def sample(self) -> None:
        """Measure it, or record its end."""
        with suppress(OSError):  # it has just ended
            self.peak_mib = max(self.peak_mib, self._status("VmHWM") / 1024)
            self.disk_mb = max(self.disk_mb, sum(self._files()) / 1e6)
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            self.is_ended = True
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def shared_mib(self) -> float:
        """Return its part of the memory, in MiB, if that of shared pages is divided."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii")
        return int(text.split("Pss:")[1].split()[0]) / 1024

    def spent(self) -> float:
        """Return its processor time so far, in seconds."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        ticks = stat.rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(text.split(f"{name}:")[1].split()[0]) if name in text else 0

    def _files(self) -> Iterator[int]:
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):
                if str(link.readlink()).startswith(f"{self.spool}/"):
                    yield link.stat().st_blocks * 512


class Pipes:
    """Starts pipes against one server.

    Args:
        folder: Folder for their files.
        programs: The plugins.
    """

    def __init__(self, folder: Path, programs: Programs) -> None:
        self._folder = folder
        self._programs = programs
        self._number = 0
        self.running: list[Process] = []

    def start(self) -> list[Process]:
        """Start a tap and a target."""
        self._number += 1
        folders = [self._folder / f"{name}-{self._number}" for name in ("tap", "target")]
        for folder in folders:
            (folder / "spool").mkdir(parents=True)
        columns = [column.name for column in WIDE]
        programs, spools = self._programs, [folder / "spool" for folder in folders]
        tap = programs.tap_argv(folders[0], {STREAM: columns}, spool_dir=str(spools[0]))
        settings = {**programs.target_config(folders[1]), "spool_dir": str(spools[1])}
        config = folders[1] / "config.json"
        config.write_text(json.dumps(settings), encoding="utf-8")
        target = [str(programs.bin / "target-demandbase"), f"--config={config}"]
        environment = {**os.environ, **NO_PROXY}
        logs = [(folder / "stderr.log").open("wb") for folder in folders]
        first = subprocess.Popen(tap, env=environment, stdout=subprocess.PIPE, stderr=logs[0])
        second = subprocess.Popen(
            target, env=environment, stdin=first.stdout, stdout=subprocess.DEVNULL, stderr=logs[1]
        )
        for file in (first.stdout, *logs):
            if file is not None:
                file.close()
        pipe = [Process("tap", first, spools[0]), Process("target", second, spools[1])]
        self.running += pipe
        return pipe

    def end(self) -> None:
        """End all that run."""
        for each in self.running:
            if not each.is_ended:
                each.process.kill()
                each.process.wait()


def measure_rows(pipes: Pipes, server: Server, rows: int) -> None:
    """Print the figures of one pipe with rows."""
    began = time.monotonic()
    pipe = pipes.start()
    while not all(each.is_ended for each in pipe):
        for each in pipe:
            if not each.is_ended:
                each.sample()
        time.sleep(SAMPLE_SECONDS)
    codes = [each.process.returncode for each in pipe]
    if any(codes):
        sys.exit(f"The tap and the target ended with {codes}.")
    check_count(server.uploaded_rows, rows, "arrived")
    jobs = len(server.jobs["import"])
    print(f"{rows:,} rows in {time.monotonic() - began:.0f} s, {jobs} import jobs")
    for each in pipe:
        print(
            f"{each.name}: {each.cpu_seconds:.1f} s of processor time, {each.peak_mib:.0f} MiB, "
            f"{each.disk_mb:,.0f} MB in spool_dir"
        )


def measure_waiting(pipes: Pipes, server: Server, count: int, seconds: float) -> None:
    """Print the figures of pipes that wait.

    Args:
        count: Number of pipes.
        seconds: Time over which they are measured, once all have begun a job.
    """
    server.forget()
    running: Sequence[Process] = [each for _ in range(count) for each in pipes.start()]
    while len(server.jobs["export"]) < count:
        if any(each.process.poll() is not None for each in running):
            sys.exit("A pipe has ended before its job.")
        time.sleep(SAMPLE_SECONDS)
    time.sleep(seconds)  # the targets read the schema
    started = [each.spent() for each in running]
    memory = sum(each.shared_mib() for each in running)
    time.sleep(seconds)
    waited = sum(each.spent() for each in running) - sum(started)
    print(
        f"{count} pipes that wait: {memory / count:.0f} MiB each, {sum(started) / count:.1f} s of "
        f"processor time to start, then {100 * waited / count / seconds:.2f} % of a core"
    )


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipe", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--waiting", type=int, default=10, help="number of pipes that wait")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long they wait")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="pipe-", dir=_made(ROOT / ".bench")))
    try:
        files = _files(work / "rows", options.rows)
        with Server({STREAM: Entity(WIDE, [files])}, WIDE, _made(work / "uploads")) as server:
            pipes = Pipes(work, Programs(ROOT / ".venv" / "bin", server))
            try:
                measure_rows(pipes, server, options.rows)
                few = _files(work / "few", WAITING_ROWS)
                server.entities[STREAM] = Entity(WIDE, [few], FOREVER)
                measure_waiting(pipes, server, options.waiting, options.seconds)
            finally:
                pipes.end()
    finally:
        shutil.rmtree(work)


def _files(folder: Path, rows: int) -> ExportFiles:
    return Source(STREAM, WIDE, rows).csv_files(_made(folder), rows, -(-rows // PART_ROWS))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
