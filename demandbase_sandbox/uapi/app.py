"""``uapi`` as an ASGI application."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from demandbase_sandbox.admin import ADMIN_PREFIX
from demandbase_sandbox.admin import router as admin
from demandbase_sandbox.exceptions import ApiError, bad_request, describe_problems, not_found
from demandbase_sandbox.operations import (
    EXPORT_PREFIX,
    IMPORT_PREFIX,
    SOURCES_PREFIX,
    TOKEN_PATH,
    UAPI_OPERATIONS,
)
from demandbase_sandbox.routing import DOCUMENT_PATH, Api, Call, create_app
from demandbase_sandbox.uapi import auth, export_routes, import_routes, source_routes
from demandbase_sandbox.uapi.entities import ENTITY_TYPES, IMPORT_ENTITIES, LIST_JOBS
from demandbase_sandbox.uapi.errors import coded_error

_SCHEME = "Bearer "

_STATUS_ENVELOPE = frozenset({401, 403})

_SOURCE_CODES = {401: "403-000", 500: "500-001"}
"""Codes of the Custom Sources API that do not follow from the status."""

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
"""Codes of members with a wrong type; 400-103 for all others."""


class UapiApi(Api):
    """``uapi``: issued tokens, limits on calls, four shapes of errors.

    Paths are case-sensitive; a path or method that is not published is 404.
    """

    name = "uapi"
    title = "Demandbase sandbox (uapi)"
    operations = UAPI_OPERATIONS
    open_paths = frozenset({DOCUMENT_PATH, TOKEN_PATH})

    @contextmanager
    def admission(self, call: Call) -> Iterator[None]:
        """Check the token, then count the call."""
        if call.path not in self.open_paths:
            given = call.request.headers.get("Authorization", "")
            token = given.removeprefix(_SCHEME)
            if not given.startswith(_SCHEME) or not call.tenant.tokens.accepts(token):
                raise coded_error("401-100")
        if call.path == DOCUMENT_PATH or call.path.startswith(ADMIN_PREFIX):
            yield
            return
        with call.tenant.calls.admission(call.operation):
            yield

    def error_response(self, path: str, error: ApiError) -> Response:
        """Return the error document that the path's API publishes.

        The auth API publishes no shape, so clients can rely on the status alone.
        """
        body: dict[str, Any]
        if _is_export(path):
            body = {
                "errorCode": error.code or str(error.status),
                "errorMessage": error.message,
                "diagnosticCode": uuid.uuid4().hex,
            }
        elif path.startswith(SOURCES_PREFIX):
            body = {
                "error": {
                    "code": _SOURCE_CODES.get(error.status, f"{error.status}-000"),
                    "message": error.message,
                    "diagnosticCode": str(uuid.uuid4()),
                }
            }
        elif path.startswith(f"{IMPORT_PREFIX}/") and error.status in _STATUS_ENVELOPE:
            body = {"status": error.message}
        else:
            body = {"message": error.message}
        return JSONResponse(body, error.status)

    def validation_error(self, path: str, problems: Sequence[Any]) -> ApiError:
        """Return a 400, for exports with the published code."""
        if not _is_export(path):
            return bad_request(describe_problems(problems))
        kind, place = problems[0]["type"], problems[0]["loc"][1:]
        unknown = [item for item in problems if item["type"] == "extra_forbidden"]
        detail = describe_problems(unknown or problems[:1])
        if unknown:
            return coded_error("400-147", detail)
        if not place or kind.startswith("json"):
            return coded_error("400-102")
        if kind == "missing" and place[0] != "jobName":
            return coded_error("400-104", detail)
        return coded_error(_MEMBER_CODES.get(str(place[0]), "400-103"), detail)

    def http_error(self, path: str, error: HTTPException) -> ApiError:
        """Return a 404, or a 400 if the body is not encoded as JSON is."""
        if error.status_code == 400:  # noqa: PLR2004
            return (
                coded_error("400-102") if _is_export(path) else bad_request("the body is not JSON")
            )
        return (
            coded_error("404-301") if _is_export(path) else not_found("there is no such resource")
        )

    def facts(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tenant's entity behind the request's entity type."""
        if (list_entity := LIST_JOBS.get(operation)) is not None:
            return {"entityType": list_entity, "entity_type": f"{list_entity}_members"}
        if "entityType" not in members or "entity_type" in members:
            return {}
        name = members["entityType"]
        export = ENTITY_TYPES.get(name)
        return {"entity_type": export.entity if export else IMPORT_ENTITIES.get(name)}


def _is_export(path: str) -> bool:
    return path.startswith(f"{EXPORT_PREFIX}/")


@functools.cache
def uapi_app() -> FastAPI:
    """Return the application."""
    routers = [
        auth.router,
        export_routes.router,
        import_routes.jobs,
        import_routes.activity_types,
        source_routes.router,
        admin,
    ]
    return create_app(UapiApi(), routers, redirect_slashes=False)
