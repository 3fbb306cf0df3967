"""The v1 API as an ASGI application."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from demandbase_sandbox.admin import router as admin
from demandbase_sandbox.exceptions import ApiError, bad_request, describe_problems
from demandbase_sandbox.operations import V1_OPERATIONS
from demandbase_sandbox.routing import Api, Call, create_app
from demandbase_sandbox.v1.routes import exports, imports

_UNAUTHORIZED = 401


class V1Api(Api):
    """The v1 API: one static token, no limits on calls, an error is ``{"error": message}``."""

    name = "v1"
    title = "Demandbase sandbox"
    operations = V1_OPERATIONS

    @contextmanager
    def admission(self, call: Call) -> Iterator[None]:
        """Check the token."""
        expected = f"Bearer {call.tenant.options.token}".encode()
        given = call.request.headers.get("Authorization", "").encode()
        if call.path not in self.open_paths and not hmac.compare_digest(given, expected):
            raise ApiError(_UNAUTHORIZED, "missing or wrong bearer token")
        yield

    def error_response(self, path: str, error: ApiError) -> Response:  # noqa: ARG002
        """Return the error document."""
        challenge = {"WWW-Authenticate": "Bearer"} if error.status == _UNAUTHORIZED else None
        return JSONResponse({"error": error.message}, error.status, challenge)

    def validation_error(self, path: str, problems: Sequence[Any]) -> ApiError:  # noqa: ARG002
        """Return a 400 that names the members."""
        return bad_request(describe_problems(problems))

    def http_error(self, path: str, error: HTTPException) -> ApiError:  # noqa: ARG002
        """Return the status and detail that Starlette chose."""
        return ApiError(error.status_code, str(error.detail))


@functools.cache
def v1_app() -> FastAPI:
    """Return the application."""
    return create_app(V1Api(), [exports, imports, admin])
