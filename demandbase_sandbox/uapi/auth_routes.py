"""The token endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response  # noqa: TC002 - FastAPI resolves annotations
from pydantic import BaseModel

from demandbase_sandbox.documents import Strict, Text
from demandbase_sandbox.refusal import RefusalError, bad_request
from demandbase_sandbox.uapi.operations import TOKEN_PATH

if TYPE_CHECKING:
    from demandbase_sandbox.answering import Answering
    from demandbase_sandbox.tenant import Tenant

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
