"""The HTTP API: authorization, and the answers to what no operation takes."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from demandbase_sandbox.admin_routes import admin_routes
from demandbase_sandbox.answering import Answering
from demandbase_sandbox.export_routes import export_routes
from demandbase_sandbox.import_routes import import_routes
from demandbase_sandbox.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import Request

    from demandbase_sandbox.tenant import Tenant

OPEN_PATHS = frozenset({"/openapi.json"})


def create_api(tenant: Tenant, files_url: Callable[[], str]) -> FastAPI:
    """Return the API of a tenant.

    Args:
        tenant: Whose data it serves.
        files_url: Gives the address of the host behind signed links.
    """
    api = FastAPI(title="Demandbase sandbox", docs_url=None, redoc_url=None)
    answering = Answering(tenant)
    expected = f"Bearer {tenant.options.token}".encode()

    @api.middleware("http")
    async def authorize(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        given = request.headers.get("Authorization", "").encode()
        if request.url.path not in OPEN_PATHS and not hmac.compare_digest(given, expected):
            answering.note(request, "", 401)
            return JSONResponse({"error": "missing or wrong bearer token"}, 401)
        return await call_next(request)

    @api.exception_handler(RefusalError)
    async def refused(_request: Request, refusal: RefusalError) -> Response:
        return JSONResponse({"error": refusal.sentence}, refusal.status)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        places = sorted({".".join(str(step) for step in item["loc"]) for item in error.errors()})
        answering.note(request, "", 400)
        return JSONResponse({"error": f"invalid: {', '.join(places)}"}, 400)

    api.include_router(export_routes(tenant, answering, files_url))
    api.include_router(import_routes(tenant, answering))
    api.include_router(admin_routes(tenant))
    return api
