"""Closes and stalls the connections of an API, which HTTP's own rules never do."""

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
    """Close the connection of a request without a response; return when it is closed."""
    ends = (scope["client"], scope["server"])
    connections: Collection[H11Protocol] = scope["state"]["connections"]
    for connection in tuple(connections):
        if (connection.client, connection.server) == ends:
            connection.transport.abort()
    await _disconnected(receive)


def drop_all(connections: Collection[H11Protocol]) -> None:
    """Close all connections, from any thread."""
    for connection in tuple(connections):
        connection.loop.call_soon_threadsafe(connection.transport.abort)


async def stall(body: Message, scope: Scope, receive: Receive, send: Send, fault: Fault) -> None:
    """Send the first bytes of a body, then nothing for some seconds; close the connection."""
    await send({**body, "body": body["body"][: fault.bytes], "more_body": True})
    with suppress(TimeoutError):
        await asyncio.wait_for(_disconnected(receive), fault.seconds)
        return
    await drop(scope, receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
