"""The reading operations under ``/integration/v1/custom-sources``.

Those that create, change and delete sources and mappings are not served: no plugin may call them.
"""

from __future__ import annotations

from typing import Any

from demandbase_sandbox.operations import SOURCES_PREFIX
from demandbase_sandbox.routing import CurrentCall, SandboxRouter
from demandbase_sandbox.uapi.schemas import (
    FieldMappingsResponse,
    GetSourcesResponse,
    SourceItem,
    StructuredError,
    published_query,
)

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": StructuredError} for status in (400, 401, 404, 429, 500)
}

router = SandboxRouter(prefix=SOURCES_PREFIX, dependencies=[published_query])


@router.get("", operation_id="listCustomSources", responses=ERRORS)
def list_sources(
    call: CurrentCall,
    group: str | None = None,
    perPage: int = 10,  # noqa: N803 - the published name
    page: int = 1,
) -> GetSourcesResponse:
    """Return a page of the sources."""
    size = min(perPage, call.tenant.options.max_page_size)
    return call.tenant.sources.page(group, page, size)


@router.get("/{id}", operation_id="getCustomSource", responses=ERRORS)
def get_source(call: CurrentCall, id: int) -> SourceItem:  # noqa: A002 - the published name
    """Return a source."""
    return call.tenant.sources.get(id)


@router.get(
    "/{source_id}/field-mappings/{object_type}",
    operation_id="getFieldMappings",
    responses=ERRORS,
)
def get_field_mappings(
    call: CurrentCall, source_id: int, object_type: str
) -> FieldMappingsResponse:
    """Return the field mappings of a source."""
    types = {
        name: {field.name: field.type for field in entity.fields}
        for name, entity in call.tenant.store.entities.items()
    }
    return FieldMappingsResponse(
        field_mappings=call.tenant.sources.mappings(source_id, object_type, types)
    )
