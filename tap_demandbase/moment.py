"""Moments in the one form that bookmarks have; pure functions."""

from __future__ import annotations

from datetime import UTC, date, datetime, time


def form(moment: datetime) -> str:
    """Return a moment as YYYY-MM-DDTHH:MM:SS.ffffffZ: texts of one width sort like moments."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def parse(text: str) -> datetime:
    """Return the moment of an ISO-8601 date or date-time; no offset means UTC.

    Raises:
        ValueError: It is none.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins, in UTC."""
    return datetime.combine(day, time(), UTC)
