"""The daily limits of calls: calls are counted, spread over the day and checked in advance."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from filelock import FileLock

from demandbase_api.errors import ApiOperation, CallBudgetError, state_error
from demandbase_api.files import PRIVATE, make_private_folder, write_atomically
from demandbase_api.ports import CallsToday

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from demandbase_api.clock import Clock

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
_LOCK_SECONDS = 30.0


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
    """Counts a day's calls by operation, in a file that the runs of a tenant share.

    Args:
        path: The file. The first call creates it, and its folder if missing.

    Raises:
        SpoolError: From every method: the folder is unusable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def used(self, operation: ApiOperation, day: date) -> int:
        """Return the number of calls of an operation on a day."""
        return self._read(day).get(operation.name, 0)

    def add(self, operation: ApiOperation, day: date, limit: int) -> bool:
        """Count a call before it is sent; return ``False`` if the limit is reached."""
        with self._locked():
            calls = self._read(day)
            used = calls.get(operation.name, 0)
            if used >= limit:
                return False
            calls[operation.name] = used + 1
            content = {"day": day.isoformat(), "calls": calls}
            write_atomically(self._path, json.dumps(content))
        return True

    def _read(self, day: date) -> dict[str, int]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["day"] != day.isoformat():
                return {}
            return {str(name): int(calls) for name, calls in content["calls"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise state_error(error) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}  # a damaged file: the server's own count still holds

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            make_private_folder(self._path.parent)
            with FileLock(self._path.with_suffix(".lock"), timeout=_LOCK_SECONDS, mode=PRIVATE):
                yield
        except OSError as error:
            raise state_error(error) from error
