"""Sources of imports, and the field mappings of custom ones. All of it is only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.errors import ApiOperation
from demandbase_api.http.json_reader import read
from demandbase_api.http.lists import PAGE_SIZE, ListReader, Page, read_page
from demandbase_api.uapi import schemas

if TYPE_CHECKING:
    from demandbase_api.http.client import HttpClient
    from demandbase_api.models import SourceField

CUSTOM_SOURCES = "/integration/v1/custom-sources"

_OBJECT_TYPES = {"accounts": "account", "people": "person"}
"""Object types of field mappings: other entities have none."""


def source_names(http: HttpClient, entity_type: str) -> tuple[str, ...]:
    """Return the sources that imports into an entity type can name."""
    operation = ApiOperation.LIST_SOURCES
    response = http.read(operation, f"/import/v1/{entity_type}/sources")
    return tuple(read(operation, response, schemas.Sources).data)


def source_fields(http: HttpClient, entity: str, source: str) -> tuple[SourceField, ...]:
    """Return the field mappings of a custom source; none if there is no such source."""
    object_type = _OBJECT_TYPES.get(entity)
    number = None if object_type is None else _id_of(http, source)
    if number is None:
        return ()
    operation = ApiOperation.LIST_SOURCE_FIELDS
    path = f"{CUSTOM_SOURCES}/{number}/field-mappings/{object_type}"
    listed = read(operation, http.read(operation, path), schemas.SourceFields).field_mappings
    return tuple(schemas.source_field(operation, item) for item in listed)


def _id_of(http: HttpClient, name: str) -> int | None:
    operation = ApiOperation.LIST_CUSTOM_SOURCES

    def fetch(number: int, _received: int) -> Page:
        query = {"group": "custom", "page": number + 1, "perPage": PAGE_SIZE}
        response = http.read(operation, CUSTOM_SOURCES, query)
        return read_page(operation, response, "data", "totalCount")

    items = ListReader("source", http.scrub, http.clock).items(
        operation, fetch, "id", complete=False
    )
    sources = (read(operation, item, schemas.CustomSource) for item in items)
    return next((source.id for source in sources if source.name == name), None)
