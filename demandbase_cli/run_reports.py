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
from demandbase_api.errors import StateError
from demandbase_api.run_report import (
    ExportRun,
    ImportRun,
    Outcome,
    ReportedExport,
    ReportedExports,
    ReportedImport,
    ReportedImports,
)
from demandbase_api.state.folder import EXPORT_REPORTS, IMPORT_REPORTS
from demandbase_cli.errors import CommandError
from tap_demandbase.windows import parse_timestamp
from target_demandbase.config import rejects_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from demandbase_api.state.ports import StateStore
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
        ends = {
            name: stream.outcome
            for name, stream in self.streams.items()
            if isinstance(stream, ReportedExports) and stream.outcome != Outcome.COMPLETE
        }
        failed = [f"{name} {outcome}" for name, outcome in ends.items()]
        if self.outcome not in {None, Outcome.COMPLETE, *ends.values()}:
            failed.insert(0, str(self.outcome))
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
    found = [
        (run, plugin, name, store)
        for plugin, store in report_stores(settings)
        for run, name in _reports(store).items()
    ]
    for _, plugin, name, store in sorted(found, key=lambda each: each[:3], reverse=True):
        if (run := run_at(plugin, store, name)) is not None:
            yield run


def report_stores(settings: Settings) -> Iterator[tuple[str, StateStore]]:
    """Yield the places of reports: those on this machine, and a bucket that it shares."""
    # Commands start without filelock.
    from demandbase_api.state.folder_store import FolderStore  # noqa: PLC0415

    tap, target = state(settings.tap_config), state(settings.target_config)
    yield TAP, FolderStore(tap.open() / EXPORT_REPORTS)
    yield TARGET, FolderStore(rejects_folder(settings.target_config))
    if (exports := tap.copies(EXPORT_REPORTS)) is not None:
        yield TAP, exports
    if (imports := target.copies(IMPORT_REPORTS)) is not None:
        yield TARGET, imports


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


def _reports(store: StateStore) -> dict[str, str]:
    try:
        return run_files.reports(store)
    except StateError as error:
        raise unreadable(store.location(), error) from error


def unreadable(place: Path | str, error: OSError | StateError) -> CommandError:
    """Return the error for a file or folder that cannot be read."""
    reason = error.reason if isinstance(error, StateError) else error.strerror
    return CommandError(
        f"{place} cannot be read: {reason or 'the operation failed'}. Run this as the user of the "
        "runs, or correct the settings state_dir and rejects_path."
    )


def run_at(plugin: str, store: StateStore, name: str) -> Run | None:
    """Return the run of a report; ``None``, with a warning, if the report is damaged."""
    decode = partial(msgspec.json.decode, type=ExportRun if plugin == TAP else ImportRun)
    try:
        if (content := store.get(name)) is None:
            return None  # removed meanwhile
        report = decode(content)
        parse_timestamp(report.started_at)
        run = name.removeprefix("report-").removesuffix(".json")
        return Run(plugin, run, report, json.loads(content))
    except StateError as error:
        raise unreadable(store.location(name), error) from error
    except (ValueError, RecursionError):
        logger.warning("The report %s is damaged and left out.", store.location(name))
        return None
