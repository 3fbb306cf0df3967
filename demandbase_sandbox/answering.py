"""What every operation has in common: faults before and after it, and the record of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse, Response
from typing_extensions import override

from demandbase_sandbox.faults import Effect
from demandbase_sandbox.recorder import SeenRequest
from demandbase_sandbox.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import Request
    from starlette.types import Receive, Scope, Send

    from demandbase_sandbox.tenant import Tenant


class BrokenResponse(Response):
    """Breaks the connection: announces a body that never comes."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"999")],
            }
        )


class Answering:
    """Runs operations for a tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def answer(  # noqa: PLR0913
        self,
        request: Request,
        operation: str,
        work: Callable[[], dict[str, Any] | Response],
        *,
        status: int = 200,
        facts: Mapping[str, Any] | None = None,
        body: Any = None,  # noqa: ANN401
    ) -> Response:
        """Do an operation's work, with the faults that strike it, and note it."""
        facts = facts or {}
        hits = {
            fault.effect: fault
            for fault in self._tenant.faults.hits(
                operation,
                facts,
                Effect.STATUS,
                Effect.DROP_BEFORE,
                Effect.DROP_AFTER,
                Effect.DELAY,
                Effect.ALTER,
                Effect.SHIFT,
            )
        }
        if Effect.DELAY in hits:
            time.sleep(hits[Effect.DELAY].seconds)
        if Effect.DROP_BEFORE in hits:
            return self._note(request, operation, BrokenResponse(), body)
        if Effect.STATUS in hits:
            fault = hits[Effect.STATUS]
            kind = "application/json" if fault.body.startswith("{") else "text/plain"
            refusal = Response(fault.body, fault.status, dict(fault.headers), media_type=kind)
            return self._note(request, operation, refusal, body)
        response = self._work(work, status, hits)
        if Effect.DROP_AFTER in hits:
            response = BrokenResponse()
        return self._note(request, operation, response, body)

    def _work(
        self,
        work: Callable[[], dict[str, Any] | Response],
        status: int,
        hits: Mapping[Effect, Any],
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
            for name, by in hits[Effect.SHIFT].members.items():
                if name in result:
                    result[name] += by
        if Effect.ALTER in hits:
            result = {**result, **hits[Effect.ALTER].members}
        return JSONResponse(
            {name: value for name, value in result.items() if value is not None}, status
        )

    def _note(self, request: Request, operation: str, response: Response, body: Any) -> Response:  # noqa: ANN401
        broken = isinstance(response, BrokenResponse)
        self.note(request, operation, 0 if broken else response.status_code, body)
        return response

    def note(self, request: Request, operation: str, status: int, body: Any = None) -> None:  # noqa: ANN401
        """Put a request on the record."""
        self._tenant.recorder.add(
            SeenRequest(
                operation=operation,
                method=request.method,
                path=request.url.path,
                status=status,
                authorized="Authorization" in request.headers,
                query=dict(request.query_params),
                headers={
                    name: request.headers[name]
                    for name in ("User-Agent", "Content-Type", "Range", "If-Range")
                    if name in request.headers
                },
                body=body,
            )
        )


def public(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the API shows it."""
    return {name: value for name, value in job.items() if not name.startswith("_")}
