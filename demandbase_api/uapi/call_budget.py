"""Keeps a day's calls within what the API allows, and says beforehand where they will not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.errors import CallBudgetError
from demandbase_api.operations import ApiOperation
from demandbase_api.uapi.call_limits import CALLS_A_DAY, pause, seconds_left

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from demandbase_api.clock import Clock
    from demandbase_api.uapi.call_ledger import CallLedger

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
            advice="The count starts anew at midnight UTC. Run less often, or "
            + ("send more rows a job." if operation in _LEAST_CALLS_AN_IMPORT else _FEWER_STREAMS),
            retry_after=seconds_left(self._clock.utc()),
        )
