"""The real command: gets messages, is killed, or gets a signal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.command_process import CommandProcess, written


class Run:
    """The command, which gets messages; its input stays open until it is closed."""

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        file_bytes: int | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self._out, self._err = folder / "out", folder / "err"
        ours = {"api_url": sandbox.url, "access_token": sandbox.token}
        config = {
            **({} if "api" in settings else ours),
            "poll_interval_seconds": 1,
            "spool_dir": str(folder / "spool"),
            "rejects_path": str(folder / "rejects"),
            **settings,
        }
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        self.process = CommandProcess(
            "target-demandbase", "--config", str(folder / "config.json"),
            out=self._out, err=self._err, file_bytes=file_bytes,
        )  # fmt: skip

    def feed(self, *messages: dict[str, Any], end: bool = True) -> None:
        with suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
            self.process.stdin.flush()
            if end:
                self.process.stdin.close()

    @property
    def states(self) -> list[Any]:
        return [json.loads(line) for line in written(self._out).splitlines()]

    @property
    def staged_files(self) -> int:
        """How many files of rows and records it holds, which nothing else shows from without."""
        opened = Path(f"/proc/{self.process.pid}/fd")
        with suppress(FileNotFoundError):  # one was closed meanwhile
            return sum("/spool/#" in str(file.readlink()) for file in opened.iterdir())
        return 0

    @property
    def errors(self) -> str:
        return written(self._err)


@contextmanager
def running(
    sandbox: Sandbox,
    folder: Path,
    file_bytes: int | None = None,
    **settings: Any,  # noqa: ANN401
) -> Iterator[Run]:
    run = Run(sandbox, folder, file_bytes, **settings)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.wait()
        with suppress(BrokenPipeError):
            run.process.stdin.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def killed_at(
    sandbox: Sandbox,
    call: str,
    folder: Path,
    messages: Sequence[dict[str, Any]],
    **settings: Any,  # noqa: ANN401
) -> Iterator[Run]:
    """A run that was killed while it waited for an answer to some call; if to a list, a poll."""
    before = 1 if call == "listImportJobs" else 0  # the list is read before the first file, too
    sandbox.add_fault(Fault(call, Effect.STALL, seconds=60, after=before))
    with running(sandbox, folder, **settings) as run:
        run.feed(*messages)
        until(lambda: len(sandbox.requests(call)) > before)
    sandbox.clear_faults()
    yield run
