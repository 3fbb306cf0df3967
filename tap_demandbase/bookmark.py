"""State of a bulk stream: its bookmark and the last job that was delivered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from demandbase_api.jobs.export_reuse import DeliveredJob
from tap_demandbase.errors import StateError
from tap_demandbase.windows import format_timestamp, midnight, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from tap_demandbase.windows import Window

KEY = "replication_key"
VALUE = "replication_key_value"
NEXT_WINDOW = "next_window"
EXPORTED_ON = "exported_on"
LAST_JOB = "last_job"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Progress of a stream.

    Args:
        value: Rows up to this time have been delivered; ``None`` before the first run.
        next_window: First day of the next window of an interrupted run.
        exported_on: Day in UTC on which that run exported the windows before; ``None`` if the
            state does not say, as one of version 0.1.0.
        delivered: Last job that a completed run delivered.
    """

    value: datetime | None = None
    next_window: date | None = None
    exported_on: date | None = None
    delivered: DeliveredJob | None = None


def read(state: Mapping[str, Any], replication_key: str | None, stream: str) -> Bookmark:
    """Return the bookmark in a stream's state; that of another replication key is ignored.

    Raises:
        StateError: The state cannot be read.
    """
    try:
        delivered = None
        if last := state.get(LAST_JOB):
            delivered = DeliveredJob(last["id"], parse_timestamp(last["created_at"]))
        if not replication_key or state.get(KEY) != replication_key or not state.get(VALUE):
            return Bookmark(delivered=delivered)
        value = parse_timestamp(state[VALUE])
        exported_on = date.fromisoformat(day) if (day := state.get(EXPORTED_ON)) else None
        next_window = date.fromisoformat(day) if (day := state.get(NEXT_WINDOW)) else None
        # A state that was merged from two states of version 0.1.0 may hold an outdated window.
        if exported_on is None and next_window != value.date():
            next_window = None
        if next_window is None:
            exported_on = None
    except (ValueError, TypeError, KeyError):
        raise StateError(
            f"The state of stream {stream} cannot be read: {VALUE} must be an ISO-8601 date-time. "
            "Correct the state, or remove the stream from it to start from the beginning.",
            stream=stream,
        ) from None
    return Bookmark(value, next_window, exported_on, delivered)


def advance(
    previous: datetime | None,
    window: Window,
    newest: datetime | None,
    created_at: datetime,
    *,
    whole_days: bool,
) -> datetime:
    """Return the bookmark after a window.

    It never moves back, and never past the creation of the job: later records are not in its file,
    even if the file has dates in the future.

    Args:
        previous: Bookmark before the window.
        window: The window that has been delivered.
        newest: Greatest replication value in the window; ``None`` if it has none.
        created_at: Creation time of the window's job.
        whole_days: Whether replication values are dates without a time.
    """
    # The last day of a window may be incomplete: the next window starts with the same day.
    reached = newest if window.is_last and newest is not None else midnight(window.end)
    ceiling = midnight(created_at.date()) if whole_days else created_at
    reached = min(reached, ceiling)
    return reached if previous is None else max(previous, reached)


def write(state: MutableMapping[str, Any], replication_key: str, mark: Bookmark) -> None:
    """Write a bookmark, without its delivered job, to a stream's state."""
    assert mark.value is not None  # noqa: S101 - windows have been delivered
    state[KEY] = replication_key
    state[VALUE] = format_timestamp(mark.value)
    if mark.next_window is not None:
        state[NEXT_WINDOW] = mark.next_window.isoformat()
        state[EXPORTED_ON] = None if mark.exported_on is None else mark.exported_on.isoformat()
        return
    # Without a next window it has no meaning, not even in a merged state.
    state.pop(EXPORTED_ON, None)
    if NEXT_WINDOW in state:
        # Null instead of removing it: Meltano merges the states of runs that failed.
        state[NEXT_WINDOW] = None


def write_delivered(state: MutableMapping[str, Any], job: DeliveredJob) -> None:
    """Write the last delivered job to a stream's state.

    Call it when the whole run has completed, since a run after an interruption reuses the jobs of
    all streams; or when the job's files are damaged.
    """
    state[LAST_JOB] = {"id": job.id, "created_at": format_timestamp(job.created_at)}
