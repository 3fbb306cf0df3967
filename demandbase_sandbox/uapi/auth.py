"""The token endpoint."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from typing_extensions import override

from demandbase_sandbox.exceptions import RefusalError, bad_request
from demandbase_sandbox.operations import TOKEN_PATH
from demandbase_sandbox.routing import CurrentCall, SandboxRouter
from demandbase_sandbox.uapi.schemas import published_query
from demandbase_sandbox.v1.schemas import Strict, Text

GRANT = "client_credentials"

router = SandboxRouter(dependencies=[published_query])


class TokenRequest(Strict):
    """What a token is asked for with."""

    grantType: Text  # noqa: N815 - the published name, here and below
    clientId: Text  # noqa: N815
    clientSecret: Text  # noqa: N815

    @override
    def asked(self) -> dict[str, Any]:
        """Return nothing: credentials are not recorded."""
        return {}


class TokenDocument(BaseModel):
    """A token; ``expiresIn`` is in seconds."""

    accessToken: str  # noqa: N815
    tokenType: str  # noqa: N815
    expiresIn: int  # noqa: N815


@router.post(
    TOKEN_PATH,
    operation_id="createToken",
    response_model=TokenDocument,
    responses={400: {"description": "Parameters are missing or wrong"}},
)
def create_token(call: CurrentCall, body: TokenRequest) -> dict[str, Any]:
    """Mint a token for the tenant's credentials."""
    tokens, options = call.tenant.tokens, call.tenant.options
    if body.grantType != GRANT:
        raise bad_request(f"grantType is {GRANT}")
    if not tokens.knows(body.clientId, body.clientSecret):
        raise RefusalError(options.wrong_credentials_status, "wrong credentials")
    return {
        "accessToken": tokens.mint(),
        "tokenType": "bearer",
        "expiresIn": int(options.token_seconds),
    }
