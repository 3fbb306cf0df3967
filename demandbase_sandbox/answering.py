"""What every operation has in common: faults before and after it, and the record of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse, Response

from demandbase_sandbox.broken_responses import DroppedResponse, StalledResponse
from demandbase_sandbox.faults import Effect, Fault
from demandbase_sandbox.operations import operation_of
from demandbase_sandbox.recorder import NOTED_HEADERS, SeenRequest
from demandbase_sandbox.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import Request

    from demandbase_sandbox.connections import Connections
    from demandbase_sandbox.tenant import Tenant

_EFFECTS = (
    Effect.STATUS, Effect.DROP_BEFORE, Effect.DROP_AFTER, Effect.DELAY, Effect.STALL,
    Effect.ALTER, Effect.SHIFT, Effect.INVALID_JSON,
)  # fmt: skip


class Answering:
    """Runs operations for a tenant."""

    def __init__(self, tenant: Tenant, connections: Connections) -> None:
        self._tenant = tenant
        self._connections = connections

    def answer(
        self,
        request: Request,
        work: Callable[[], dict[str, Any] | Response],
        *,
        status: int = 200,
        facts: Mapping[str, Any] | None = None,
        body: Any = None,  # noqa: ANN401
    ) -> Response:
        """Do an operation's work, with the faults that strike it, and note it."""
        operation = operation_of(request.method, request.url.path)
        hits = self._tenant.faults.hits(operation, facts or {}, *_EFFECTS)
        if Effect.DELAY in hits:
            self._tenant.stopping.wait(hits[Effect.DELAY].seconds)
        if Effect.DROP_BEFORE in hits:
            response: Response = DroppedResponse(self._connections)
        elif Effect.STATUS in hits:
            response = _refusal(hits[Effect.STATUS])
        else:
            response = self._work(work, status, hits)
        if Effect.DROP_AFTER in hits:
            response = DroppedResponse(self._connections)
        stall = hits.get(Effect.STALL)
        if stall is not None and not isinstance(response, DroppedResponse):
            response = StalledResponse(response, self._connections, stall.bytes, stall.seconds)
        self.note(
            request, 0 if isinstance(response, DroppedResponse) else response.status_code, body
        )
        return response

    def _work(
        self,
        work: Callable[[], dict[str, Any] | Response],
        status: int,
        hits: Mapping[Effect, Fault],
    ) -> Response:
        try:
            with self._tenant.store.lock:
                self._tenant.settle()
                result = work()
        except RefusalError as refusal:
            return JSONResponse({"error": refusal.sentence}, refusal.status)
        if isinstance(result, Response):
            return result
        if Effect.SHIFT in hits:
            _shift(result, hits[Effect.SHIFT].members)
        if Effect.ALTER in hits:
            result = {**result, **hits[Effect.ALTER].members}
        response = JSONResponse(
            {name: value for name, value in result.items() if value is not None}, status
        )
        if Effect.INVALID_JSON in hits:
            half = bytes(response.body)[: len(response.body) // 2]
            return Response(half, status, media_type="application/json")
        return response

    def refuse(self, request: Request, status: int, sentence: str) -> Response:
        """Note and refuse what never came to its operation's work."""
        self.note(request, status)
        return JSONResponse({"error": sentence}, status)

    def note(self, request: Request, status: int, body: Any = None) -> None:  # noqa: ANN401
        """Put a request on the record."""
        self._tenant.recorder.add(
            SeenRequest(
                operation=operation_of(request.method, request.url.path),
                method=request.method,
                path=request.url.path,
                status=status,
                authorized="Authorization" in request.headers,
                query=dict(request.query_params),
                headers={
                    name: request.headers[name] for name in NOTED_HEADERS if name in request.headers
                },
                body=body,
            )
        )


def _shift(result: dict[str, Any], members: Mapping[str, Any]) -> None:
    listed = [item for value in result.values() if isinstance(value, list) for item in value]
    for holder in [result, *(item for item in listed if isinstance(item, dict))]:
        for name, by in members.items():
            if name in holder:
                holder[name] += by


def _refusal(fault: Fault) -> Response:
    kind = "application/json" if fault.body.startswith("{") else "text/plain"
    return Response(fault.body, fault.status, dict(fault.headers), media_type=kind)


def public(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the API shows it."""
    return {name: value for name, value in job.items() if not name.startswith("_")}
