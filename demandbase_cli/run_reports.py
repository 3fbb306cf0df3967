"""The reports that the runs of both plugins have left."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from demandbase_api import run_files
from demandbase_api.config import state
from demandbase_api.run_report import (
    ExportRun,
    ImportRun,
    Outcome,
    ReportedExport,
    ReportedExports,
    ReportedImport,
    ReportedImports,
)
from demandbase_api.state.folder import EXPORT_REPORTS
from demandbase_cli.errors import CommandError
from tap_demandbase.windows import parse_timestamp
from target_demandbase.config import rejects_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from demandbase_cli.settings import Settings

logger = logging.getLogger("demandbase")

TAP, TARGET = "tap-demandbase", "target-demandbase"

LATEST = "latest"
"""In place of the name of a run: the one that began last."""


Stream: TypeAlias = ReportedExports | ReportedImports
Job: TypeAlias = ReportedExport | ReportedImport


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has written a report.

    Args:
        plugin: Name of the plugin.
        name: Name of the run.
        report: Its report.
        document: The report as it is kept.
    """

    plugin: str
    name: str
    report: ExportRun | ImportRun
    document: dict[str, Any]

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The figures of each stream."""
        return self.report.streams

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return parse_timestamp(self.report.started_at)

    @property
    def rows_sent(self) -> int:
        """Rows that were sent, of all streams."""
        return sum(stream.rows_sent for stream in self.streams.values())

    @property
    def rows_rejected(self) -> int:
        """Rows that were rejected, of all streams; exports reject none."""
        return sum(rows_rejected(stream) or 0 for stream in self.streams.values())

    @property
    def jobs(self) -> list[tuple[str, Job]]:
        """Its jobs, each with its stream."""
        return [(name, job) for name, own in self.streams.items() for job in own.jobs]

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; ``None`` if it is unknown."""
        if self.report.outcome is not None:
            return _outcome(self.report.outcome)
        # Reports of earlier versions say it of the tap's streams only.
        own = [
            _outcome(it.outcome) for it in self.streams.values() if isinstance(it, ReportedExports)
        ]
        for worst in (Outcome.FAILED, Outcome.INTERRUPTED, Outcome.NOT_BEGUN):
            if worst in own:
                return Outcome.FAILED if worst is Outcome.NOT_BEGUN else worst
        return Outcome.COMPLETE if own and None not in own else None

    @property
    def says(self) -> str:
        """What went wrong, in a few words."""
        failed = [
            f"{name} {stream.outcome}"
            for name, stream in self.streams.items()
            if isinstance(stream, ReportedExports) and stream.outcome != Outcome.COMPLETE
        ]
        if not failed and self.outcome not in {None, Outcome.COMPLETE}:
            failed = [str(self.outcome)]
        rejected = self.rows_rejected
        return ", ".join([*failed, *([f"{rejected:,} rows rejected"] if rejected else [])]) or "ok"

    def as_line(self) -> dict[str, Any]:
        """Return the run for a list."""
        return {
            "run": self.name,
            "plugin": self.plugin,
            "started_at": self.started_at,
            "seconds": self.report.seconds,
            "streams": len(self.streams),
            "rows_sent": self.rows_sent,
            "jobs": len(self.jobs),
            "says": self.says,
        }


def rows_rejected(stream: Stream) -> int | None:
    """Return the number of rejected rows; ``None`` for exports, which reject none."""
    return stream.rows_rejected if isinstance(stream, ReportedImports) else None


def _outcome(text: str) -> Outcome | None:
    return Outcome(text) if text in {*Outcome} else None


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
    for _, plugin, path in sorted(found, reverse=True):
        if (run := run_at(plugin, path)) is not None:
            yield run


def run_named(found: Sequence[str], beginning: str) -> str:
    """Return the only run whose name has a beginning, or the latest.

    Args:
        found: Names of the runs, the newest first.
        beginning: The beginning, or ``latest``.

    Raises:
        CommandError: There is none, or several.
    """
    matches = [name for name in found if name.startswith(beginning)]
    if beginning == LATEST:
        matches = list(found[:1])
    if len(set(matches)) == 1:
        return matches[0]
    problem = "is the beginning of several runs" if matches else "is no run that is kept"
    raise CommandError(f"{beginning[:100]} {problem}: list them with “demandbase runs”.")


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


def run_at(plugin: str, path: Path) -> Run | None:
    """Return the run of a report; ``None``, with a warning, if the report is damaged."""
    decode = partial(msgspec.json.decode, type=ExportRun if plugin == TAP else ImportRun)
    try:
        content = path.read_bytes()
        report = decode(content)
        parse_timestamp(report.started_at)
        return Run(plugin, path.stem.removeprefix("report-"), report, json.loads(content))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError):
        logger.warning("The report %s is damaged and left out.", path)
        return None
