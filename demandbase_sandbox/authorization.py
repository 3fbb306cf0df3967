"""Lets nobody in without the token."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = frozenset({"/openapi.json"})


class Authorization:
    """Middleware that answers 401 unless a request carries the token.

    Args:
        app: What is behind it.
        token: The token.
        refused: Is told of each request that is turned away.
    """

    def __init__(self, app: ASGIApp, token: str, refused: Callable[[Request], None]) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            request = Request(scope)
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, self._expected):
                self._refused(request)
                answer = JSONResponse(
                    {"error": "missing or wrong bearer token"},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
