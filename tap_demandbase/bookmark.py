"""What a bulk stream's state says, and how far a window moves the bookmark."""

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
LAST_JOB = "last_job"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a stream has come.

    Args:
        value: Everything up to here has been delivered; ``None`` at the first run.
        next_window: First day of the window at which an interrupted range goes on.
        delivered: The last job that a run delivered which came to its end.
    """

    value: datetime | None = None
    next_window: date | None = None
    delivered: DeliveredJob | None = None


def read(state: Mapping[str, Any], replication_key: str | None, stream: str) -> Bookmark:
    """Return the bookmark in a stream's state; one of another replication key does not count.

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
        next_window = None
        # A state that was merged from two may hold a window of long ago.
        if (text := state.get(NEXT_WINDOW)) and date.fromisoformat(text) == value.date():
            next_window = value.date()
    except (ValueError, TypeError, KeyError):
        raise StateError(
            f"The state of stream {stream} cannot be read: {VALUE} must be an ISO-8601 moment. "
            "Correct the state, or remove the stream from it to begin anew.",
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

    It never goes back, and never passes the creation of the job: what came later is not in
    its file, whatever the future dates in it say.

    Args:
        previous: The bookmark before.
        window: The window that has been delivered.
        newest: The greatest replication value in it; ``None`` where there was none.
        created_at: When the job was created that delivered it.
        whole_days: Whether replication values are dates.
    """
    # A window's last day may not be whole: the next window begins with that very day.
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
    """Put a bookmark into a stream's state."""
    state[KEY] = replication_key
    state[VALUE] = format_timestamp(value)
    if next_window is not None:
        state[NEXT_WINDOW] = next_window.isoformat()
    elif NEXT_WINDOW in state:
        # Null rather than gone: Meltano merges the states of runs that did not end well.
        state[NEXT_WINDOW] = None


def write_delivered(state: MutableMapping[str, Any], delivered: DeliveredJob) -> None:
    """Put the last job that was delivered into a stream's state.

    Only where the whole run has come to its end, since one that is started again after it was
    interrupted takes up the jobs of all of its streams; or where the job's files are damaged.
    """
    state[LAST_JOB] = {"id": delivered.id, "created_at": format_timestamp(delivered.created_at)}
