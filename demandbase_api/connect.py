"""The choice of the adapters for an API."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.config import Api
from demandbase_api.connection import ApiFiles

if TYPE_CHECKING:
    from demandbase_api.connection import Connection
    from demandbase_api.ports import Apis


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
    # Imported here: commands that need no connection start without them.
    match api:
        case Api.V1:
            from demandbase_api.v1.connect import connect_v1  # noqa: PLC0415

            return connect_v1(connection, clock or SystemClock())
        case Api.UAPI:
            from demandbase_api.uapi.connect import connect_uapi  # noqa: PLC0415

            return connect_uapi(connection, files or ApiFiles(), clock or SystemClock())
        case _:
            assert_never(api)
