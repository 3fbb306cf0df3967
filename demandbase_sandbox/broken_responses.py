"""Answers that are none, or not whole."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from fastapi.responses import Response
from typing_extensions import override

from demandbase_sandbox.connections import gone

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from demandbase_sandbox.connections import Connections


class DroppedResponse(Response):
    """Closes the connection without a word."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._connections.drop(scope, receive)


class StalledResponse(Response):
    """Sends the beginning of another answer, then nothing until the time is up.

    Args:
        whole: The answer.
        connections: Where to close the connection in the end.
        count: Bytes of the body that are sent.
        seconds: How long nothing follows.
    """

    def __init__(
        self, whole: Response, connections: Connections, count: int, seconds: float
    ) -> None:
        super().__init__(whole.body, whole.status_code)
        self.raw_headers = whole.raw_headers
        self._connections = connections
        self._count = count
        self._seconds = seconds

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        begun = bytes(self.body)[: self._count]
        await send({"type": "http.response.body", "body": begun, "more_body": True})
        with suppress(TimeoutError):
            await asyncio.wait_for(gone(receive), self._seconds)
            return
        await self._connections.drop(scope, receive)
