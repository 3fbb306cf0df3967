"""The adapters of a tenant's uapi. They share its token, its calls and the fields it has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from demandbase_api.errors import ConfigurationError
from demandbase_api.http.client import HttpClient
from demandbase_api.http.server_clock import ServerClock
from demandbase_api.ports import Apis
from demandbase_api.uapi.auth import ClientCredentials
from demandbase_api.uapi.call_budget import CallBudget, CallCounter
from demandbase_api.uapi.discovery import FieldCache, FieldDiscovery
from demandbase_api.uapi.errors import error_for
from demandbase_api.uapi.exports import UapiExportApi
from demandbase_api.uapi.imports import UapiImportApi

if TYPE_CHECKING:
    from demandbase_api.clock import Clock
    from demandbase_api.connection import ApiFiles, Connection


def connect_uapi(connection: Connection, files: ApiFiles, clock: Clock) -> Apis:
    """Return the ports of a tenant. Sends nothing.

    Args:
        connection: Address and credentials.
        files: Files that outlive a run.
        clock: Time.

    Raises:
        ConfigurationError: The API does not accept this kind of credentials.
    """
    store = files.state.store()
    budget = CallBudget(CallCounter(store, files.name(connection, "calls")), clock)
    http = _http_client(connection, budget, clock)
    cache = FieldCache(store, files.name(connection, "fields"), files.cache_hours, clock)
    fields = FieldDiscovery(http, cache, budget)
    return Apis(
        UapiExportApi(http, fields, budget),
        UapiImportApi(http, fields, budget),
        http.calls,
        http.observers,
        budget,
    )


def _http_client(connection: Connection, budget: CallBudget, clock: Clock) -> HttpClient:
    map_error = partial(error_for, is_static=connection.is_static)
    client = partial(
        HttpClient,
        connection,
        map_error=map_error,
        gate=budget.spend,
        server_clock=ServerClock(clock),
    )
    if connection.is_static:
        if connection.access_token is None:
            raise ConfigurationError(
                "There are no credentials: set client_id and client_secret, or access_token."
            )
        return client()
    for name in ("client_id", "client_secret"):
        if getattr(connection, name) is None:
            raise ConfigurationError(
                f"The setting {name} is missing: client_id and client_secret go together."
            )
    return client(auth=ClientCredentials(connection, clock, map_error))
