"""The choice of the adapters for an API."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.config import Api
from demandbase_api.connection import ApiFiles
from demandbase_api.http.client import HttpClient
from demandbase_api.http.server_clock import ServerClock
from demandbase_api.ports import Apis
from demandbase_api.v1.exports import V1ExportApi
from demandbase_api.v1.imports import V1ImportApi

if TYPE_CHECKING:
    from demandbase_api.connection import Connection


def connect(
    connection: Connection,
    api: Api = Api.V1,
    *,
    files: ApiFiles | None = None,
    clock: Clock | None = None,
) -> Apis:
    """Return the export and the import port of an API. Sends nothing.

    Args:
        connection: Address and credentials.
        api: Which API.
        files: Files that outlive a run.
        clock: Time.

    Raises:
        ConfigurationError: The API does not accept this kind of credentials.
    """
    match api:
        case Api.V1:
            http = HttpClient(connection, server_clock=ServerClock(clock or SystemClock()))
            return Apis(V1ExportApi(http), V1ImportApi(http))
        case Api.UAPI:
            # Imported here: commands that use v1 start without it.
            from demandbase_api.uapi.connect import connect_uapi  # noqa: PLC0415

            return connect_uapi(connection, files or ApiFiles(), clock or SystemClock())
        case _:
            assert_never(api)
