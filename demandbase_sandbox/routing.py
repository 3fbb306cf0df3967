"""What every operation has in common: faults before and after it, and the record of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from fastapi.responses import JSONResponse, Response

from demandbase_sandbox.connections import DroppedResponse, StalledResponse
from demandbase_sandbox.exceptions import RefusalError
from demandbase_sandbox.faults import Effect, Fault
from demandbase_sandbox.operations import operation_of
from demandbase_sandbox.recorder import NOTED_HEADERS, SeenRequest
from demandbase_sandbox.uapi.errors import coded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

    from demandbase_sandbox.connections import Connections
    from demandbase_sandbox.tenant.tenant import Tenant


class ApiStyle(Protocol):
    """One of the APIs."""

    @property
    def name(self) -> str:
        """What it is called in the record of requests and in a fault's ``match``."""

    @property
    def sends_null(self) -> bool:
        """Whether members without a value are sent as null instead of left out."""

    def operation_of(self, method: str, path: str) -> str:
        """Return the id of the operation that a request is meant for, or an empty text."""

    def admission(self, operation: str) -> AbstractContextManager[None]:
        """Count a call; the context lasts as long as the call is worked on.

        Raises:
            RefusalError: There have been too many.
        """

    def refusal(self, path: str, refusal: RefusalError) -> Response:
        """Return the answer that says no."""


class V1Style:
    """The v1 API: an object with a sentence, and no limit on calls."""

    name = "v1"
    sends_null = False

    def operation_of(self, method: str, path: str) -> str:
        """Return the id of the operation that a request is meant for, or an empty text."""
        return operation_of(method, path)

    def admission(self, operation: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Let everybody in."""
        return nullcontext()

    def refusal(self, path: str, refusal: RefusalError) -> Response:  # noqa: ARG002
        """Return the answer that says no."""
        return JSONResponse({"error": refusal.sentence}, refusal.status)


_EFFECTS = (
    Effect.STATUS, Effect.DROP_BEFORE, Effect.DROP_AFTER, Effect.DELAY, Effect.STALL,
    Effect.ALTER, Effect.SHIFT, Effect.INVALID_JSON,
)  # fmt: skip


Answer = dict[str, Any] | list[Any] | Response

Work = Callable[[], Answer]


class ForgottenError(Exception):
    """The tenant was reset while a request was delayed: it has no answer any more."""


class Answering:
    """Runs operations for a tenant.

    Args:
        tenant: Whose operations.
        connections: Where connections can be closed without an answer.
        style: The API that they belong to; v1 where absent.
    """

    def __init__(
        self, tenant: Tenant, connections: Connections, style: ApiStyle | None = None
    ) -> None:
        self._tenant = tenant
        self._connections = connections
        self._style: ApiStyle = style or V1Style()

    def answer(
        self,
        request: Request,
        work: Work,
        *,
        status: int = 200,
        facts: Mapping[str, Any] | None = None,
        body: Any = None,  # noqa: ANN401
    ) -> Response:
        """Do an operation's work, with the faults that strike it, and note it."""
        operation = self._style.operation_of(request.method, request.url.path)
        try:
            with self._style.admission(operation):
                response = self._struck(request, work, status, facts or {})
        except RefusalError as refusal:
            response = self._style.refusal(request.url.path, refusal)
        except ForgottenError:
            return DroppedResponse(self._connections)
        self.note(
            request, 0 if isinstance(response, DroppedResponse) else response.status_code, body
        )
        return response

    def _struck(
        self, request: Request, work: Work, status: int, facts: Mapping[str, Any]
    ) -> Response:
        operation = self._style.operation_of(request.method, request.url.path)
        known = {**facts, "api": self._style.name}
        hits = self._tenant.faults.hits(operation, known, *_EFFECTS)
        if Effect.DELAY in hits and not self._tenant.delay(hits[Effect.DELAY].seconds):
            raise ForgottenError
        if Effect.DROP_BEFORE in hits:
            return DroppedResponse(self._connections)
        if Effect.STATUS in hits:
            response = self._scripted(request.url.path, hits[Effect.STATUS])
        else:
            response = self._work(request.url.path, work, status, hits)
        if Effect.DROP_AFTER in hits:
            return DroppedResponse(self._connections)
        stall = hits.get(Effect.STALL)
        if stall is not None:
            return StalledResponse(response, self._connections, stall.bytes, stall.seconds)
        return response

    def _work(self, path: str, work: Work, status: int, hits: Mapping[Effect, Fault]) -> Response:
        try:
            with self._tenant.store.lock:
                self._tenant.settle()
                result = work()
        except RefusalError as refusal:
            return self._style.refusal(path, refusal)
        if isinstance(result, Response):
            return result
        if Effect.SHIFT in hits:
            _shift(result, hits[Effect.SHIFT].members)
        if isinstance(result, dict):
            if Effect.ALTER in hits:
                result = _altered(result, hits[Effect.ALTER].members)
            if not self._style.sends_null:
                result = {name: value for name, value in result.items() if value is not None}
        response = JSONResponse(result, status)
        if Effect.INVALID_JSON in hits:
            half = bytes(response.body)[: len(response.body) // 2]
            return Response(half, status, media_type="application/json")
        return response

    def _scripted(self, path: str, fault: Fault) -> Response:
        if fault.code:
            return self._style.refusal(path, coded(fault.code))
        kind = "application/json" if fault.body.startswith("{") else "text/plain"
        return Response(fault.body, fault.status, dict(fault.headers), media_type=kind)

    def refuse(self, request: Request, refusal: RefusalError) -> Response:
        """Note, count and refuse what never came to its operation's work."""
        operation = self._style.operation_of(request.method, request.url.path)
        try:
            with self._style.admission(operation):
                pass
        except RefusalError as other:
            refusal = other
        self.note(request, refusal.status)
        return self._style.refusal(request.url.path, refusal)

    def note(self, request: Request, status: int, body: Any = None) -> None:  # noqa: ANN401
        """Put a request on the record."""
        self._tenant.recorder.add(
            SeenRequest(
                operation=self._style.operation_of(request.method, request.url.path),
                method=request.method,
                path=request.url.path,
                status=status,
                authorized="Authorization" in request.headers,
                query=dict(request.query_params),
                headers={
                    name: request.headers[name] for name in NOTED_HEADERS if name in request.headers
                },
                body=body,
                api=self._style.name,
            )
        )


def _shift(result: dict[str, Any] | list[Any], members: Mapping[str, Any]) -> None:
    lists = [result] if isinstance(result, list) else [*result.values()]
    listed = [item for value in lists if isinstance(value, list) for item in value]
    for holder in [result, *listed]:
        if not isinstance(holder, dict):
            continue
        for name, by in members.items():
            if name in holder:
                holder[name] += by


def _altered(result: dict[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    changed = {**result, **members}
    taken_out = {name for name, value in members.items() if value is None}
    return {name: value for name, value in changed.items() if name not in taken_out}


def public(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the API shows it."""
    return {name: value for name, value in job.items() if not name.startswith("_")}
