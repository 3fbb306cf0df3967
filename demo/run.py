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
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from shared_install import copy_project, installed, share_plugins

from demandbase_sandbox import Sandbox, SandboxOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
SIGNAL_EXIT = 128
GRACE_SECONDS = 10
KILL_LOOK_SECONDS = 0.05
JOBS_BEFORE_KILL = 2
ENTITIES = ("accounts", "activities", "buying_groups", "campaigns", "opportunities", "people")
EXPORT_PAGE, IMPORT_PAGE = "export.html", "import.html"
TABLES = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'demandbase'"
COUNT = "SELECT count(*) FROM demandbase.{}"
QUERY = """
import duckdb, json, sys
with duckdb.connect(sys.argv[1], read_only=True) as warehouse:
    print(json.dumps(warehouse.execute(sys.argv[2]).fetchall(), default=str))
"""
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

NEXT = """
Next, with a tenant of your own. This creates no job; README.md goes on from there:

  export TAP_DEMANDBASE_CLIENT_ID=…  TAP_DEMANDBASE_CLIENT_SECRET=…
  # or: export TAP_DEMANDBASE_ACCESS_TOKEN=…
  .venv/bin/demandbase check
"""


class StepError(Exception):
    """A failed step; the message names its log."""


@dataclass(frozen=True)
class Demo:
    """A run of the demo, in a folder of its own, so that several can run at the same time.

    Args:
        folder: Folder for everything that it writes.
        environment: Environment of Meltano and the plugins.
        sandbox: The tenant.
    """

    folder: Path
    environment: dict[str, str]
    sandbox: Sandbox

    def step(
        self,
        number: int,
        title: str,
        *command: str,
        until: Callable[[], bool] | None = None,
        **extra: str,
    ) -> None:
        """Run a command and write its output to a log file.

        Args:
            number: Number of the step.
            title: What it does.
            command: The command.
            until: When it is killed; it must not end before.
            extra: More environment variables.

        Raises:
            StepError: The command failed.
        """
        print(f"{number}. {title}", end="", flush=True)
        started = time.monotonic()
        log = self.folder / f"{number}.log"
        with log.open("w", encoding="utf-8") as output:
            code = _run(command, self.folder, {**self.environment, **extra}, output, until)
        print(f" ({time.monotonic() - started:.0f} s)\n   {' '.join(command)}", flush=True)
        if code != (0 if until is None else -signal.SIGKILL):
            sentence = f"Step {number} ended with exit code {code}: see {log}"
            raise StepError(sentence)

    def prepare(self) -> None:
        """Create a Meltano project and the file of scores to send."""
        self.folder.mkdir(parents=True)
        copy_project(ROOT, self.folder)
        lines = "".join(json.dumps(score) + "\n" for score in SCORES)
        (self.folder / "scores.jsonl").write_text(lines, encoding="utf-8")

    def run(self) -> None:
        """Run all steps.

        Raises:
            StepError: A step failed, or a row did not come back as it was sent.
        """
        with installed(ROOT, self._install) as there:
            if there:
                print("1. Install the loaders and the file tap: already installed", flush=True)
            share_plugins(ROOT, self.folder)
            self._export_twice()
            first, before = self._count_rows(), self._tenant()
            self._import_and_export()
            second = self._count_rows()
            show_rows(first, second)
            show_scores(before, self._tenant())
            self._check_warehouse(second)
        self._show_adopted()

    def _install(self) -> None:
        self.step(
            1, "Install the loaders and the file tap", "meltano", "install", "--clean",
            MELTANO_PROJECT_ROOT=str(ROOT),
        )  # fmt: skip

    def _export_twice(self) -> None:
        # Without a name of its own, Meltano would take the killed run for one that still runs.
        self.step(
            2,
            "Export to DuckDB, killed in the middle",
            *("meltano", "run", "--state-id-suffix=killed", "tap-demandbase", "target-duckdb"),
            until=self._are_jobs_running,
        )
        self.step(3, "Export to DuckDB", "meltano", "run", "tap-demandbase", "target-duckdb")

    def _are_jobs_running(self) -> bool:
        """Return whether the tap knows the jobs that it has created so far."""
        jobs = self.sandbox.export_jobs()
        return len(jobs) >= JOBS_BEFORE_KILL and all(job["status"] != "pending" for job in jobs)

    def _import_and_export(self) -> None:
        self.step(
            4, "Import three scores", "meltano", "run", "tap-jsonl", "target-demandbase",
            TAP_JSONL_PATH="scores.jsonl",
            TAP_JSONL_STREAM_NAME="accounts",
            TAP_JSONL_PRIMARY_KEYS='["domain"]',
        )  # fmt: skip
        self.step(
            5, "Export to DuckDB again", "meltano", "run", "tap-demandbase", "target-duckdb",
        )  # fmt: skip

    def _tenant(self) -> dict[str, dict[str, Any]]:
        """Return the accounts of the tenant by domain."""
        return {str(row["domain"]): dict(row) for row in self.sandbox.rows("accounts")}

    def _count_rows(self) -> dict[str, int]:
        """Return the number of rows in the warehouse, by stream."""
        tables = [name for [name] in self._query(TABLES)]
        return {name: self._query(COUNT.format(name))[0][0] for name in sorted(tables)}

    def _check_warehouse(self, counted: Mapping[str, int]) -> None:
        """Check that the warehouse has all rows of the tenant, and the scores as they were sent."""
        for entity in ENTITIES:
            expected = len(self.sandbox.rows(entity))
            if counted.get(entity) != expected:
                raise StepError(f"{counted.get(entity)} of {expected} rows of {entity} arrived")
        names = ", ".join(SCORES[0])
        query = f"SELECT {names} FROM demandbase.accounts"  # noqa: S608 - names of the demo
        rows = {row[0]: dict(zip(SCORES[0], row, strict=True)) for row in self._query(query)}
        for score in SCORES:
            back = rows.get(score["domain"], {})
            scored_at = str(back.get("scored_at", "")).replace(" ", "T")[:19] + "Z"
            if {**back, "scored_at": scored_at} != score:
                raise StepError(f"The row of {score['domain']} did not come back as it was sent")

    def _query(self, query: str) -> list[list[Any]]:
        """Return the rows of a query in the warehouse, by the DuckDB of the loader."""
        python = ROOT / ".meltano" / "loaders" / "target-duckdb" / "venv" / "bin" / "python"
        done = subprocess.run(  # noqa: S603 - the demo's own command
            [python, "-c", QUERY, self.folder / "warehouse.duckdb", query],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sentence = f"The warehouse cannot be read: {done.stderr.strip()}"
            raise StepError(sentence)
        rows: list[list[Any]] = json.loads(done.stdout)
        return rows

    def _show_adopted(self) -> None:
        runs = json.loads(self._demandbase("runs", "--json"))
        _, whole, *_ = [run["run"] for run in runs if run["plugin"] == "tap-demandbase"]
        report = json.loads(self._demandbase("runs", whole, "--json"))
        adopted = [
            (name, job["id"])
            for name, stream in report["streams"].items()
            for job in stream["jobs"]
            if job["adopted"]
        ]
        if not adopted:
            raise StepError("Step 3 adopted no job of the killed run")
        print("\nJobs of the killed run, which step 3 adopted instead of new ones\n")
        print(table([("stream", "job"), *adopted]))
        self._demandbase("runs", whole, "--html", str(self.folder / EXPORT_PAGE))
        [imported] = [run["run"] for run in runs if run["plugin"] == "target-demandbase"]
        self._demandbase("runs", imported, "--html", str(self.folder / IMPORT_PAGE))

    def _demandbase(self, *arguments: str) -> str:
        """Run the command ``demandbase``; return what it prints."""
        done = subprocess.run(  # noqa: S603 - the demo's own command
            [Path(sys.executable).with_name("demandbase"), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sentence = f"demandbase {' '.join(arguments)}: {done.stderr.strip()}"
            raise StepError(sentence)
        return done.stdout


def _run(
    command: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    output: TextIO,
    until: Callable[[], bool] | None,
) -> int:
    """Run a command, or kill it; if the demo is stopped, stop it and its child processes."""
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
        while until is not None and process.poll() is None:
            if until():
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(KILL_LOOK_SECONDS)
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return a table with its headings in the first row; numbers are aligned at their end."""
    numbers = [isinstance(cell, (int, float)) for cell in rows[-1]]
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, numbers, strict=True)
        )
        for row in texts
    ]
    return "\n".join(f"  {line.rstrip()}" for line in lines)


def show_rows(first: Mapping[str, int], second: Mapping[str, int]) -> None:
    """Show the number of rows in the warehouse after each export."""
    print(f"\nRows in DuckDB, by {COUNT.format('…')}\n")
    rows = [(name, first.get(name, 0), count) for name, count in second.items()]
    print(table([("stream", "after step 3", "after step 5"), *rows]))


def show_scores(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Show the three scores in the tenant before and after the import."""
    print("\nScores in the tenant, before and after step 4\n")
    rows = []
    for domain in (str(score["domain"]) for score in SCORES):
        old = before.get(domain)
        for member in ("engagement_score", "segment"):
            was = "no account" if old is None else old[member] or "empty"
            rows.append((domain, member, was, after[domain][member]))
    print(table([("account", "field", "before", "after"), *rows]))


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
        environment[f"{plugin}_STATE_DIR"] = str(folder / "state")
    environment["TARGET_DEMANDBASE_REJECTS_PATH"] = str(folder / "rejects")
    environment["TARGET_DUCKDB_PATH"] = str(folder / "warehouse.duckdb")
    return environment


def main() -> int:
    """Run the demo; return its exit code."""
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    started = time.monotonic()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = ROOT / "output" / f"demo-{stamp}-{os.getpid()}"
    with Sandbox(SandboxOptions(pending_seconds=0.2, processing_seconds=0.5)) as sandbox:
        demo = Demo(folder, environment_for(sandbox, folder), sandbox)
        demo.prepare()
        try:
            demo.run()
        except StepError as error:
            print(f"\nThe demo failed. {error}", file=sys.stderr)
            return 1
    print(NEXT)
    seconds = time.monotonic() - started
    print(f"Done in {seconds:.0f} s. What Meltano logged (*.log), warehouse.duckdb and")
    print(f"{IMPORT_PAGE}, the page of step 4, are in this folder:\n{folder}\n")
    print(f"The page of step 3, to open in a browser:\n{folder / EXPORT_PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
