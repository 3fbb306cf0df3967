"""Limits on calls: a daily budget for each operation, and calls at a time."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demandbase_sandbox.exceptions import ApiError
from demandbase_sandbox.operations import DAILY_CALLS, EXPORT_OPERATIONS
from demandbase_sandbox.uapi.errors import coded_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.options import SandboxOptions


SHARED = {
    "fetchAccountListJob": "createExportJob",
    "fetchPersonListJob": "createExportJob",
    "listActivityTypes": "listImportSources",
    "createActivityType": "listImportSources",
    "getActivityType": "listImportSources",
    "updateActivityType": "listImportSources",
}
"""Operations that share the budget of another one.

That jobs for lists share the budget of export jobs is not published; it is the stricter reading.
Reference data and tokens have no published limit.
"""


class CallLimits:
    """Counts calls by UTC day, and calls at a time. Thread-safe.

    Every call with a valid token counts, also one that is rejected.
    """

    def __init__(self, clock: SandboxClock, options: SandboxOptions) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._options = options
        self._limits = {**DAILY_CALLS, **options.call_budgets}
        self._calls: Counter[tuple[str, str]] = Counter()
        self._queries = 0

    @contextmanager
    def admission(self, operation: str) -> Iterator[None]:
        """Count a call. A call of the export API is in progress until the context ends.

        Raises:
            ApiError: The day's budget is used up, or too many calls are in progress.
        """
        counts = operation in EXPORT_OPERATIONS
        most = self._options.max_concurrent_queries
        with self._lock:
            self._queries += counts
            is_one_too_many = counts and most is not None and self._queries > most
        try:
            self._spend(operation)
            if is_one_too_many:
                raise coded_error("429-100")
            yield
        finally:
            with self._lock:
                self._queries -= counts

    def _spend(self, operation: str) -> None:
        name = SHARED.get(operation, operation)
        today = self._today()
        with self._lock:
            self._calls[today, operation] += 1
            spent = sum(self._calls[today, other] for other in (name, *_sharing(name)))
        if spent > self._limits.get(name, spent):
            sentence = f"Daily limit of {self._limits[name]} requests exceeded."
            raise ApiError(429, sentence, self._options.budget_error_code)

    def by_day(self) -> dict[str, dict[str, int]]:
        """Return the calls by day (``YYYY-MM-DD``) and operation."""
        days: dict[str, dict[str, int]] = {}
        with self._lock:
            for (day, operation), count in sorted(self._calls.items()):
                days.setdefault(day, {})[operation] = count
        return days

    def today(self) -> dict[str, int]:
        """Return today's calls by operation."""
        return self.by_day().get(self._today(), {})

    def clear(self) -> None:
        """Reset all counts."""
        with self._lock:
            self._calls.clear()

    def _today(self) -> str:
        return self._clock.now().date().isoformat()


def _sharing(name: str) -> tuple[str, ...]:
    return tuple(operation for operation, budget in SHARED.items() if budget == name)
