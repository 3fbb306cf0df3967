"""Runs Meltano in both directions between real plugins and the sandbox."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from shared_install import copy_project, installed, share_plugins

from demandbase_sandbox import Sandbox, SandboxOptions

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
SIGNAL_EXIT = 128
GRACE_SECONDS = 10
SCORED_AT = "2026-01-31T06:00:00Z"
SCORES = [
    {
        "domain": domain,
        "engagement_score": score,
        "segment": segment,
        "is_target": score > 50,  # noqa: PLR2004
        "scored_at": SCORED_AT,
    }
    for domain, score, segment in (
        ("company1.example", 91.5, "enterprise"),
        ("company2.example", 12.25, "Größe S"),
        ("newcomer.example", 77.0, 'said "yes", twice'),
    )
]


class StepError(Exception):
    """A failed step; the message names its log."""


@dataclass(frozen=True)
class Demo:
    """A run of the demo, in a folder of its own, so that several can run at the same time.

    Args:
        folder: Folder for everything that it writes.
        environment: Environment of Meltano and the plugins.
    """

    folder: Path
    environment: dict[str, str]

    def step(self, number: int, title: str, *command: str, **extra: str) -> None:
        """Run a command and write its output to a log file.

        Raises:
            StepError: The command failed.
        """
        print(f"{number}. {title}: {' '.join(command)}", end="", flush=True)
        started = time.monotonic()
        log = self.folder / f"{number}.log"
        with log.open("w", encoding="utf-8") as output:
            code = _run(command, self.folder, {**self.environment, **extra}, output)
        print(f" ({time.monotonic() - started:.0f} s)", flush=True)
        if code:
            sentence = f"Step {number} ended with exit code {code}: see {log}"
            raise StepError(sentence)

    def prepare(self) -> None:
        """Create a Meltano project and the file of scores to send."""
        self.folder.mkdir(parents=True)
        copy_project(ROOT, self.folder)
        lines = "".join(json.dumps(score) + "\n" for score in SCORES)
        (self.folder / "scores.jsonl").write_text(lines, encoding="utf-8")
        for name in ("first", "second"):
            (self.folder / name).mkdir()

    def run(self) -> None:
        """Run all steps.

        Raises:
            StepError: A step failed, or a row did not come back as it was sent.
        """
        with installed(ROOT, self._install) as there:
            if there:
                print("1. Install the loaders and the file tap: already installed", flush=True)
            share_plugins(ROOT, self.folder)
            self._move_rows()
        self._show_scores()

    def _install(self) -> None:
        self.step(
            1, "Install the loaders and the file tap", "meltano", "install", "--clean",
            MELTANO_PROJECT_ROOT=str(ROOT),
        )  # fmt: skip

    def _move_rows(self) -> None:
        self.step(
            2, "Demandbase to JSON Lines", "meltano", "run", "tap-demandbase", "target-jsonl",
            TARGET_JSONL_DESTINATION_PATH="first",
        )  # fmt: skip
        self.step(
            3, "Demandbase to DuckDB",
            "meltano", "elt", "tap-demandbase", "target-duckdb", "--state-id=demo",
            TARGET_DUCKDB_PATH="warehouse.duckdb",
        )  # fmt: skip
        self.step(
            4, "Scores back to Demandbase", "meltano", "run", "tap-jsonl", "target-demandbase",
            TAP_JSONL_PATH="scores.jsonl",
            TAP_JSONL_STREAM_NAME="accounts",
            TAP_JSONL_PRIMARY_KEYS='["domain"]',
        )  # fmt: skip
        self.step(
            5, "Demandbase to JSON Lines again",
            "meltano", "run", "tap-demandbase", "target-jsonl",
            TARGET_JSONL_DESTINATION_PATH="second",
        )  # fmt: skip

    def _show_scores(self) -> None:
        file = self.folder / "second" / "accounts.jsonl"
        accounts = {}
        for line in file.read_text(encoding="utf-8").splitlines():
            account = json.loads(line)
            accounts[account["domain"]] = account
        print("\nThe scores that were sent, as they came back in the new export:")
        for score in SCORES:
            back = {name: accounts.get(score["domain"], {}).get(name) for name in score}
            print("  " + json.dumps(back, ensure_ascii=False))
            if back != score:
                sentence = f"The row of {score['domain']} did not come back as it was sent"
                raise StepError(sentence)


def _run(
    command: tuple[str, ...], folder: Path, environment: dict[str, str], output: TextIO
) -> int:
    """Run a command; if the demo is stopped, stop the command and its child processes."""
    process = subprocess.Popen(  # noqa: S603 - the demo's own commands
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def table(sandbox: Sandbox) -> str:
    """Return a table of all jobs of the sandbox."""
    rows = [("stream", "job", "parts", "rows", "seconds")]
    jobs = sandbox.export_jobs() + sandbox.import_jobs()
    for job in sorted(jobs, key=lambda job: str(job["created_at"])):
        exported = "record_count" in job
        rows.append(
            (
                ("" if exported else "→ ") + job["entity_type"],
                job["id"],
                str(job["file_parts"] if exported else 1),
                str(job["record_count"] if exported else job.get("success_count", 0)),
                f"{_seconds(job):.1f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)  # noqa: PLR2004
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _seconds(job: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(job[name]) for name in ("created_at", "completed_at"))
    return (end - start).total_seconds()


def _interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)  # do not interrupt the clean-up
    print("\nThe demo was stopped.", file=sys.stderr)
    sys.exit(SIGNAL_EXIT + number)


def environment_for(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """Return the environment of Meltano and the plugins, without the user's Meltano settings."""
    own = ("MELTANO_", "TAP_", "TARGET_", "PYTHONDONTWRITEBYTECODE")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(own)},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "MELTANO_PROJECT_ROOT": str(folder),
        "NO_COLOR": "1",
        # Without compiled files, Meltano takes twice as long to start.
        "PYTHONPYCACHEPREFIX": str(ROOT / ".meltano" / "pycache"),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    for plugin in ("TAP_DEMANDBASE", "TARGET_DEMANDBASE"):
        environment[f"{plugin}_API_URL"] = sandbox.url
        environment[f"{plugin}_ACCESS_TOKEN"] = sandbox.token
        environment[f"{plugin}_POLL_INTERVAL_SECONDS"] = "1"
    return environment


def main() -> int:
    """Run the demo; return its exit code."""
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    started = time.monotonic()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = ROOT / "output" / f"demo-{stamp}-{os.getpid()}"
    with Sandbox(SandboxOptions(pending_seconds=0.2, processing_seconds=0.5)) as sandbox:
        demo = Demo(folder, environment_for(sandbox, folder))
        demo.prepare()
        try:
            demo.run()
        except StepError as error:
            print(f"\nThe demo failed. {error}", file=sys.stderr)
            return 1
        print(f"\n{table(sandbox)}\n")
    print(f"Done in {time.monotonic() - started:.0f} s. The files are in {folder}:")
    print("  first/ and second/: JSON Lines, warehouse.duckdb: the database, *.log: logs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
