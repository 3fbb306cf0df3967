"""The v1 API as an ASGI application."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from demandbase_sandbox.admin import router as admin
from demandbase_sandbox.exceptions import RefusalError, bad_request, sentence_of
from demandbase_sandbox.operations import V1_OPERATIONS
from demandbase_sandbox.routing import Api, Call, create_app
from demandbase_sandbox.v1.routes import exports, imports

_UNAUTHORIZED = 401


class V1Api(Api):
    """An error is an object with a sentence; calls are not limited."""

    name = "v1"
    title = "Demandbase sandbox"
    operations = V1_OPERATIONS

    @contextmanager
    def admission(self, call: Call) -> Iterator[None]:
        """Check the token."""
        expected = f"Bearer {call.tenant.options.token}".encode()
        given = call.request.headers.get("Authorization", "").encode()
        if call.path not in self.open_paths and not hmac.compare_digest(given, expected):
            raise RefusalError(_UNAUTHORIZED, "missing or wrong bearer token")
        yield

    def error_response(self, path: str, refusal: RefusalError) -> Response:  # noqa: ARG002
        """Return the error document."""
        challenge = {"WWW-Authenticate": "Bearer"} if refusal.status == _UNAUTHORIZED else None
        return JSONResponse({"error": refusal.sentence}, refusal.status, challenge)

    def invalid(self, path: str, problems: Sequence[Any]) -> RefusalError:  # noqa: ARG002
        """Return a 400 that names the members."""
        return bad_request(sentence_of(problems))

    def impossible(self, path: str, error: HTTPException) -> RefusalError:  # noqa: ARG002
        """Return the error as Starlette has it."""
        return RefusalError(error.status_code, str(error.detail))

    def facts(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return nothing: a request's members are the tenant's words."""
        return {}


@functools.cache
def v1_app() -> FastAPI:
    """Return the application."""
    return create_app(V1Api(), [exports, imports, admin])
