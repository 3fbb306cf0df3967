"""``fromDate`` and ``toDate`` of an export: which moments they hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from demandbase_sandbox.uapi.error_codes import coded

MAX_ACTIVITY_DAYS = 90
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_ACTIVITY = "activity"


def asked_range(
    entity_type: str, start: str | None, end: str | None, *, inclusive: bool
) -> tuple[str, str] | None:
    """Return the first moment and the one after the last, as sortable texts; ``None`` for all.

    An activity job needs a range. A range of days counts both ends towards the limit of 90, and
    the moments of ``toDate`` belong to it where ``inclusive``: both are published nowhere.

    Raises:
        RefusalError: 400-104, 400-111 to 400-114, or 400-137.
    """
    if start is None and end is None:
        if entity_type == _ACTIVITY:
            raise coded("400-104", "fromDate, toDate")
        return None
    if start is None or end is None:
        raise coded("400-112")
    first, last = _moment("fromDate", start), _moment("toDate", end)
    if first > last:
        raise coded("400-113")
    after = _after(end, last) if inclusive else last
    if entity_type == _ACTIVITY and _after(end, last) - first > timedelta(days=MAX_ACTIVITY_DAYS):
        raise coded("400-114")
    if entity_type in {"campaign", "creative"} and first == last:
        raise coded("400-137")
    return _text(first), _text(after)


def moment_text(name: str, text: str) -> str:
    """Return a date as a text that sorts among the tenant's moments and days.

    Raises:
        RefusalError: 400-111: it is none.
    """
    _moment(name, text)
    return text


def _moment(name: str, text: str) -> datetime:
    try:
        if _DAY.fullmatch(text) or _MOMENT.fullmatch(text):
            found = datetime.fromisoformat(text)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        pass
    raise coded("400-111", name)


def _after(text: str, last: datetime) -> datetime:
    step = timedelta(days=1) if _DAY.fullmatch(text) else timedelta(seconds=1)
    try:
        return last + step
    except OverflowError:
        return last


def _text(moment: datetime) -> str:
    # Midnight is written as its day, which sorts before the day and all its moments.
    return moment.isoformat()[:19].removesuffix("T00:00:00")
