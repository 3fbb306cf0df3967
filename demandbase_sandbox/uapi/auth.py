"""The token endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from demandbase_sandbox.exceptions import RefusalError, bad_request
from demandbase_sandbox.operations import TOKEN_PATH
from demandbase_sandbox.uapi.errors import coded
from demandbase_sandbox.v1.schemas import Strict, Text

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from demandbase_sandbox.routing import Answering
    from demandbase_sandbox.tenant.tenant import Tenant
    from demandbase_sandbox.uapi.errors import UapiStyle
    from demandbase_sandbox.uapi.tokens import TokenBook


GRANT = "client_credentials"


class TokenRequest(Strict):
    """What a token is asked for with."""

    grantType: Text  # noqa: N815 - the published name, here and below
    clientId: Text  # noqa: N815
    clientSecret: Text  # noqa: N815


class TokenDocument(BaseModel):
    """A token; ``expiresIn`` is in seconds."""

    accessToken: str  # noqa: N815
    tokenType: str  # noqa: N815
    expiresIn: int  # noqa: N815


def auth_routes(tenant: Tenant, answering: Answering) -> APIRouter:
    """Return the route that mints a tenant's tokens."""
    router = APIRouter()

    @router.post(
        TOKEN_PATH,
        operation_id="createToken",
        response_model=TokenDocument,
        responses={400: {"description": "Parameters are missing or wrong"}},
    )
    def create(request: Request, body: TokenRequest) -> Response:
        def work() -> dict[str, Any]:
            if body.grantType != GRANT:
                raise bad_request(f"grantType is {GRANT}")
            if not tenant.tokens.knows(body.clientId, body.clientSecret):
                raise RefusalError(tenant.options.wrong_credentials_status, "wrong credentials")
            return {
                "accessToken": tenant.tokens.mint(),
                "tokenType": "bearer",
                "expiresIn": int(tenant.options.token_seconds),
            }

        return answering.answer(request, work)

    return router


OPEN_PATHS = frozenset({"/openapi.json", TOKEN_PATH})

_SCHEME = "Bearer "


class TokenGuard:
    """Middleware that answers 401 unless a request carries a valid token.

    Args:
        app: What is behind it.
        tokens: Says which are valid.
        answering: Notes each request that is turned away.
        style: Says no.
    """

    def __init__(
        self, app: ASGIApp, tokens: TokenBook, answering: Answering, style: UapiStyle
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._answering = answering
        self._style = style

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            request = Request(scope)
            given = request.headers.get("Authorization", "")
            if not given.startswith(_SCHEME) or not self._tokens.accepts(given[len(_SCHEME) :]):
                self._answering.note(request, 401)
                answer = self._style.refusal(scope["path"], coded("401-100"))
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
