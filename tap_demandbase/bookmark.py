"""State of a bulk stream: its bookmark and the last job that was delivered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from demandbase_api.jobs.export_reuse import DeliveredJob, DeliveredJobs
from tap_demandbase.errors import StateError, StateFormatError
from tap_demandbase.windows import format_timestamp, midnight, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from tap_demandbase.windows import Window

KEY = "replication_key"
VALUE = "replication_key_value"
NEXT_WINDOW = "next_window"
EXPORTED_ON = "exported_on"
LAST_JOB = "last_job"
ALL_IDS = "ids"

_SDK_MEMBERS = (("partitions", list, "a list"), ("progress_markers", dict, "an object"))
"""Members that the SDK reads, their types and the words for them."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Progress of a stream.

    Args:
        value: Rows up to this time have been delivered; ``None`` before the first run.
        next_window: First day of the next window of an interrupted run.
        exported_on: Day in UTC on which that run exported the windows before; ``None`` if the
            state does not say, as one of version 0.1.0.
        delivered: Jobs that the last completed run delivered.
    """

    value: datetime | None = None
    next_window: date | None = None
    exported_on: date | None = None
    delivered: DeliveredJobs | None = None


def read(state: object, replication_key: str | None, stream: str) -> Bookmark:
    """Return the bookmark in a stream's state; that of another replication key is ignored.

    Raises:
        StateError: The state cannot be read; the message names the member.
    """
    if not isinstance(state, dict):
        raise _unreadable(stream, "it must be an object")
    for member, kind, name in _SDK_MEMBERS:
        if not isinstance(state.get(member, kind()), kind):
            raise _unreadable(stream, f"{member} must be {name}")
    delivered = _delivered(state, stream)
    if not replication_key or state.get(KEY) != replication_key:
        return Bookmark(delivered=delivered)
    text = state.get(VALUE)
    if text is None:
        return Bookmark(delivered=delivered)
    try:
        value = parse_timestamp(text)
    except (ValueError, TypeError, OverflowError):
        raise _unreadable(stream, f"{VALUE} must be an ISO-8601 date-time") from None
    exported_on = _day(state, EXPORTED_ON, stream)
    next_window = _day(state, NEXT_WINDOW, stream)
    # A state that was merged from two states of version 0.1.0 may hold an outdated window.
    if next_window is None or (exported_on is None and next_window != value.date()):
        return Bookmark(value, delivered=delivered)
    return Bookmark(value, next_window, exported_on, delivered)


def _day(state: Mapping[str, Any], member: str, stream: str) -> date | None:
    text = state.get(member)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except (ValueError, TypeError):
        raise _unreadable(stream, f"{member} must be a date, as in 2026-01-31") from None


def _delivered(state: Mapping[str, Any], stream: str) -> DeliveredJobs | None:
    last = state.get(LAST_JOB)
    if last is None:
        return None
    try:
        if isinstance(last["id"], str):
            newest = DeliveredJob(last["id"], parse_timestamp(last["created_at"]))
            return DeliveredJobs(newest, frozenset(last.get(ALL_IDS) or ()))
    except (ValueError, TypeError, KeyError, OverflowError):
        pass
    raise _unreadable(stream, f"{LAST_JOB} must have an id and an ISO-8601 created_at")


def _unreadable(stream: str, problem: str) -> StateError:
    return StateError(
        f"The state of stream {stream} cannot be read: {problem}. Correct it, or remove "
        f"bookmarks.{stream} from the state to start from the beginning.",
        stream=stream,
    )


def usable_state(given: object) -> dict[str, Any]:
    """Return the state that the tap was given: that of a first run, or one with bookmarks.

    A whole STATE message, such as the last line of the tap's output, stands for its value.

    Raises:
        StateFormatError: It is something else.
    """
    is_message = isinstance(given, dict) and given.get("type") == "STATE" and "value" in given
    state = given["value"] if isinstance(given, dict) and is_message else given
    if isinstance(state, dict):
        if not state or isinstance(state.get("bookmarks"), dict):
            return state
        if "bookmarks" in state:
            problem = "its member bookmarks must be an object"
        else:
            problem = f"it has no member bookmarks{_where_state_is(state)}"
    else:
        problem = "it is empty" if state == "" else "it must be an object"
    raise StateFormatError(
        f"The state cannot be used: {problem}. Pass the last STATE message or its value, as in "
        '{"bookmarks": {…}}, or {} to start from the beginning.'
    )


def _where_state_is(state: Mapping[str, Any]) -> str:
    if state.get("type") in {"SCHEMA", "RECORD"}:
        return f", since it is a {state['type']} message: the run that wrote it did not complete"
    for member in ("value", "singer_state", "completed", "partial"):
        if isinstance(state.get(member), dict):
            return f" (the state may be in its member {member})"
    return ""


def advance(
    previous: datetime | None,
    window: Window,
    newest: datetime | None,
    created_at: datetime,
    *,
    whole_days: bool,
) -> datetime:
    """Return the bookmark after a window.

    It never moves back, and never past the creation of the run's jobs: later records are not in
    their files, even if a file has dates in the future. Nor does it pass the requested days.

    Args:
        previous: Bookmark before the window.
        window: The window that has been delivered.
        newest: Greatest replication value in the window; ``None`` if it has none.
        created_at: Creation time of the run's oldest job.
        whole_days: Whether replication values are dates without a time.
    """
    # The last day of a window may be incomplete: the next window starts with the same day.
    reached = midnight(window.end)
    if window.is_last and newest is not None:
        # Rows after the requested days do not mean that all rows before them have been sent.
        reached = min(newest, datetime.combine(window.end, time.max, UTC))
    ceiling = midnight(created_at.date()) if whole_days else created_at
    reached = min(reached, ceiling)
    return reached if previous is None else max(previous, reached)


def write(state: MutableMapping[str, Any], replication_key: str, mark: Bookmark) -> None:
    """Write a bookmark, without its delivered jobs, to a stream's state."""
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


def write_delivered(state: MutableMapping[str, Any], jobs: DeliveredJobs) -> None:
    """Write the jobs of a run to a stream's state.

    Call it when the whole run has completed, since a run after an interruption reuses the jobs of
    all streams; or when a job's files are damaged.
    """
    newest = jobs.newest
    state[LAST_JOB] = {"id": newest.id, "created_at": format_timestamp(newest.created_at)}
    if jobs.ids - {newest.id}:
        state[LAST_JOB][ALL_IDS] = sorted(jobs.ids)
