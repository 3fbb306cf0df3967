"""How many calls a day the API allows, and how they are made to last; pure functions.

Source: the published rate limits of the Data Export and the Data Import API. Days begin at
midnight UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from demandbase_api.operations import ApiOperation

CALLS_A_DAY: dict[ApiOperation, int] = {
    ApiOperation.CREATE_EXPORT: 60,
    ApiOperation.GET_EXPORT: 300,
    ApiOperation.LIST_EXPORTS: 1_200,
    ApiOperation.LIST_FIELDS: 60,
    ApiOperation.CREATE_IMPORT: 1_200,
    ApiOperation.UPLOAD_FILE: 1_200,
    ApiOperation.GET_IMPORT: 3_600,
    ApiOperation.LIST_IMPORTS: 3_600,
    ApiOperation.LIST_ACTIVITY_TYPES: 3_600,
    ApiOperation.GET_ACTIVITY_TYPE: 3_600,
}
"""Calls that are not named here, such as downloads, have no limit of their own."""

FREE_SHARE = 0.1
"""What share of a day's calls may be ahead of the day without anything being slowed down."""
_DAY_SECONDS = 86_400.0


def seconds_left(now: datetime) -> float:
    """Return the seconds until the count starts anew.

    Args:
        now: The moment in UTC.
    """
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    return (midnight - now).total_seconds()


def pause(used: int, limit: int, now: datetime) -> float:
    """Return the seconds to let pass before the next call of a kind, so that they last all day.

    Args:
        used: Calls made today.
        limit: Calls allowed a day.
        now: The moment in UTC.
    """
    left = seconds_left(now)
    share_of_day = 1 - left / _DAY_SECONDS
    if used < limit * min(share_of_day + FREE_SHARE, 1 - FREE_SHARE):
        return 0.0
    return left / max(1, limit - used)
