"""Shows the main job in both directions: Meltano, real loaders, and the stand-in tenant."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from demandbase_sandbox import Sandbox, SandboxOptions

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).parents[1]
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
    """A step that failed; ``str()`` says where its log is."""


@dataclass(frozen=True)
class Demo:
    """One run of the demo in a folder of its own, so that two at once don't meet.

    Args:
        folder: Where everything goes.
        environment: What Meltano and the plugins see.
    """

    folder: Path
    environment: dict[str, str]

    def step(self, number: int, title: str, *command: str, **extra: str) -> None:
        """Run one command with its output in a log file.

        Raises:
            StepError: The command failed.
        """
        print(f"{number}. {title}: {' '.join(command)}", flush=True)
        log = self.folder / f"{number}.log"
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(  # noqa: S603 - the demo's own commands
                command,
                cwd=self.folder,
                env={**self.environment, **extra},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            sentence = f"Step {number} ended with exit code {done.returncode}: see {log}"
            raise StepError(sentence)

    def prepare(self) -> None:
        """Lay out a Meltano project and the scores to send back."""
        self.folder.mkdir(parents=True)
        for file in [ROOT / "meltano.yml", *ROOT.glob("constraints-*.txt")]:
            shutil.copy(file, self.folder)
        lines = "".join(json.dumps(score) + "\n" for score in SCORES)
        (self.folder / "scores.jsonl").write_text(lines, encoding="utf-8")
        for name in ("first", "second"):
            (self.folder / name).mkdir()

    def run(self) -> None:
        """Run all steps.

        Raises:
            StepError: One of them failed, or the rows did not come back.
        """
        self.step(1, "Install the loaders and the file tap", "meltano", "install")
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
        self._show_scores()

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


def table(sandbox: Sandbox) -> str:
    """Return what the stand-in tenant says of all jobs."""
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
    sys.exit(128 + number)


def main() -> int:
    """Run the demo; return its exit code."""
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    started = time.monotonic()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = ROOT / "output" / f"demo-{stamp}-{os.getpid()}"
    with Sandbox(SandboxOptions(pending_seconds=0, processing_seconds=0)) as sandbox:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "MELTANO_PROJECT_ROOT": str(folder),
            "NO_COLOR": "1",
        }
        for plugin in ("TAP_DEMANDBASE", "TARGET_DEMANDBASE"):
            environment[f"{plugin}_API_URL"] = sandbox.url
            environment[f"{plugin}_ACCESS_TOKEN"] = sandbox.token
            environment[f"{plugin}_POLL_INTERVAL_SECONDS"] = "1"
        demo = Demo(folder, environment)
        demo.prepare()
        try:
            demo.run()
        except StepError as error:
            print(f"\nThe demo failed. {error}", file=sys.stderr)
            return 1
        print(f"\n{table(sandbox)}\n")
    print(f"Done in {time.monotonic() - started:.0f} s. The files are in {folder}:")
    print("  first/ and second/ hold JSON Lines, warehouse.duckdb the database, *.log the logs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
