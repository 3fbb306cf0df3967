"""The published API: its routes, and the answers to what no operation takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response  # noqa: TC002 - FastAPI resolves annotations
from starlette.exceptions import HTTPException

from demandbase_sandbox.admin_routes import admin_routes
from demandbase_sandbox.answering import Answering
from demandbase_sandbox.refusal import RefusalError, bad_request, not_found
from demandbase_sandbox.uapi.activity_routes import activity_routes
from demandbase_sandbox.uapi.auth_routes import auth_routes
from demandbase_sandbox.uapi.body_problems import refusal_of
from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.export_routes import export_routes
from demandbase_sandbox.uapi.guard import TokenGuard
from demandbase_sandbox.uapi.import_routes import import_routes
from demandbase_sandbox.uapi.operations import EXPORT_PREFIX
from demandbase_sandbox.uapi.query_members import known_query
from demandbase_sandbox.uapi.reference_data import reference_routes
from demandbase_sandbox.uapi.style import UapiStyle

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request

    from demandbase_sandbox.connections import Connections
    from demandbase_sandbox.tenant import Tenant


def create_uapi(tenant: Tenant, files_url: Callable[[], str], connections: Connections) -> FastAPI:
    """Return the published API of a tenant.

    Paths are taken as they are published, case included; a path or method that is not
    published is 404.

    Args:
        tenant: Whose data it serves.
        files_url: Gives the address of the host behind signed links.
        connections: Where connections can be closed without an answer.
    """
    api = FastAPI(
        title="Demandbase sandbox (uapi)", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    style = UapiStyle(tenant.calls, tenant.options.max_concurrent_queries)
    answering = Answering(tenant, connections, style)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answering.refuse(request, refusal_of(request.url.path, error.errors()))

    @api.exception_handler(HTTPException)
    async def impossible(request: Request, error: HTTPException) -> Response:
        return answering.refuse(request, _impossible(request.url.path, error.status_code))

    @api.exception_handler(RefusalError)
    async def refused(request: Request, error: RefusalError) -> Response:
        return answering.refuse(request, error)

    api.add_middleware(TokenGuard, tokens=tenant.tokens, answering=answering, style=style)
    for routes in (
        auth_routes(tenant, answering),
        export_routes(tenant, answering, files_url),
        reference_routes(answering),
        import_routes(tenant, answering),
        activity_routes(tenant, answering),
    ):
        api.include_router(routes, dependencies=[Depends(known_query)])
    api.include_router(admin_routes(tenant))
    return api


def _impossible(path: str, status: int) -> RefusalError:
    is_export = path.startswith(f"{EXPORT_PREFIX}/")
    if status == 400:  # noqa: PLR2004 - of bodies in no encoding of JSON
        return coded("400-102") if is_export else bad_request("the body is no JSON")
    return coded("404-301") if is_export else not_found("there is no such resource")
