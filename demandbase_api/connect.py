"""Chooses the adapter for the API in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.http import Connection, HttpClient
from demandbase_api.v1.export_api import V1ExportApi
from demandbase_api.v1.import_api import V1ImportApi

if TYPE_CHECKING:
    from demandbase_api.ports import ExportApi, ImportApi


def connect_export(connection: Connection) -> ExportApi:
    """Return the export port. No call is made."""
    return V1ExportApi(HttpClient(connection))


def connect_import(connection: Connection) -> ImportApi:
    """Return the import port. No call is made."""
    return V1ImportApi(HttpClient(connection))
