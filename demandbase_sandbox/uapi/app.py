"""The published API: its routes, and the answers to what no operation takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import (
    Depends,
    FastAPI,
    Request,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from demandbase_sandbox.admin import admin_routes
from demandbase_sandbox.exceptions import RefusalError, bad_request, not_found, sentence_of
from demandbase_sandbox.operations import EXPORT_PREFIX
from demandbase_sandbox.routing import Answering
from demandbase_sandbox.uapi.auth import TokenGuard, auth_routes
from demandbase_sandbox.uapi.errors import UapiStyle, coded
from demandbase_sandbox.uapi.export_routes import export_routes, reference_routes
from demandbase_sandbox.uapi.import_routes import activity_routes, import_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi import Request

    from demandbase_sandbox.connections import Connections
    from demandbase_sandbox.tenant.tenant import Tenant


_MEMBER_CODES = {
    "jobName": "400-126",
    "entityType": "400-127",
    "fromDate": "400-111",
    "toDate": "400-111",
    "format": "400-116",
    "source": "400-138",
    "adReportType": "400-139",
    "accountListId": "400-129",
    "accountListIds": "400-129",
    "personListIds": "400-141",
    "accountIds": "400-148",
}
"""Codes of members that hold a wrong type, by the member; others are 400-103."""


def refusal_of(path: str, problems: Sequence[Any]) -> RefusalError:
    """Return the refusal of a request that is not of its operation's shape."""
    if not path.startswith(f"{EXPORT_PREFIX}/"):
        return bad_request(sentence_of(problems))
    kind, place = problems[0]["type"], problems[0]["loc"][1:]
    unknown = [item for item in problems if item["type"] == "extra_forbidden"]
    detail = sentence_of(unknown or problems[:1])
    if unknown:
        return coded("400-147", detail)
    if not place or kind.startswith("json"):
        return coded("400-102")
    if kind == "missing" and place[0] != "jobName":
        return coded("400-104", detail)
    return coded(_MEMBER_CODES.get(str(place[0]), "400-103"), detail)


def known_query(request: Request) -> None:
    """Refuse parameters that the operation at a path does not publish, compared with their case.

    Published is that only for members of a body, and only for exports; this is the stricter
    reading. A misspelt ``listAction`` would do what the default does, which empties a list.

    Raises:
        RefusalError: 400-147, without a code elsewhere than in exports.
    """
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    if unknown := [name for name in request.query_params if name not in known]:
        names = ", ".join(unknown)
        is_export = request.url.path.startswith(f"{EXPORT_PREFIX}/")
        raise coded("400-147", names) if is_export else bad_request(f"unknown parameter {names}")


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
