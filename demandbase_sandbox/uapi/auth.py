"""The token endpoint."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from demandbase_sandbox.exceptions import RefusalError, bad_request
from demandbase_sandbox.operations import TOKEN_PATH
from demandbase_sandbox.routing import CurrentCall, SandboxRouter
from demandbase_sandbox.uapi.schemas import Body, Document, published_query
from demandbase_sandbox.v1.schemas import Text

GRANT = "client_credentials"

router = SandboxRouter(dependencies=[published_query])


class TokenRequest(Body):
    """What a token is asked for with."""

    grant_type: Text
    client_id: Text
    client_secret: Text

    @override
    def asked(self) -> dict[str, Any]:
        """Return nothing: credentials are not recorded."""
        return {}


class TokenDocument(Document):
    """A token; ``expiresIn`` is in seconds."""

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
    if body.grant_type != GRANT:
        raise bad_request(f"grantType is {GRANT}")
    if not tokens.knows(body.client_id, body.client_secret):
        raise RefusalError(options.wrong_credentials_status, "wrong credentials")
    return TokenDocument(
        access_token=tokens.mint(),
        token_type="bearer",  # noqa: S106 - a kind of token
        expires_in=int(options.token_seconds),
    )
