"""The real command: runs over two streams, is killed, or gets a signal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demandbase_sandbox import Sandbox
from tests.command_process import CommandProcess, written


class Run:
    """The command, running over two streams."""

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        state: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self._folder = folder
        (folder / "spool").mkdir(exist_ok=True)
        config = {
            "api_url": sandbox.url,
            "access_token": sandbox.token,
            "entities": ["accounts", "campaigns"],
            "poll_interval_seconds": 1,
            "spool_dir": str(folder / "spool"),
            **(settings or {}),
        }
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        arguments = ["--config", str(folder / "config.json")]
        if state is not None:
            (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
            arguments += ["--state", str(folder / "state.json")]
        self.process = CommandProcess(
            "tap-demandbase", *arguments, out=folder / "out", err=folder / "err"
        )
        self.process.stdin.close()

    def end(self, number: int) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds until it came."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(30)
        return code, time.monotonic() - started

    @property
    def messages(self) -> list[dict[str, Any]]:
        is_running = self.process.poll() is None
        out = self._folder / "out"
        lines = out.read_bytes().splitlines(keepends=True) if out.exists() else []
        if is_running and lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # it is being written
        return [json.loads(line) for line in lines]

    @property
    def errors(self) -> str:
        return written(self._folder / "err")

    @property
    def state(self) -> dict[str, Any] | None:
        states = [m["value"] for m in self.messages if m["type"] == "STATE"]
        return states[-1] if states else None

    def records(self, stream: str) -> int:
        return sum(m["type"] == "RECORD" and m["stream"] == stream for m in self.messages)


@contextmanager
def running(sandbox: Sandbox, folder: Path, **options: Any) -> Iterator[Run]:  # noqa: ANN401
    run = Run(sandbox, folder, **options)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.wait()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
