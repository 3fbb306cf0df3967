"""Chooses the adapter for the API in use."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.errors import ConfigurationError
from demandbase_api.http import HttpClient
from demandbase_api.models import ListAction
from demandbase_api.uapi.answers import uapi_meaning
from demandbase_api.uapi.auth import ClientCredentials
from demandbase_api.uapi.call_budget import CallBudget
from demandbase_api.uapi.call_ledger import CallLedger
from demandbase_api.uapi.discovery import FieldDiscovery
from demandbase_api.uapi.export_api import UapiExportApi
from demandbase_api.uapi.field_cache import FieldCache
from demandbase_api.uapi.import_api import UapiImportApi
from demandbase_api.v1.export_api import V1ExportApi
from demandbase_api.v1.import_api import V1ImportApi

if TYPE_CHECKING:
    from demandbase_api.connection import Connection
    from demandbase_api.ports import ExportApi, ImportApi

_FOLDER = "singer-demandbase"


class Api(StrEnum):
    """The APIs that Demandbase's data can be had by."""

    V1 = "v1"
    UAPI = "uapi"

    @property
    def default_url(self) -> str:
        """Where it is for all tenants."""
        match self:
            case Api.V1:
                return "https://api.demandbase.com"
            case Api.UAPI:
                return "https://uapi.demandbase.com"
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class ApiFiles:
    """What of an API is remembered from run to run.

    Args:
        folder: Where; a folder in the system's temporary one where absent.
        cache_hours: How long what was discovered is good for.
    """

    folder: Path | None = None
    cache_hours: float = 24

    def of(self, connection: Connection, kind: str) -> Path:
        """Return the file of one kind for a tenant; its name tells nothing of the credentials."""
        who = connection.client_id or connection.access_token or ""
        digest = hashlib.blake2b(f"{connection.api_url} {who}".encode(), digest_size=8).hexdigest()
        folder = self.folder or Path(tempfile.gettempdir()) / _FOLDER
        return folder / f"demandbase-{kind}-{digest}.json"


def connect_export(
    connection: Connection,
    api: Api = Api.V1,
    *,
    files: ApiFiles | None = None,
    clock: Clock | None = None,
) -> ExportApi:
    """Return the export port. No call is made.

    Args:
        connection: Where the API is.
        api: Which one it is.
        files: What is remembered of it.
        clock: Time.

    Raises:
        ConfigurationError: The credentials are not those that the API takes.
    """
    return connect_both(connection, api, files=files, clock=clock)[0]


def connect_import(
    connection: Connection,
    api: Api = Api.V1,
    *,
    files: ApiFiles | None = None,
    clock: Clock | None = None,
    list_action: ListAction = ListAction.NOOP,
) -> ImportApi:
    """Return the import port. No call is made.

    Args:
        connection: Where the API is.
        api: Which one it is.
        files: What is remembered of it.
        clock: Time.
        list_action: What imports of accounts do to the account list of their job, where the API
            has any.

    Raises:
        ConfigurationError: The credentials are not those that the API takes.
    """
    match api:
        case Api.V1:
            return V1ImportApi(HttpClient(connection))
        case Api.UAPI:
            return _Uapi(connection, files, clock).imports(list_action)
        case _:
            assert_never(api)


def connect_both(
    connection: Connection,
    api: Api = Api.V1,
    *,
    files: ApiFiles | None = None,
    clock: Clock | None = None,
) -> tuple[ExportApi, ImportApi]:
    """Return the ports of exports and imports, which share their token. No call is made.

    Args:
        connection: Where the API is.
        api: Which one it is.
        files: What is remembered of it.
        clock: Time.

    Raises:
        ConfigurationError: The credentials are not those that the API takes.
    """
    match api:
        case Api.V1:
            return V1ExportApi(HttpClient(connection)), V1ImportApi(HttpClient(connection))
        case Api.UAPI:
            uapi = _Uapi(connection, files, clock)
            return uapi.exports(), uapi.imports(ListAction.NOOP)
        case _:
            assert_never(api)


class _Uapi:
    """What the adapters of one tenant's uapi are made of."""

    def __init__(self, connection: Connection, files: ApiFiles | None, clock: Clock | None) -> None:
        self._clock, files = clock or SystemClock(), files or ApiFiles()
        self._budget = CallBudget(CallLedger(files.of(connection, "calls")), self._clock)
        self._http = _uapi_client(connection, self._budget, self._clock)
        self._fields = files.of(connection, "fields"), files.cache_hours

    def exports(self) -> ExportApi:
        path, hours = self._fields
        cache = FieldCache(path, hours, self._clock)
        discovery = FieldDiscovery(self._http, cache, self._budget)
        return UapiExportApi(self._http, discovery, self._budget)

    def imports(self, list_action: ListAction) -> ImportApi:
        return UapiImportApi(self._http, self._budget, list_action)


def _uapi_client(connection: Connection, budget: CallBudget, clock: Clock) -> HttpClient:
    meaning = partial(uapi_meaning, is_static=connection.is_static)
    if connection.is_static:
        if connection.access_token is None:
            raise ConfigurationError(
                "There are no credentials: set client_id and client_secret, or access_token."
            )
        return HttpClient(connection, meaning=meaning, gate=budget.spend)
    for name in ("client_id", "client_secret"):
        if getattr(connection, name) is None:
            raise ConfigurationError(
                f"The setting {name} is missing: client_id and client_secret go together."
            )
    auth = ClientCredentials(connection, clock, meaning)
    return HttpClient(connection, auth=auth, meaning=meaning, gate=budget.spend)
