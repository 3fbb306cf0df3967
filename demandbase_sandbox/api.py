"""The HTTP API: its routes, and the answers to what no operation takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response  # noqa: TC002 - FastAPI resolves annotations
from starlette.exceptions import HTTPException

from demandbase_sandbox.admin_routes import admin_routes
from demandbase_sandbox.answering import Answering
from demandbase_sandbox.authorization import Authorization
from demandbase_sandbox.export_routes import export_routes
from demandbase_sandbox.import_routes import import_routes
from demandbase_sandbox.refusal import RefusalError, bad_request, sentence_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request

    from demandbase_sandbox.connections import Connections
    from demandbase_sandbox.tenant import Tenant


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
