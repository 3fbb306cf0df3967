"""Drops and stalls connections, which a server that follows HTTP never does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import Message, Receive, Scope, Send
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from demandbase_sandbox.faults import Fault


async def drop(scope: Scope, receive: Receive) -> None:
    """Close the connection of a request; return when it is closed."""
    ends = (scope["client"], scope["server"])
    connections: Collection[H11Protocol] = scope["state"]["connections"]
    for connection in tuple(connections):
        if (connection.client, connection.server) == ends:
            connection.transport.abort()
    await _wait_for_disconnect(receive)


def drop_all(connections: Collection[H11Protocol]) -> None:
    """Close all connections. Thread-safe."""
    for connection in tuple(connections):
        connection.loop.call_soon_threadsafe(connection.transport.abort)


async def stall(body: Message, scope: Scope, receive: Receive, send: Send, fault: Fault) -> None:
    """Send the first bytes of a body, nothing for some seconds, then close the connection."""
    await send({**body, "body": body["body"][: fault.bytes], "more_body": True})
    with suppress(TimeoutError):
        await asyncio.wait_for(_wait_for_disconnect(receive), fault.seconds)
        return
    await drop(scope, receive)


async def drip(body: Message, receive: Receive, send: Send, fault: Fault) -> None:
    """Send a body in pieces with pauses between them."""
    content, step = body["body"], max(1, fault.bytes)
    gone = asyncio.ensure_future(_wait_for_disconnect(receive))
    for start in range(0, len(content), step):
        await send({**body, "body": content[start : start + step], "more_body": True})
        await asyncio.wait({gone}, timeout=fault.seconds)
        if gone.done():
            return
    gone.cancel()
    await send({**body, "body": b"", "more_body": False})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
