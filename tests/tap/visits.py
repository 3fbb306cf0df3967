"""A stream of visits, its requests and its state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from demandbase_sandbox import Sandbox

Sync = Callable[..., Any]


FIELDS = [("id", "string"), ("seen_at", "datetime"), ("day", "date"), ("name", "string")]


KEY = {"people": {"replication_key": "seen_at"}}


BY_DAY = {"people": {"replication_key": "day"}}


def visits(sandbox: Sandbox, *timestamps: str | None) -> None:
    rows = [
        [str(number), timestamp, None if timestamp is None else timestamp[:10], f"visit {number}"]
        for number, timestamp in enumerate(timestamps)
    ]
    sandbox.add_entity("people", FIELDS, rows)


def windows(sandbox: Sandbox) -> list[tuple[str | None, str]]:
    """Return the requested ranges, in order."""
    return [window_of(request.body["filters"]) for request in sandbox.requests("createExportJob")]


def window_of(filters: Any) -> tuple[str | None, str]:  # noqa: ANN401
    """Return a range in whichever way an API writes it."""
    if isinstance(filters, dict):
        days = filters["date_range"]
        return days.get("start"), days["end"]
    bounds = {each["operator"]: each["values"][0] for each in filters}
    last = date.fromisoformat(bounds["Less Than"]) - timedelta(days=1)
    return bounds.get("Greater Than or Equal To"), last.isoformat()


def ids(output: Any) -> list[str]:  # noqa: ANN401
    return [record["id"] for record in output.records("people")]


def state_at(value: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    mark = {"replication_key": "seen_at", "replication_key_value": value, **more}
    return {"bookmarks": {"people": mark}}


def today(sandbox: Sandbox) -> str:
    return sandbox.clock.now().date().isoformat()
