"""How the published API says no, and how it counts calls."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse, Response

from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.operations import (
    EXPORT_OPERATIONS,
    EXPORT_PREFIX,
    IMPORT_PREFIX,
    uapi_operation_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demandbase_sandbox.refusal import RefusalError
    from demandbase_sandbox.uapi.call_budget import CallBudget

_STATUS_ENVELOPE = frozenset({401, 403})


class UapiStyle:
    """The published API.

    Args:
        budget: Counts the day's calls.
        max_queries: How many export calls may be worked on at once; ``None`` for any number.
    """

    name = "uapi"
    sends_null = True

    def __init__(self, budget: CallBudget, max_queries: int | None) -> None:
        self._budget = budget
        self._max_queries = max_queries
        self._queries = 0

    def operation_of(self, method: str, path: str) -> str:
        """Return the id of the operation that a request is meant for, or an empty text."""
        return uapi_operation_of(method, path)

    def admission(self, operation: str) -> AbstractContextManager[None]:
        """Count a call; the context lasts as long as the call is worked on.

        Raises:
            RefusalError: There have been too many today, or there are too many now.
        """
        return self._admission(operation)

    @contextmanager
    def _admission(self, operation: str) -> Iterator[None]:
        counts = int(operation in EXPORT_OPERATIONS)
        with self._budget.lock:
            self._queries += counts
            is_one_too_many = self._max_queries is not None and self._queries > self._max_queries
        try:
            self._budget.spend(operation)
            if counts and is_one_too_many:
                raise coded("429-100")
            yield
        finally:
            with self._budget.lock:
                self._queries -= counts

    def refusal(self, path: str, refusal: RefusalError) -> Response:
        """Return the answer that says no, in the shape that the path's API publishes.

        The auth API publishes no shape: a client can rely on the status alone.
        """
        body: dict[str, Any]
        if path.startswith(f"{EXPORT_PREFIX}/"):
            body = {
                "errorCode": refusal.code or str(refusal.status),
                "errorMessage": refusal.sentence,
                "diagnosticCode": uuid.uuid4().hex,
            }
        elif path.startswith(f"{IMPORT_PREFIX}/") and refusal.status in _STATUS_ENVELOPE:
            body = {"status": refusal.sentence}
        else:
            body = {"message": refusal.sentence}
        return JSONResponse(body, refusal.status)
