"""The HTTP API: its routes, and the answers to what no operation takes."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import (
    JSONResponse,
    Response,
)
from starlette.exceptions import HTTPException

from demandbase_sandbox.admin import admin_routes
from demandbase_sandbox.exceptions import RefusalError, bad_request, sentence_of
from demandbase_sandbox.routing import Answering
from demandbase_sandbox.v1.routes import export_routes, import_routes

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from demandbase_sandbox.connections import Connections
    from demandbase_sandbox.tenant.tenant import Tenant


OPEN_PATHS = frozenset({"/openapi.json"})


class Authorization:
    """Middleware that answers 401 unless a request carries the token.

    Args:
        app: What is behind it.
        token: The token.
        refused: Is told of each request that is turned away.
    """

    def __init__(self, app: ASGIApp, token: str, refused: Callable[[Request], None]) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            request = Request(scope)
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, self._expected):
                self._refused(request)
                answer = JSONResponse(
                    {"error": "missing or wrong bearer token"},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_api(tenant: Tenant, files_url: Callable[[], str], connections: Connections) -> FastAPI:
    """Return the API of a tenant.

    Args:
        tenant: Whose data it serves.
        files_url: Gives the address of the host behind signed links.
        connections: Where connections can be closed without an answer.
    """
    api = FastAPI(title="Demandbase sandbox", docs_url=None, redoc_url=None)
    answering = Answering(tenant, connections)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answering.refuse(request, bad_request(sentence_of(error.errors())))

    @api.exception_handler(HTTPException)
    async def impossible(request: Request, error: HTTPException) -> Response:
        return answering.refuse(request, RefusalError(error.status_code, str(error.detail)))

    @api.exception_handler(RefusalError)
    async def refused(request: Request, error: RefusalError) -> Response:
        return answering.refuse(request, error)

    api.add_middleware(
        Authorization,
        token=tenant.options.token,
        refused=lambda request: answering.note(request, 401),
    )
    api.include_router(export_routes(tenant, answering, files_url))
    api.include_router(import_routes(tenant, answering))
    api.include_router(admin_routes(tenant))
    return api
