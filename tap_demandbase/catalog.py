"""Keeps in the catalog what jobs call a property's field."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import Metadata

from tap_demandbase.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from singer_sdk.singerlib import MetadataMapping

    from demandbase_api.models import Entity, EntityField


MEMBER = "demandbase-field"


@dataclass(slots=True)
class FieldMetadata(Metadata):
    """Metadata of a property whose field has another name."""

    demandbase_field: str | None = None


def add_fields(metadata: MetadataMapping, of: Mapping[str, EntityField]) -> None:
    """Write into a stream's metadata what jobs call its fields, where that differs."""
    for name, field in of.items():
        breadcrumb = ("properties", name)
        plain = metadata.get(breadcrumb)
        if field.api_name is None or plain is None or isinstance(plain, FieldMetadata):
            continue
        members = {member.name: getattr(plain, member.name) for member in fields(Metadata)}
        metadata[breadcrumb] = FieldMetadata(**members, demandbase_field=field.api_name)


def saved_fields(catalog: object) -> dict[str, dict[str, str]]:
    """Return what jobs call the fields of a saved catalog, by stream and property.

    The SDK's own reading of a catalog drops metadata that it does not know.
    """
    if not isinstance(catalog, dict):
        return {}
    return {
        entry["tap_stream_id"]: _of_entry(entry)
        for entry in catalog.get("streams") or ()
        if "tap_stream_id" in entry
    }


def _of_entry(entry: Mapping[str, Any]) -> dict[str, str]:
    return {
        item["breadcrumb"][1]: item["metadata"][MEMBER]
        for item in entry.get("metadata") or ()
        if len(item["breadcrumb"]) > 1 and MEMBER in item["metadata"]
    }


def current_fields(entity: Entity, saved: Mapping[str, str]) -> dict[str, EntityField]:
    """Return the field of each property.

    What a saved catalog says counts, as long as there is such a field: a field that came since
    may bear the property's name now.

    Args:
        entity: What there is now.
        saved: What jobs call the field of a property, as a catalog has it.
    """
    by_api_name = {field.job_name: field for field in entity.fields}
    now = {field.name: field for field in entity.fields}
    return now | {
        name: by_api_name[api_name] for name, api_name in saved.items() if api_name in by_api_name
    }


def selected_schemas(
    stream: str,
    properties: Mapping[str, dict[str, Any]],
    *,
    known: Collection[str],
    is_exported: Callable[[str], bool],
) -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each property to export, in the schema's order.

    Args:
        stream: The stream, for messages.
        properties: JSON Schema by property, as the catalog has it.
        known: The properties that there are.
        is_exported: Whether a property is selected or needed.

    Raises:
        SelectionError: Nothing is selected, or something that is no field (any more).
    """
    found = {name: schema for name, schema in properties.items() if is_exported(name)}
    gone = [name for name in found if name not in known]
    if gone:
        raise SelectionError(
            f"Stream {stream}: the catalog selects fields that Demandbase does not export "
            f"(any more): {', '.join(gone)}. Run discovery again or deselect them.",
            stream=stream,
        )
    if not found:
        raise SelectionError(
            f"Stream {stream}: no field is selected. Select one, or deselect the stream.",
            stream=stream,
        )
    return found
