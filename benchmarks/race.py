"""Runs contenders in turns, so that whatever else the machine does meets all of them."""

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
"""The share of what its cores could do at once by which a machine counts as quiet."""
_PATIENCE_SECONDS = 15


class UnavailableError(Exception):
    """What a contender needs is not there; ``str()`` says what."""


def _no_check(_folder: Path, _out: Path | None) -> None:
    """Leave it at the exit code."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to be measured.

    Args:
        name: What it is called in the table.
        rows: How many rows it works on.
        command: Returns the command, given an empty folder.
        check: Sees that a run did its work, given that folder and the output, where it was kept.
            Raises CheckError.
        before: Called before each run.
    """

    name: str
    rows: int
    command: Callable[[Path], Command]
    check: Callable[[Path, Path | None], None] = _no_check
    before: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Entry:
    """What became of a contender.

    Args:
        name: What it is called.
        rows: How many rows it worked on.
        runs: Its runs, one a round.
        problem: Why there are none.
        is_missing: Whether that is since something is not installed or not supported.
    """

    name: str
    rows: int
    runs: list[Run] = field(default_factory=list)
    problem: str = ""
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """Where races are run.

    Args:
        folder: Folder for what the runs leave.
        quick: Whether to do without the run before that is not counted: the outputs of the
            counted ones are kept and checked instead.
        patience: How many seconds a run that counts may wait until the machine is quiet.
        cores: What the cores were worth when those runs began, times one of them.
    """

    folder: Path
    quick: bool
    patience: float = 0
    cores: list[float] = field(default_factory=list)

    def only_counted(self) -> Track:
        """Return the same track without the runs that are not counted: for what takes long."""
        return replace(self, quick=True)

    def patient(self) -> Track:
        """Return the same track, where each run that counts waits for the machine to be quiet."""
        return self if self.quick else replace(self, patience=_PATIENCE_SECONDS)

    def race(self, contenders: Sequence[Contender], rounds: int) -> dict[str, Entry]:
        """Run each contender once a round, in an order that turns round by round.

        The first run of each is not counted: its whole output is kept and checked. What fails
        runs no more.
        """
        entries = {each.name: Entry(each.name, each.rows) for each in contenders}
        if not self.quick:
            for contender in contenders:
                self._run(contender, entries[contender.name], keep=True, counts=False)
        for number in range(rounds):
            for contender in contenders[:: -1 if number % 2 else 1]:
                self._run(contender, entries[contender.name], keep=self.quick, counts=True)
        return entries

    def _run(self, contender: Contender, entry: Entry, *, keep: bool, counts: bool) -> None:
        if entry.problem:
            return
        folder = self.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        out = folder / "out"
        if counts and self.patience:
            self.cores.append(wait_for_cores(_QUIET, self.patience))
        try:
            contender.before()
            command = contender.command(folder)
            run = measured(command, folder, out if keep else Path("/dev/null"))
            contender.check(folder, out if keep else None)
        except UnavailableError as error:
            entry.problem, entry.is_missing = str(error), True
        except (RunError, CheckError) as error:
            entry.problem = str(error)
            entry.runs.clear()
        else:
            if counts:
                entry.runs.append(run)
            sys.stderr.write(f"  {contender.name}: {run.seconds:.2f} s, {run.peak_mib:.0f} MiB\n")
        finally:
            shutil.rmtree(folder)


_TIMES = 3_000_000
_LOOP = f"""
import time
began = time.perf_counter()
for _ in range({_TIMES}):
    pass
print(time.perf_counter() - began)
"""


def cores_worth() -> float:
    """Return how many times the work of one process all cores do in the same time."""
    count = os.cpu_count() or 1
    alone = _slowest(1)
    return count * alone / _slowest(count)


def wait_for_cores(worth: float, seconds: float) -> float:
    """Wait until the cores do a share of the work that they could, and return what they do.

    Args:
        worth: The share, from 0 to 1.
        seconds: How long to wait at most.
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
