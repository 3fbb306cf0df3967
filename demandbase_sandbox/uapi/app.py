"""The published API as an ASGI application."""

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
from demandbase_sandbox.exceptions import RefusalError, bad_request, not_found, sentence_of
from demandbase_sandbox.operations import EXPORT_PREFIX, IMPORT_PREFIX, TOKEN_PATH, UAPI_OPERATIONS
from demandbase_sandbox.routing import DOCUMENT_PATH, Api, Call, create_app
from demandbase_sandbox.uapi import auth, export_routes, import_routes
from demandbase_sandbox.uapi.entities import ENTITY_TYPES, IMPORT_ENTITIES, LIST_JOBS
from demandbase_sandbox.uapi.errors import coded

_SCHEME = "Bearer "

_STATUS_ENVELOPE = frozenset({401, 403})

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


class UapiApi(Api):
    """Three shapes of errors, and limits on calls.

    Paths are taken as they are published, case included; a path or method that is not
    published is 404.
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
                raise coded("401-100")
        if call.path == DOCUMENT_PATH or call.path.startswith(ADMIN_PREFIX):
            yield
            return
        with call.tenant.calls.admission(call.operation):
            yield

    def error_response(self, path: str, refusal: RefusalError) -> Response:
        """Return the error document that the path's API publishes.

        The auth API publishes no shape: a client can rely on the status alone.
        """
        body: dict[str, Any]
        if _is_export(path):
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

    def invalid(self, path: str, problems: Sequence[Any]) -> RefusalError:
        """Return a 400, for exports with the published code."""
        if not _is_export(path):
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

    def impossible(self, path: str, error: HTTPException) -> RefusalError:
        """Return a 404, or a 400 for a body in no encoding of JSON."""
        if error.status_code == 400:  # noqa: PLR2004
            return coded("400-102") if _is_export(path) else bad_request("the body is no JSON")
        return coded("404-301") if _is_export(path) else not_found("there is no such resource")

    def facts(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tenant's name of the entity type that a request names."""
        if (list_entity := LIST_JOBS.get(operation)) is not None:
            return {"entityType": list_entity, "entity_type": f"{list_entity}_members"}
        if "entityType" not in asked or "entity_type" in asked:
            return {}
        name = asked["entityType"]
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
        admin,
    ]
    return create_app(UapiApi(), routers, redirect_slashes=False)
