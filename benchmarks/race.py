"""Runs programs in turns, so that other load on the machine affects all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.checks import CheckError
from benchmarks.measure import RunError, measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measure import Command, Run

_QUIET = 0.85
"""Share of the cores' full speed from which the machine counts as quiet."""
_PATIENCE_SECONDS = 15
_MOST_WORDS = 300
"""Characters of a problem that the table shows."""
_TIMES = 3_000_000
_LOOP = f"""
import time
began = time.perf_counter()
for _ in range({_TIMES}):
    pass
print(time.perf_counter() - began)
"""


class UnavailableError(Exception):
    """Something that a program needs is not installed or not supported."""


def _no_check(_folder: Path, _out: Path | None) -> None:
    """Check nothing but the exit code."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A program to measure.

    Args:
        name: Name in the table.
        rows: Number of rows that it processes.
        command: Returns the command for an empty folder.
        check: Checks a run by that folder and by the output, if it was kept; raises CheckError.
        before: Called before each run.
    """

    name: str
    rows: int
    command: Callable[[Path], Command]
    check: Callable[[Path, Path | None], None] = _no_check
    before: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Entry:
    """Result of a contender.

    Args:
        runs: Its runs, one per round.
        problem: Reason for missing runs.
        is_missing: The reason is that something is not installed or not supported.
    """

    name: str
    rows: int
    runs: list[Run] = field(default_factory=list)
    problem: str = ""
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """Runs races.

    Args:
        folder: Folder for the files of the runs.
        quick: Skip the first run of each program, which is not counted, and check the output of
            the counted ones instead.
        patience: Seconds that a counted run may wait for the machine to be quiet.
        budget: Seconds that all runs together may wait.
        keeps: Keep the output of runs that are checked.
        cores: Measured speed of the cores at the start of these runs, in cores.
        waited: Seconds that each of these runs has waited.
    """

    folder: Path
    quick: bool
    patience: float = 0
    budget: float = 0
    keeps: bool = True
    cores: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def only_counted(self) -> Track:
        """Return a track without the runs that are not counted, for long runs."""
        return replace(self, quick=True)

    def without_output(self) -> Track:
        """Return a track that only counts, for runs whose output would fill the disk."""
        return replace(self, quick=True, keeps=False)

    def patient(self) -> Track:
        """Return a track whose counted runs wait for the machine to be quiet."""
        is_patient = self.budget and not self.quick
        return replace(self, patience=_PATIENCE_SECONDS) if is_patient else self

    def race(self, contenders: Sequence[Contender], rounds: int) -> dict[str, Entry]:
        """Run each contender once a round, in alternating order.

        The first run of each is not counted: its whole output is kept and checked. A contender
        that fails does not run again.
        """
        entries = {each.name: Entry(each.name, each.rows) for each in contenders}
        if not self.quick:
            for contender in contenders:
                self._run(contender, entries[contender.name], keep=True, counts=False)
        for number in range(rounds):
            for contender in contenders[:: -1 if number % 2 else 1]:
                keep = self.quick and self.keeps
                self._run(contender, entries[contender.name], keep=keep, counts=True)
        return entries

    def _run(self, contender: Contender, entry: Entry, *, keep: bool, counts: bool) -> None:
        if entry.problem:
            return
        folder = self.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        out = folder / "out"
        if counts and self.patience:
            began = time.monotonic()
            left = self.budget - sum(self.waited)
            self.cores.append(wait_for_cores(_QUIET, min(self.patience, left)))
            self.waited.append(time.monotonic() - began)
        try:
            contender.before()
            command = contender.command(folder)
            run = measured(command, folder, out if keep else Path("/dev/null"))
            contender.check(folder, out if keep else None)
        except UnavailableError as error:
            entry.problem, entry.is_missing = str(error), True
        except (RunError, CheckError) as error:
            entry.problem = str(error)[:_MOST_WORDS]
            entry.runs.clear()
        else:
            if counts:
                entry.runs.append(run)
            sys.stderr.write(f"  {contender.name}: {run.seconds:.2f} s, {run.peak_mib:.0f} MiB\n")
        finally:
            shutil.rmtree(folder)


def cores_worth() -> float:
    """Return the speed of all cores together, in multiples of one process alone.

    On a shared machine, two cores can be as fast as one.
    """
    count = os.cpu_count() or 1
    alone = _slowest(1)
    return count * alone / _slowest(count)


def wait_for_cores(worth: float, seconds: float) -> float:
    """Wait until the cores reach a share of their full speed; return their speed in cores.

    Args:
        worth: The share, from 0 to 1.
        seconds: Maximum time to wait.
    """
    began = time.monotonic()
    while True:
        found = cores_worth()
        if found >= worth * (os.cpu_count() or 1) or time.monotonic() - began >= seconds:
            return found


def _slowest(processes: int) -> float:
    command = [sys.executable, "-S", "-E", "-c", _LOOP]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    return max(float(each.communicate()[0]) for each in running)
