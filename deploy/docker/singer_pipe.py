#!/usr/bin/env python3
"""Runs a tap and a target as the only process of a container, with their state in state_dir.

    singer-pipe ID TAP [OPTION]... -- TARGET [OPTION]...

Signals to a container reach its process 1 only, and a shell in that place does not pass them on to
the commands that it waits for. Here, SIGTERM and SIGINT end the tap and the target, and the run
ends when both have.

The exit code is that of the last command that failed, as with the shell's option pipefail.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

USAGE = 2
SIGNAL = 128

running: list[Popen[bytes]] = []
"""The tap and the target."""
signals: list[int] = []
"""What has arrived so far."""


def main() -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:]
    middle = words.index("--") if "--" in words else 0
    tap, target = words[1:middle], words[middle + 1 :]
    if not (tap and target):
        return refuse("Usage: singer-pipe ID TAP [OPTION]... -- TARGET [OPTION]...")
    for name in ("demandbase", tap[0], target[0]):
        if shutil.which(name) is None:
            return refuse(f"singer-pipe: there is no command {name} in this container.")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.json"
        with state.open("wb") as file:
            done = subprocess.run(
                ["demandbase", "state", "get", words[0]], check=False, stdout=file
            )
        if signals or done.returncode:
            return done.returncode or SIGNAL + signals[0]
        return pipe([*tap, f"--state={state}"], target, ["demandbase", "state", "put", words[0]])


def refuse(sentence: str) -> int:
    """Print what is wrong with the command line; return the exit code."""
    sys.stderr.write(f"{sentence}\n")
    return USAGE


def end(number: int, _frame: object) -> None:
    """End the tap and the target."""
    signals.append(number)
    for process in running:
        process.terminate()


def pipe(tap: list[str], target: list[str], keeper: list[str]) -> int:
    """Run the commands; return the exit code.

    Args:
        tap: The tap.
        target: The target.
        keeper: Keeps the states. It gets no signal, since it ends when the target has.
    """
    first = Popen(tap, stdin=DEVNULL, stdout=PIPE)
    running.append(first)
    second = Popen(target, stdin=first.stdout, stdout=PIPE)
    running.append(second)
    last = Popen(keeper, stdin=second.stdout)
    for output in (first.stdout, second.stdout):
        if output is not None:
            output.close()  # otherwise no command would see that the next one has ended
    if signals:
        end(signals[0], None)
    codes = [process.wait() for process in (first, second, last)]
    failed = [code if code > 0 else SIGNAL - code for code in codes if code]
    return failed[-1] if failed else 0


if __name__ == "__main__":
    sys.exit(main())
