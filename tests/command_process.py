"""The plugins' commands, each in a process of its own, without the time to import everything.

A server process imports both plugins once and forks for each command. Each command has its own
process, signals, files and exit code; only the second that Python takes to start is saved. Other
tests run the installed commands. Waits between polls are ten times shorter.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from typing_extensions import override

from demandbase_api.clock import SystemClock

_PLUGINS = {
    "demandbase": ("demandbase_cli.cli", "tap_demandbase.tap", "TapDemandbase"),
    "tap-demandbase": ("tap_demandbase.cli", "tap_demandbase.tap", "CommandTap"),
    "target-demandbase": (
        "target_demandbase.cli", "target_demandbase.target", "TargetDemandbase",
    ),
}  # fmt: skip
FORKING = multiprocessing.get_context("forkserver")
_PRELOADED = [
    *(name for modules in _PLUGINS.values() for name in modules[:2]),
    "pyarrow", "pyarrow.csv", __name__,
]  # fmt: skip
_HASTE = 10


def preload(*names: str) -> None:
    """Have the server process import modules, in addition to the plugins, before it starts."""
    FORKING.set_forkserver_preload([*_PRELOADED, *names])


preload()


class HastyClock(SystemClock):
    """A clock that runs ten times as fast."""

    @override
    def now(self) -> float:
        return super().now() * _HASTE

    @override
    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / _HASTE)


class CommandProcess:
    """A running command that writes to files and reads from ``stdin``.

    Args:
        out: File for its standard output; ``None`` if that is closed.
        err: File for its standard error; ``None`` if that is closed.
        file_bytes: Size of the largest file that it can write, as on a full disk.
        environment: Variables in addition to those of the test.
    """

    def __init__(
        self,
        name: str,
        *arguments: str,
        out: Path | None,
        err: Path | None,
        file_bytes: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        read, write = os.pipe()
        self.stdin = open(write, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - the run closes it
        with Connection(read, writable=False) as reader:
            self._process = FORKING.Process(
                target=_be,
                args=(name, arguments, reader, (out, err), file_bytes),
                kwargs={"environment": {**os.environ, **(environment or {})}, "folder": Path.cwd()},
                daemon=True,
            )
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, seconds or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_command(
    name: str, *arguments: str, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        text: Its standard input.
        environment: Variables in addition to those of the test.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = CommandProcess(name, *arguments, out=out, err=err, environment=environment)
        try:
            process.stdin.write(text)
            process.stdin.close()
        except BrokenPipeError:  # it has ended already
            pass
        code = process.wait(60)
        words = [path.read_text(encoding="utf-8") for path in (out, err)]
    return subprocess.CompletedProcess([name, *arguments], code, *words)


def written(path: Path) -> str:
    """Return what a command has written so far."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _be(
    name: str,
    arguments: tuple[str, ...],
    reader: Connection,
    outputs: tuple[Path | None, Path | None],
    file_bytes: int | None,
    *,
    environment: dict[str, str],
    folder: Path,
) -> None:
    """Run the command in this process."""
    for number, path in enumerate(outputs, start=1):
        if path is None:
            continue
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.dup2(reader.fileno(), 0)
    reader.close()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(  # noqa: SIM115
        2, "w", encoding="utf-8", buffering=1, errors="backslashreplace", closefd=False
    )
    if outputs[0] is None:
        sys.stdout = None
        os.close(1)
    if outputs[1] is None:
        sys.stderr = None
        os.close(2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    os.fsync = lambda fd: None  # noqa: ARG005 - as in the tests
    sys.argv = [name, *arguments]
    command, module, plugin = _PLUGINS[name]
    getattr(import_module(module), plugin).clock = HastyClock()
    import_module(command).main()
