"""The adapters of one tenant's uapi: they share its token, its calls and what was discovered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from demandbase_api.errors import ConfigurationError
from demandbase_api.http.client import HttpClient
from demandbase_api.uapi.auth import ClientCredentials
from demandbase_api.uapi.call_budget import CallBudget, CallLedger
from demandbase_api.uapi.discovery import FieldCache, FieldDiscovery
from demandbase_api.uapi.errors import error_for
from demandbase_api.uapi.exports import UapiExportApi
from demandbase_api.uapi.imports import UapiImportApi

if TYPE_CHECKING:
    from demandbase_api.clock import Clock
    from demandbase_api.connection import ApiFiles, Connection
    from demandbase_api.models import ListAction
    from demandbase_api.ports import ExportApi, ImportApi


class UapiTenant:
    """The ports of one tenant's uapi, and what they share. No call is made.

    Args:
        connection: Where the API is.
        files: What is remembered of it.
        clock: Time.

    Raises:
        ConfigurationError: The credentials are not those that the API takes.
    """

    def __init__(self, connection: Connection, files: ApiFiles, clock: Clock) -> None:
        self._clock = clock
        self._budget = CallBudget(CallLedger(files.of(connection, "calls")), self._clock)
        self._http = _uapi_client(connection, self._budget, self._clock)
        self._fields = files.of(connection, "fields"), files.cache_hours

    def exports(self) -> ExportApi:
        """Return the port of exports."""
        path, hours = self._fields
        cache = FieldCache(path, hours, self._clock)
        discovery = FieldDiscovery(self._http, cache, self._budget)
        return UapiExportApi(self._http, discovery, self._budget)

    def imports(self, list_action: ListAction) -> ImportApi:
        """Return the port of imports.

        Args:
            list_action: What imports of accounts do to the account list of their job.
        """
        return UapiImportApi(self._http, self._budget, list_action)


def _uapi_client(connection: Connection, budget: CallBudget, clock: Clock) -> HttpClient:
    map_error = partial(error_for, is_static=connection.is_static)
    if connection.is_static:
        if connection.access_token is None:
            raise ConfigurationError(
                "There are no credentials: set client_id and client_secret, or access_token."
            )
        return HttpClient(connection, map_error=map_error, gate=budget.spend)
    for name in ("client_id", "client_secret"):
        if getattr(connection, name) is None:
            raise ConfigurationError(
                f"The setting {name} is missing: client_id and client_secret go together."
            )
    auth = ClientCredentials(connection, clock, map_error)
    return HttpClient(connection, auth=auth, map_error=map_error, gate=budget.spend)
