"""The exports that a run will need, before anything is exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_api.errors import DemandbaseError
from tap_demandbase.streams import BulkStream, IdBatchStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk import Stream

    from demandbase_api.jobs.export_provider import ExportTask
    from tap_demandbase.windows import Window


@dataclass(frozen=True, slots=True)
class PlannedExport:
    """One export job, or the job of an earlier run in its place.

    Args:
        window: Days that it covers; ``None`` for all.
        task: The export.
    """

    window: Window | None
    task: ExportTask


@dataclass(frozen=True, slots=True)
class PlannedStream:
    """What a selected stream needs.

    Args:
        name: Name of the stream.
        exports: Its exports, in their order.
        needs_more: Whether the first export says how many more follow: at least one.
        later_jobs: Number of its jobs in a run that follows a complete one, without those that
            only the first export tells.
        error: Why the stream cannot be exported.
    """

    name: str
    exports: tuple[PlannedExport, ...] = ()
    needs_more: bool = False
    later_jobs: int = 0
    error: DemandbaseError | None = None


def plan_exports(streams: Iterable[Stream]) -> list[PlannedStream]:
    """Return what the selected streams of entities need; nothing is created."""
    selected = (stream for stream in streams if isinstance(stream, BulkStream) and stream.selected)
    return [_planned(stream) for stream in selected]


def _planned(stream: BulkStream) -> PlannedStream:
    try:
        stream.plan()
        if stream.is_removed:
            return PlannedStream(stream.name)
        if isinstance(stream, IdBatchStream):
            export = PlannedExport(None, stream.ids_task)
            return PlannedStream(stream.name, (export,), needs_more=True)
        exports = tuple(PlannedExport(window, task) for window, task in stream.tasks)
        return PlannedStream(stream.name, exports, later_jobs=stream.later_jobs)
    except DemandbaseError as error:
        if error.ends_run:
            raise
        return PlannedStream(stream.name, error=error)
