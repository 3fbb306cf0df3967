"""The daily limits of calls: calls are counted, spread over the day and checked in advance."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from demandbase_api.errors import ApiOperation, CallBudgetError
from demandbase_api.ports import CallsToday

if TYPE_CHECKING:
    from datetime import date

    from demandbase_api.clock import Clock
    from demandbase_api.state.ports import StateStore

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
    ApiOperation.LIST_SOURCES: 3_600,
}
"""Published daily limits. Other operations, such as downloads, have none of their own."""

FREE_SHARE = 0.1
"""Share of a day's calls that may be used ahead of time without a pause."""

_CALLS_PER_EXPORT = {
    ApiOperation.CREATE_EXPORT: 1,
    ApiOperation.GET_EXPORT: 1,
    ApiOperation.LIST_EXPORTS: 2,
}
_CALLS_PER_IMPORT = {
    ApiOperation.CREATE_IMPORT: 1,
    ApiOperation.UPLOAD_FILE: 1,
    ApiOperation.LIST_IMPORTS: 1,
}
"""Minimum calls of a job, from its creation to its end."""

_DAY_SECONDS = 86_400.0


class CallBudget:
    """The calls that are left today.

    Args:
        counter: Counts the calls.
        clock: Time.
    """

    def __init__(self, counter: CallCounter, clock: Clock) -> None:
        self._counter = counter
        self._clock = clock

    def spend(self, operation: ApiOperation) -> None:
        """Count a call before it is sent.

        Raises:
            CallBudgetError: The daily limit is reached.
        """
        limit = CALLS_A_DAY.get(operation)
        if limit is not None and not self._counter.add(operation, self._today, limit):
            raise self._error(operation, f"allows {limit:,} calls a day, which are used up,")

    def pause(self, operation: ApiOperation) -> float:
        """Return the seconds to wait before the next call of an operation."""
        now = self._clock.utc()
        return pause(self._counter.used(operation, now.date()), CALLS_A_DAY[operation], now)

    def check_exports(self, jobs: int) -> None:
        """Check that enough calls are left for a number of export jobs.

        Raises:
            CallBudgetError: Too few are left.
        """
        for operation, calls in self.for_exports(jobs).items():
            self.require(operation, calls)

    def check_import(self) -> None:
        """Check that enough calls are left for an import job, from its creation to its end.

        A job that is created without calls for its file or its status could not be completed.

        Raises:
            CallBudgetError: Too few are left.
        """
        for operation, calls in _CALLS_PER_IMPORT.items():
            self.require(operation, calls)

    def require(self, operation: ApiOperation, calls: int) -> None:
        """Check that a number of calls of an operation are left.

        Raises:
            CallBudgetError: Too few are left.
        """
        left = self.left(operation)
        if calls > left:
            raise self._error(
                operation,
                f"allows {CALLS_A_DAY[operation]:,} calls a day, of which {left:,} are left, and "
                f"at least {calls:,} are needed,",
            )

    def left(self, operation: ApiOperation) -> int:
        """Return the number of calls of an operation that are left today."""
        return CALLS_A_DAY[operation] - self._counter.used(operation, self._today)

    def today(self) -> dict[ApiOperation, CallsToday]:
        """Return the calls of each operation that has a limit."""
        return {
            operation: CallsToday(self._counter.used(operation, self._today), limit)
            for operation, limit in CALLS_A_DAY.items()
        }

    def for_exports(self, jobs: int) -> dict[ApiOperation, int]:
        """Return the calls that a number of export jobs need at least."""
        return {operation: calls * jobs for operation, calls in _CALLS_PER_EXPORT.items()}

    @property
    def _today(self) -> date:
        return self._clock.utc().date()

    def _error(self, operation: ApiOperation, problem: str) -> CallBudgetError:
        is_import = operation in _CALLS_PER_IMPORT
        fewer = "send more rows per job." if is_import else "select fewer streams."
        return CallBudgetError(
            operation,
            problem,
            advice=f"The count restarts at midnight UTC. Run less often, or {fewer}",
            retry_after=seconds_left(self._clock.utc()),
        )


def seconds_left(now: datetime) -> float:
    """Return the seconds until the counts restart, at midnight UTC.

    Args:
        now: Current time in UTC.
    """
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    return (midnight - now).total_seconds()


def pause(used: int, limit: int, now: datetime) -> float:
    """Return the seconds to wait before the next call, so that the calls last all day.

    Args:
        used: Calls made today.
        limit: Calls allowed a day.
        now: Current time in UTC.
    """
    left = seconds_left(now)
    share_of_day = 1 - left / _DAY_SECONDS
    if used < limit * min(share_of_day + FREE_SHARE, 1 - FREE_SHARE):
        return 0.0
    return left / max(1, limit - used)


class CallCounter:
    """Counts a day's calls by operation, in an object that the runs of a tenant share.

    Args:
        store: Keeps the object.
        name: Its name.

    Raises:
        StateError: From every method: the store is unusable.
    """

    def __init__(self, store: StateStore, name: str) -> None:
        self._store = store
        self._name = name

    def used(self, operation: ApiOperation, day: date) -> int:
        """Return the number of calls of an operation on a day."""
        return _calls(self._store.get(self._name), day).get(operation.name, 0)

    def add(self, operation: ApiOperation, day: date, limit: int) -> bool:
        """Count a call before it is sent; return ``False`` if the limit is reached."""
        is_allowed = False

        def count(content: bytes | None) -> bytes | None:
            nonlocal is_allowed
            calls = _calls(content, day)
            used = calls.get(operation.name, 0)
            is_allowed = used < limit
            if not is_allowed:
                return None
            calls[operation.name] = used + 1
            return json.dumps({"day": day.isoformat(), "calls": calls}).encode()

        self._store.update(self._name, count)
        return is_allowed


def _calls(content: bytes | None, day: date) -> dict[str, int]:
    """Return the calls of a day by operation, from what has been stored."""
    try:
        stored = {} if content is None else json.loads(content)
        if stored.get("day") != day.isoformat():
            return {}
        return {str(name): int(calls) for name, calls in stored["calls"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}  # it is damaged: the server's own count still holds
