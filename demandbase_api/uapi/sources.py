"""Sources of imports, and the field mappings of custom ones. All of it is only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.deadline import Deadline
from demandbase_api.errors import ApiOperation
from demandbase_api.http.json_reader import read
from demandbase_api.http.lists import PAGE_SIZE, ListReader, Page, read_page
from demandbase_api.uapi import schemas

if TYPE_CHECKING:
    from demandbase_api.http.client import HttpClient
    from demandbase_api.models import SourceField

CUSTOM_SOURCES = "/integration/v1/custom-sources"

_PATIENCE_SECONDS = 15.0
"""How long field mappings are tried for: an import can do without them."""

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
    deadline = Deadline.after(http.clock, _PATIENCE_SECONDS)
    number = None if object_type is None else _id_of(http, source, deadline)
    if number is None:
        return ()
    operation = ApiOperation.LIST_SOURCE_FIELDS
    path = f"{CUSTOM_SOURCES}/{number}/field-mappings/{object_type}"
    response = http.read(operation, path, deadline=deadline)
    listed = read(operation, response, schemas.SourceFields).field_mappings
    return tuple(schemas.source_field(operation, item) for item in listed)


def _id_of(http: HttpClient, name: str, deadline: Deadline) -> int | None:
    operation = ApiOperation.LIST_CUSTOM_SOURCES

    def fetch(number: int, _received: int) -> Page:
        query = {"group": "custom", "page": number + 1, "perPage": PAGE_SIZE}
        response = http.read(operation, CUSTOM_SOURCES, query, deadline)
        return read_page(operation, response, "data", "totalCount")

    items = ListReader("source", http.scrub, http.clock).items(
        operation, fetch, "id", complete=False
    )
    sources = (read(operation, item, schemas.CustomSource) for item in items)
    return next((source.id for source in sources if source.name == name), None)
