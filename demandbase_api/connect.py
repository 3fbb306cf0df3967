"""Chooses the adapter for the API in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.config import Api
from demandbase_api.connection import ApiFiles
from demandbase_api.http.client import HttpClient
from demandbase_api.models import ListAction
from demandbase_api.v1.exports import V1ExportApi
from demandbase_api.v1.imports import V1ImportApi

if TYPE_CHECKING:
    from demandbase_api.connection import Connection
    from demandbase_api.ports import ExportApi, ImportApi
    from demandbase_api.uapi.connect import UapiTenant


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
            return _uapi(connection, files, clock).imports(list_action)
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
            uapi = _uapi(connection, files, clock)
            return uapi.exports(), uapi.imports(ListAction.NOOP)
        case _:
            assert_never(api)


def _uapi(connection: Connection, files: ApiFiles | None, clock: Clock | None) -> UapiTenant:
    # Commands that use the other API start without it.
    from demandbase_api.uapi.connect import UapiTenant  # noqa: PLC0415

    return UapiTenant(connection, files or ApiFiles(), clock or SystemClock())
