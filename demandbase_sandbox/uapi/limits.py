"""Counts the calls of a day and refuses those that are too many."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from demandbase_sandbox.exceptions import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_sandbox.clock import SandboxClock


DAILY_CALLS = {
    "createExportJob": 60,
    "fetchExportJobsInfo": 1200,
    "checkExportJobStatus": 300,
    "fetchFields": 60,
    "createImportJob": 1200,
    "uploadImportFile": 1200,
    "getImportJob": 3600,
    "listImportJobs": 3600,
    "listImportSources": 3600,
}
"""Published limits by the operation under whose name they are counted."""

SHARED = {
    "fetchAccountListJob": "createExportJob",
    "fetchPersonListJob": "createExportJob",
    "listActivityTypes": "listImportSources",
    "createActivityType": "listImportSources",
    "getActivityType": "listImportSources",
    "updateActivityType": "listImportSources",
}
"""Operations that spend another one's budget.

That jobs for lists spend the budget of export jobs is published nowhere; it is the stricter
reading. Reference data and tokens have no published limit.
"""


class CallBudget:
    """Counts calls by UTC day on the sandbox's clock; from any thread.

    Every call with a valid token counts, also one that is refused.

    Args:
        clock: Says which day it is.
        limits: Calls a day in place of the published ones.
        error_code: Code of the refusal. None is published for a day's budget: the shared example
            of a 429 is ``429-100``, and a gateway in front may well know no code at all.
    """

    def __init__(self, clock: SandboxClock, limits: Mapping[str, int], error_code: str) -> None:
        self.lock = threading.Lock()
        self._clock = clock
        self._limits = {**DAILY_CALLS, **limits}
        self._error_code = error_code
        self._calls: Counter[tuple[str, str]] = Counter()

    def spend(self, operation: str) -> None:
        """Count a call.

        Raises:
            RefusalError: The day's budget was used up before it.
        """
        name = SHARED.get(operation, operation)
        with self.lock:
            self._calls[self._today(), operation] += 1
            spent = sum(self._calls[self._today(), other] for other in (name, *_sharing(name)))
            if spent > self._limits.get(name, spent):
                sentence = f"Daily limit of {self._limits[name]} requests exceeded."
                raise RefusalError(429, sentence, self._error_code)

    def by_day(self) -> dict[str, dict[str, int]]:
        """Return the calls of each operation by day (``YYYY-MM-DD``)."""
        days: dict[str, dict[str, int]] = {}
        with self.lock:
            for (day, operation), count in sorted(self._calls.items()):
                days.setdefault(day, {})[operation] = count
        return days

    def today(self) -> dict[str, int]:
        """Return today's calls of each operation that was called."""
        return self.by_day().get(self._today(), {})

    def clear(self) -> None:
        """Forget all calls."""
        with self.lock:
            self._calls.clear()

    def _today(self) -> str:
        return self._clock.now().date().isoformat()


def _sharing(name: str) -> tuple[str, ...]:
    return tuple(operation for operation, budget in SHARED.items() if budget == name)
