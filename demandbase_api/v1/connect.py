"""The adapters of the v1 API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.http.client import HttpClient
from demandbase_api.http.server_clock import ServerClock
from demandbase_api.ports import Apis
from demandbase_api.v1.exports import V1ExportApi
from demandbase_api.v1.imports import V1ImportApi

if TYPE_CHECKING:
    from demandbase_api.clock import Clock
    from demandbase_api.connection import Connection


def connect_v1(connection: Connection, clock: Clock) -> Apis:
    """Return the ports of the v1 API. Sends nothing.

    Args:
        connection: Address and credentials.
        clock: Time.

    Raises:
        ConfigurationError: The connection has no access token.
    """
    http = HttpClient(connection, server_clock=ServerClock(clock))
    return Apis(V1ExportApi(http), V1ImportApi(http), http.calls, http.observers)
