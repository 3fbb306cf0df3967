"""State of a bulk stream: its bookmark and the last job that was delivered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from demandbase_api.jobs.export_reuse import DeliveredJob, DeliveredJobs
from tap_demandbase.errors import StateError
from tap_demandbase.windows import format_timestamp, midnight, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from tap_demandbase.windows import Window

KEY = "replication_key"
VALUE = "replication_key_value"
NEXT_WINDOW = "next_window"
LAST_JOB = "last_job"
ALL_IDS = "ids"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Progress of a stream.

    Args:
        value: Rows up to this time have been delivered; ``None`` before the first run.
        next_window: First day of the next window of an interrupted run.
        delivered: Jobs that the last completed run delivered.
    """

    value: datetime | None = None
    next_window: date | None = None
    delivered: DeliveredJobs | None = None


def read(state: Mapping[str, Any], replication_key: str | None, stream: str) -> Bookmark:
    """Return the bookmark in a stream's state; that of another replication key is ignored.

    Raises:
        StateError: The state cannot be read.
    """
    try:
        delivered = None
        if last := state.get(LAST_JOB):
            newest = DeliveredJob(last["id"], parse_timestamp(last["created_at"]))
            delivered = DeliveredJobs(newest, frozenset(last.get(ALL_IDS) or ()))
        if not replication_key or state.get(KEY) != replication_key or not state.get(VALUE):
            return Bookmark(delivered=delivered)
        value = parse_timestamp(state[VALUE])
        next_window = None
        # A state that was merged from two states may hold an outdated window.
        if (text := state.get(NEXT_WINDOW)) and date.fromisoformat(text) == value.date():
            next_window = value.date()
    except (ValueError, TypeError, KeyError):
        raise StateError(
            f"The state of stream {stream} cannot be read: {VALUE} must be an ISO-8601 date-time. "
            "Correct the state, or remove the stream from it to start from the beginning.",
            stream=stream,
        ) from None
    return Bookmark(value, next_window, delivered)


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


def write(
    state: MutableMapping[str, Any],
    replication_key: str,
    value: datetime,
    next_window: date | None,
) -> None:
    """Write a bookmark to a stream's state."""
    state[KEY] = replication_key
    state[VALUE] = format_timestamp(value)
    if next_window is not None:
        state[NEXT_WINDOW] = next_window.isoformat()
    elif NEXT_WINDOW in state:
        # Null instead of removing it: Meltano merges the states of runs that failed.
        state[NEXT_WINDOW] = None


def write_delivered(state: MutableMapping[str, Any], jobs: DeliveredJobs) -> None:
    """Write the jobs of a run to a stream's state.

    Call it when the whole run has completed, since a run after an interruption reuses the jobs of
    all streams; or when a job's files are damaged.
    """
    newest = jobs.newest
    state[LAST_JOB] = {"id": newest.id, "created_at": format_timestamp(newest.created_at)}
    if jobs.ids - {newest.id}:
        state[LAST_JOB][ALL_IDS] = sorted(jobs.ids)
