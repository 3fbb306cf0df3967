"""The token endpoint."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from demandbase_sandbox.exceptions import ApiError, bad_request
from demandbase_sandbox.models import Text
from demandbase_sandbox.operations import TOKEN_PATH
from demandbase_sandbox.routing import CurrentCall, SandboxRouter
from demandbase_sandbox.uapi.schemas import CamelBody, CamelDocument, published_query

GRANT_TYPE = "client_credentials"

router = SandboxRouter(dependencies=[published_query])


class TokenRequest(CamelBody):
    """Request of a token."""

    grant_type: Text
    client_id: Text
    client_secret: Text

    @override
    def members(self) -> dict[str, Any]:
        """Return nothing, so that credentials are not recorded."""
        return {}


class TokenDocument(CamelDocument):
    """An issued token; ``expiresIn`` is in seconds."""

    access_token: str
    token_type: str
    expires_in: int


@router.post(
    TOKEN_PATH,
    operation_id="createToken",
    responses={400: {"description": "Parameters are missing or wrong"}},
)
def create_token(call: CurrentCall, body: TokenRequest) -> TokenDocument:
    """Mint a token for the tenant's credentials."""
    tokens, options = call.tenant.tokens, call.tenant.options
    if body.grant_type != GRANT_TYPE:
        raise bad_request(f"grantType is {GRANT_TYPE}")
    if not tokens.accepts_credentials(body.client_id, body.client_secret):
        raise ApiError(options.wrong_credentials_status, "wrong credentials")
    return TokenDocument(
        access_token=tokens.issue(),
        token_type="bearer",  # noqa: S106 - a kind of token
        expires_in=int(options.token_seconds),
    )
