"""The API's open connections, so that one can be closed without an answer."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fastapi.responses import Response
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Receive, Scope, Send


Address = tuple[str, int]

Ends = tuple[Address, Address]


class Connections:
    """Open connections by the addresses of both ends, which are unique while one is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Ends, tuple[asyncio.AbstractEventLoop, Any]] = {}

    def opened(self, loop: asyncio.AbstractEventLoop, transport: asyncio.BaseTransport) -> None:
        """Note a connection."""
        with self._lock:
            self._open[_ends(transport)] = (loop, transport)

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection."""
        with self._lock:
            self._open.pop(_ends(transport), None)

    async def drop(self, scope: Scope, receive: Receive) -> None:
        """Close the connection of a request and return when it is closed."""
        with self._lock:
            ends = (tuple(scope["client"]), tuple(scope["server"]))
            _, transport = self._open.get(ends, (None, None))
        if transport is not None:
            transport.abort()
        await gone(receive)

    def drop_all(self) -> None:
        """Close what is open, from any thread."""
        with self._lock:
            connections = list(self._open.values())
        for loop, transport in connections:
            loop.call_soon_threadsafe(transport.abort)

    def protocol(self) -> type[H11Protocol]:
        """Return uvicorn's protocol, made to tell of its connections."""
        connections = self

        class NotedProtocol(H11Protocol):
            @override
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                connections.opened(self.loop, transport)
                super().connection_made(transport)

            @override
            def connection_lost(self, exc: Exception | None) -> None:
                connections.closed(self.transport)
                super().connection_lost(exc)

        return NotedProtocol


async def gone(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _ends(transport: asyncio.BaseTransport) -> Ends:
    return _address(transport, "peername"), _address(transport, "sockname")


def _address(transport: asyncio.BaseTransport, end: str) -> Address:
    host, port = transport.get_extra_info(end)[:2]
    return str(host), int(port)


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
