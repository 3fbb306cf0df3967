"""Runs of the target in processes that can be killed, on the clock of a sandbox."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

from demandbase_api.clock import Clock
from demandbase_api.errors import DemandbaseError
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.state import leases
from target_demandbase.target import TargetDemandbase
from tests.command_process import FORKING, written

KILLED = "killed"


class ImpatientTarget(TargetDemandbase):
    """The target with short waits between retries."""

    retry = RetryPolicy(tries=3, base_seconds=0.0001, max_seconds=0.001)


class SandboxClock(Protocol):
    """The clock of a sandbox."""

    def true_time(self) -> datetime: ...

    def advance(self, seconds: float) -> None: ...


class SharedClock:
    """The clock of a sandbox, which processes can read. Only this object may move it."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self.ahead = FORKING.RawValue("d", 0.0)
        """Seconds that it is ahead of the machine's clock."""
        self.advance(0)

    def advance(self, seconds: float) -> None:
        """Move the clock forward; 0 to read it again after a reset of the sandbox."""
        self._clock.advance(seconds)
        ahead = self._clock.true_time() - datetime.now(UTC)
        self.ahead.value = ahead.total_seconds()


@dataclass(frozen=True)
class End:
    """How a run ended.

    Args:
        states: The states that it emitted.
        error: Name of the error that ended it; empty if it succeeded.
        message: Its message; with the traceback if it is none of the target's own.
        is_bug: Whether the target has no words for the error.
    """

    states: list[int]
    error: str = ""
    message: str = ""
    is_bug: bool = False


class TargetProcess:
    """A running target. Each second that it sleeps passes on the sandbox's clock at once.

    Args:
        clock: The sandbox's clock.
        config: Settings of the target.
        text: Its input.
        lines: Number of lines after which it gets a signal to end. ``None``: all.
        folder: Folder for its output; of this run alone.
        pace: Real seconds that a second of its sleep takes.
        environment: Variables in addition to those of the test.
        lease_seconds: Age at which a run of another machine is taken for dead.
    """

    def __init__(
        self,
        clock: SharedClock,
        config: dict[str, Any],
        text: str,
        lines: int | None,
        folder: Path,
        pace: float = 0,
        environment: dict[str, str] | None = None,
        lease_seconds: float = leases.LEASE_SECONDS,
    ) -> None:
        folder.mkdir(parents=True)
        surroundings = (environment or {}, lease_seconds)
        self._folder = folder
        own, other = FORKING.Pipe()
        self._process = FORKING.Process(
            target=_run,
            args=(other, clock.ahead, config, text, lines, folder, surroundings),
            daemon=True,
        )
        self._process.start()
        other.close()
        self._thread = threading.Thread(target=_serve, args=(own, clock, pace), daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._process.exitcode is None

    def kill(self) -> None:
        if self._process.pid is not None and self.is_running:
            os.kill(self._process.pid, signal.SIGKILL)

    def wait(self) -> End:
        self._process.join()
        self._thread.join()
        text = written(self._folder / "out")
        lines = text.splitlines(keepends=True)
        states = [json.loads(line) for line in lines if line.endswith("\n")]
        ended = self._folder / "ended"
        if not ended.exists():
            return End(states, KILLED)
        error, message, is_bug = json.loads(ended.read_text(encoding="utf-8"))
        return End(states, error, message, is_bug)


def _serve(connection: Connection, clock: SharedClock, pace: float) -> None:
    with connection, suppress(EOFError, OSError):
        while True:
            seconds = connection.recv()
            clock.advance(seconds)
            time.sleep(seconds * pace)
            connection.send(None)


class _RemoteClock(Clock):
    """The clock of the sandbox in another process."""

    def __init__(self, connection: Connection, ahead: Any) -> None:  # noqa: ANN401 - a c_double
        self._connection = connection
        self._ahead = ahead
        self._lock = threading.Lock()

    @override
    def now(self) -> float:
        return self.utc().timestamp()

    @override
    def utc(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead.value)

    @override
    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._connection.send(seconds)
            self._connection.recv()


class _Input(StringIO):
    """Input that ends the run after some lines, as SIGTERM does."""

    def __init__(self, text: str, lines: int | None) -> None:
        super().__init__(text)
        self._left = lines

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return self

    def __next__(self) -> str:  # type: ignore[override]
        if self._left is not None:
            if self._left == 0:
                raise SystemExit(143)
            self._left -= 1
        return super().__next__()


def _run(
    connection: Connection,
    ahead: Any,  # noqa: ANN401 - a c_double
    config: dict[str, Any],
    text: str,
    lines: int | None,
    folder: Path,
    surroundings: tuple[dict[str, str], float],
) -> None:
    """Run the target in this process."""
    environment, leases.LEASE_SECONDS = surroundings
    leases.BEAT_SECONDS = leases.LEASE_SECONDS / 8
    os.environ.update(environment)
    for number, name in enumerate(("out", "err"), start=1):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    # A kill leaves what the process has written, and a busy disk takes long to write it.
    os.fsync = lambda _file: None  # type: ignore[assignment]
    end: tuple[str, str, bool] = ("", "", False)
    try:
        target = ImpatientTarget(config=config)
        target.clock = _RemoteClock(connection, ahead)
        target.listen(_Input(text, lines))
    except (DemandbaseError, SystemExit) as error:
        end = (type(error).__name__, str(error), False)
    except BaseException as error:  # noqa: BLE001 - a bug, which the parent reports
        end = (type(error).__name__, traceback.format_exc(), True)
    sys.stdout.flush()
    (folder / "ended").write_text(json.dumps(end), encoding="utf-8")
