"""The command ``runs``: what the last runs of both plugins did, from their reports."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from demandbase_api import run_files
from demandbase_api.config import state
from demandbase_api.state.folder import EXPORT_REPORTS
from demandbase_cli.errors import CommandError
from demandbase_cli.options import common_options
from demandbase_cli.output import Table, show
from target_demandbase.config import rejects_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from demandbase_cli.settings import Settings

logger = logging.getLogger("demandbase")

TAP, TARGET = "tap-demandbase", "target-demandbase"


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has written a report.

    Args:
        plugin: Name of the plugin.
        name: Name of the run.
        report: Its report.
    """

    plugin: str
    name: str
    report: dict[str, Any]

    @property
    def streams(self) -> dict[str, dict[str, Any]]:
        """The figures of each stream."""
        found: dict[str, dict[str, Any]] = self.report["streams"]
        return found

    def total(self, member: str) -> int | None:
        """Return the sum of a figure over all streams; ``None`` if no stream has it."""
        numbers = [figures.get(member) for figures in self.streams.values()]
        known = [number for number in numbers if isinstance(number, int)]
        return sum(known) if known else None

    @property
    def jobs(self) -> list[tuple[str, dict[str, Any]]]:
        """Its jobs, each with its stream."""
        return [(name, job) for name, own in self.streams.items() for job in own["jobs"]]

    @property
    def says(self) -> str:
        """What went wrong, in a few words."""
        failed = [
            f"{name} {own['outcome']}"
            for name, own in self.streams.items()
            if own.get("outcome", "complete") != "complete"
        ]
        rejected = self.total("rows_rejected")
        return ", ".join([*failed, *([f"{rejected:,} rows rejected"] if rejected else [])]) or "ok"

    def as_line(self) -> dict[str, Any]:
        """Return the run for a list."""
        return {
            "run": self.name,
            "plugin": self.plugin,
            "started_at": self.report["started_at"],
            "seconds": self.report["seconds"],
            "streams": len(self.streams),
            "rows_sent": self.total("rows_sent"),
            "jobs": len(self.jobs),
            "says": self.says,
        }


def all_runs(settings: Settings) -> Iterator[Run]:
    """Yield the runs of both plugins, the newest first; reports that cannot be read are named."""
    folders = (
        (TAP, state(settings.tap_config).open() / EXPORT_REPORTS),
        (TARGET, rejects_folder(settings.target_config)),
    )
    found = [
        (name, plugin, path)
        for plugin, folder in folders
        for name, path in _reports(folder).items()
    ]
    for name, plugin, path in sorted(found, reverse=True):
        if (report := _read(path)) is not None:
            yield Run(plugin, name, report)


def run_named(found: Sequence[str], beginning: str) -> str:
    """Return the only run whose name has a beginning.

    Raises:
        CommandError: There is none, or several.
    """
    matches = [name for name in found if name.startswith(beginning)]
    if len(set(matches)) == 1:
        return matches[0]
    problem = "is the beginning of several runs" if matches else "is no run that is kept"
    raise CommandError(f"{beginning[:100]} {problem}: list them with “demandbase runs”.")


@click.command()
@click.argument("run", required=False)
@click.option("--last", default=20, show_default=True, help="Number of runs to list.")
@common_options
def runs(*, settings: Settings, as_json: bool, run: str | None, last: int) -> None:
    """List the last runs of both plugins, or describe one: RUN is its name, or the beginning."""
    if run is not None:
        found = list(all_runs(settings))
        name = run_named([each.name for each in found], run)
        _show_one(next(each for each in found if each.name == name), as_json=as_json)
        return
    lines = [each.as_line() for each in islice(all_runs(settings), last)]
    headings = ("Run", "Plugin", "Started", "Seconds", "Streams", "Rows sent", "Jobs", "Says")
    table = Table(
        "Runs",
        headings,
        [tuple(line.values()) for line in lines],
        "No run has left a report in state_dir or rejects_path.",
    )
    show(lines, table, as_json=as_json)


def _show_one(run: Run, *, as_json: bool) -> None:
    figures = ("outcome", "rows_sent", "rows_rejected", "windows", "bytes", "seconds", "error")
    headings = (
        "Stream",
        "Outcome",
        "Rows sent",
        "Rejected",
        "Windows",
        "Bytes",
        "Seconds",
        "Error",
    )
    details = ("id", "status", "adopted", "rows", "rows_read", "bytes", "waited_seconds", "seconds")
    show(
        {"plugin": run.plugin, **run.report},
        f"Run {run.name} of {run.plugin}: started {run.report['started_at']}, "
        f"{run.report['seconds']} s, {run.says}",
        Table(
            "Streams",
            headings,
            [(name, *(own.get(each) for each in figures)) for name, own in run.streams.items()],
            "No stream was read.",
        ),
        Table(
            "Jobs",
            ("Stream", "Job", "Status", "Adopted", "Rows", "Read", "Bytes", "Waited", "Seconds"),
            [(name, *(job.get(each) for each in details)) for name, job in run.jobs],
            "The run had no job.",
        ),
        as_json=as_json,
    )


def _reports(folder: Path) -> dict[str, Path]:
    try:
        return run_files.reports(folder)
    except OSError as error:
        raise unreadable(folder, error) from error


def unreadable(path: Path, error: OSError) -> CommandError:
    """Return the error for a file or folder that cannot be read."""
    return CommandError(
        f"{path} cannot be read: {error.strerror or 'the operation failed'}. Run this as the user "
        "of the runs, or correct the settings state_dir and rejects_path."
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        report = json.loads(path.read_bytes())
        for figures in report["streams"].values():
            _ = [job["id"] for job in figures["jobs"]]
        _ = report["started_at"], report["seconds"]
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        logger.warning("The report %s is damaged and left out.", path)
        return None
    checked: dict[str, Any] = report
    return checked
