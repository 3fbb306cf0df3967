"""Runs a command and measures its wall time and its peak memory.

On Linux, the peak of a process includes the process that started it. A small one therefore starts
the command: this file, run without any site packages.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT_SECONDS = 3600


class RunError(Exception):
    """A command that failed."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Args:
        env: Variables in addition to those of this process.
        stdin: File that it reads.
        feed: Command whose output it reads instead of a file.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    stdin: Path | None = None
    feed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of a run.

    Args:
        seconds: Wall time.
        peak_mib: Peak of the resident memory in MiB, of the largest process if it has several.
    """

    seconds: float
    peak_mib: float


def measured(command: Command, folder: Path, out: Path) -> Run:
    """Run a command.

    Args:
        folder: Working folder; standard error goes to ``stderr.log`` there.
        out: File for standard output.

    Raises:
        RunError: The command failed.
    """
    log = folder / "stderr.log"
    task = {
        "argv": list(command.argv),
        "env": {**os.environ, **command.env},
        "stdin": str(command.stdin or os.devnull),
        "feed": list(command.feed),
        "stdout": str(out),
        "stderr": str(log),
    }
    starter = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        reply, _ = starter.communicate(json.dumps(task))
    except BaseException:
        starter.terminate()
        starter.wait()
        raise
    if starter.returncode:
        raise RunError(f"{Path(command.argv[0]).name} could not be started")
    found = json.loads(reply)
    if found["code"]:
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RunError(
            f"{Path(command.argv[0]).name} ended with {found['code']}: {words[-1] if words else ''}"
        )
    return Run(found["seconds"], found["peak_kib"] / 1024)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o644)


def _spawn(argv: list[str], env: dict[str, str], files: Sequence[int]) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, file, number) for number, file in enumerate(files)]
    return os.posix_spawnp(argv[0], argv, env, file_actions=actions, setpgroup=0)


def _start(task: dict[str, Any]) -> dict[str, float]:
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    stdin = _open(task["stdin"], os.O_RDONLY)
    stdout = _open(task["stdout"], writing)
    stderr = _open(task["stderr"], writing)
    children = []
    if task["feed"]:
        reader, writer = os.pipe()
        children.append(_spawn(task["feed"], task["env"], (stdin, writer, stderr)))
        os.close(writer)
        stdin = reader

    def stop(number: int, _frame: object) -> None:
        for child in children:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        if number != signal.SIGALRM:
            sys.exit(1)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(LIMIT_SECONDS)
    began = time.monotonic()
    pid = _spawn(task["argv"], task["env"], (stdin, stdout, stderr))
    children.append(pid)
    os.close(stdin)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    children.remove(pid)
    for feeder in children:
        _, status = os.waitpid(feeder, 0)
        code = code or os.waitstatus_to_exitcode(status)
    return {"seconds": seconds, "peak_kib": usage.ru_maxrss, "code": code}


if __name__ == "__main__":
    print(json.dumps(_start(json.load(sys.stdin))))
