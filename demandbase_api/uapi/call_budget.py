"""Keeps a day's calls within what the API allows, and says beforehand where they will not do."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from filelock import FileLock

from demandbase_api.errors import ApiOperation, CallBudgetError, spool_error
from demandbase_api.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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


_LEAST_CALLS_AN_EXPORT = {
    ApiOperation.CREATE_EXPORT: 1,
    ApiOperation.GET_EXPORT: 1,
    ApiOperation.LIST_EXPORTS: 2,
}

_LEAST_CALLS_AN_IMPORT = {
    ApiOperation.CREATE_IMPORT: 1,
    ApiOperation.UPLOAD_FILE: 1,
    ApiOperation.LIST_IMPORTS: 1,
}

_FEWER_STREAMS = "select fewer streams."


class CallBudget:
    """The day's calls.

    Args:
        ledger: Counts them.
        clock: Time.
    """

    def __init__(self, ledger: CallLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def spend(self, operation: ApiOperation) -> None:
        """Count a call that is about to be made.

        Raises:
            CallBudgetError: It would be one too many.
        """
        limit = CALLS_A_DAY.get(operation)
        if limit is not None and not self._ledger.add(operation, self._today, limit):
            raise self._error(operation, f"allows {limit:,} calls a day, which are used up,")

    def pause(self, operation: ApiOperation) -> float:
        """Return the seconds to let pass before the next call of a kind."""
        now = self._clock.utc()
        return pause(self._ledger.used(operation, now.date()), CALLS_A_DAY[operation], now)

    def check_exports(self, jobs: int) -> None:
        """Make sure that what is left is enough for some export jobs.

        Raises:
            CallBudgetError: It is not.
        """
        self._check(_LEAST_CALLS_AN_EXPORT, jobs)

    def check_import(self) -> None:
        """Make sure that what is left is enough for one import job from its creation to its end.

        A job without its file could not be cancelled, and one with it not be seen to its end.

        Raises:
            CallBudgetError: It is not.
        """
        self._check(_LEAST_CALLS_AN_IMPORT, 1)

    def require(self, operation: ApiOperation, calls: int) -> None:
        """Make sure that what is left is enough for some calls of a kind.

        Raises:
            CallBudgetError: It is not.
        """
        left = self.left(operation)
        if calls > left:
            raise self._error(
                operation,
                f"allows {CALLS_A_DAY[operation]:,} calls a day, of which {left:,} are left and "
                f"at least {calls:,} needed,",
            )

    def left(self, operation: ApiOperation) -> int:
        """Return how many calls of a kind are left today."""
        return CALLS_A_DAY[operation] - self._ledger.used(operation, self._today)

    def _check(self, least: Mapping[ApiOperation, int], jobs: int) -> None:
        for operation, calls in least.items():
            self.require(operation, calls * jobs)

    @property
    def _today(self) -> date:
        return self._clock.utc().date()

    def _error(self, operation: ApiOperation, problem: str) -> CallBudgetError:
        return CallBudgetError(
            operation,
            problem,
            advice="The count restarts at midnight UTC. Run less often, or "
            + ("send more rows a job." if operation in _LEAST_CALLS_AN_IMPORT else _FEWER_STREAMS),
            retry_after=seconds_left(self._clock.utc()),
        )


_LOCK_SECONDS = 30.0


class CallLedger:
    """The calls of a day by kind; what was counted on another day is forgotten.

    Args:
        path: The file; it is made with the first call, and its folder with it.

    Raises:
        SpoolError: From every method: the folder cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def used(self, operation: ApiOperation, day: date) -> int:
        """Return how many calls of a kind were made on a day."""
        return self._read(day).get(operation.name, 0)

    def add(self, operation: ApiOperation, day: date, limit: int) -> bool:
        """Count a call that is about to be made; return whether the limit allows it."""
        with self._locked():
            calls = self._read(day)
            made = calls.get(operation.name, 0)
            if made >= limit:
                return False
            self._write(day, {**calls, operation.name: made + 1})
        return True

    def _read(self, day: date) -> dict[str, int]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["day"] != day.isoformat():
                return {}
            return {str(name): int(calls) for name, calls in found["calls"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise spool_error(error) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}  # cut by a full disk: Demandbase's own count is what holds in the end

    def _write(self, day: date, calls: dict[str, int]) -> None:
        write_atomically(self._path, json.dumps({"day": day.isoformat(), "calls": calls}))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock"), timeout=_LOCK_SECONDS):
                yield
        except OSError as error:
            raise spool_error(error) from error
