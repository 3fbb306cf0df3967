"""Lets nobody in without a valid token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.operations import TOKEN_PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from demandbase_sandbox.answering import Answering
    from demandbase_sandbox.uapi.style import UapiStyle
    from demandbase_sandbox.uapi.tokens import TokenBook

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
