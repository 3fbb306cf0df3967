"""Catalog of the bulk streams: selected properties, and the fields behind them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import Catalog, Metadata

from demandbase_api.errors import ConfigurationError
from demandbase_api.models import EntityField
from tap_demandbase.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from singer_sdk.singerlib import MetadataMapping

    from demandbase_api.models import Entity


MEMBER = "demandbase-field"
"""Metadata key of a field's name in jobs, if it differs from the property's name."""

LABEL = "demandbase-label"
"""Metadata key of the label of such a field, which files may have in their header; may be empty."""


_SELECTIONS = "selected", "selected-by-default"


@dataclass(slots=True)
class FieldMetadata(Metadata):
    """Metadata of a property whose field has another name."""

    demandbase_field: str | None = None
    demandbase_label: str | None = None


def add_fields(metadata: MetadataMapping, field_by_property: Mapping[str, EntityField]) -> None:
    """Add the names of fields in jobs to a stream's metadata, where they differ, and labels."""
    for name, field in field_by_property.items():
        breadcrumb = ("properties", name)
        plain = metadata.get(breadcrumb)
        if field.api_name is None or plain is None or isinstance(plain, FieldMetadata):
            continue
        members = {member.name: getattr(plain, member.name) for member in fields(Metadata)}
        metadata[breadcrumb] = FieldMetadata(
            **members, demandbase_field=field.api_name, demandbase_label=field.label or ""
        )


def chosen_methods(catalog: object) -> dict[str, str]:
    """Return the replication method that the user has chosen in a catalog, by stream.

    Discovery writes neither key of the metadata, only ``replication_method`` of the entry, which a
    later setting may overrule. The SDK's own catalog drops ``replication-method``, which Meltano
    writes.
    """
    return {
        entry["tap_stream_id"]: method
        for entry in _entries(catalog)
        for item in entry.get("metadata") or ()
        if not item["breadcrumb"] and (method := _chosen_method(item["metadata"])) is not None
    }


def _chosen_method(metadata: Mapping[str, Any]) -> str | None:
    found = metadata.get("replication-method") or metadata.get("forced-replication-method")
    return None if found is None else str(found)


def replication_method(stream: str, chosen: str | None, key: str | None) -> str | None:
    """Return the replication method of a stream; ``None`` for that of its catalog entry.

    Args:
        stream: Name of the stream, for messages.
        chosen: Method that the user has chosen in the catalog, if any.
        key: Replication key, if any.

    Raises:
        ConfigurationError: The chosen method is unknown, or needs a key.
    """
    match chosen, key:
        case "FULL_TABLE", _:
            return "FULL_TABLE"
        case ((None | "INCREMENTAL"), str()):
            return "INCREMENTAL"
        case "INCREMENTAL", None:
            raise ConfigurationError(
                f"Stream {stream} is INCREMENTAL in the catalog and has no replication key. Set "
                f"stream_options.{stream}.replication_key, or replication-key in the catalog, to a "
                "date field."
            )
        case None, None:
            return None
        case _:
            raise ConfigurationError(
                f"Stream {stream}: replication-method in the catalog must be FULL_TABLE or "
                "INCREMENTAL."
            )


def usable_catalog(catalog: object) -> Catalog | str | PurePath:
    """Return a catalog, as given to the tap, in the form of the SDK.

    Raises:
        ConfigurationError: The SDK would fail on it, in words of its own.
    """
    if isinstance(catalog, (Catalog, str, PurePath)):
        return catalog  # of the SDK, or a file that it reads
    streams = checked_streams(catalog)
    try:
        return Catalog.from_dict({"streams": streams})
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise _unusable("a schema in it is no JSON Schema") from error


def checked_streams(catalog: object) -> list[dict[str, Any]]:
    """Return the streams of a catalog, as a file has it.

    Raises:
        ConfigurationError: It does not have the form of a catalog.
    """
    if not isinstance(catalog, dict):
        raise _unusable("it must be an object")
    if not isinstance(streams := catalog.get("streams"), list):
        raise _unusable("its member streams must be a list")
    for entry in streams:
        for problem in _problems(entry):
            raise _unusable(problem)
    return streams


def _unusable(problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"The catalog cannot be used: {problem}. Write one with “tap-demandbase --discover”, and "
        "select streams in it."
    )


def _problems(entry: object) -> Iterator[str]:
    if not isinstance(entry, dict) or not (
        isinstance(entry.get("tap_stream_id"), str)
        and isinstance(entry.get("schema", {}), dict)
        and isinstance(entry.get("metadata", []), list)
    ):
        yield "each of its streams must have a tap_stream_id, a schema and metadata"
        return
    name = entry["tap_stream_id"]
    if not all(map(_is_metadata, entry.get("metadata", []))):
        yield (
            f"each metadata of stream {name} must have a breadcrumb, which is a list of texts, and "
            "an object as metadata, whose members selected are true or false"
        )
    if entry.get("stream", name) not in (None, name):
        yield f"stream and tap_stream_id of stream {name} must be the same"
    if not isinstance(entry.get("replication_key"), str | None):
        yield f"the replication_key of stream {name} must be a text"
    if not _are_texts(entry.get("key_properties") or []):
        yield f"the key_properties of stream {name} must be a list of texts"
    if not _are_properties(entry.get("schema", {}).get("properties")):
        yield f"each of the properties of stream {name} must have a JSON Schema with a type"


def _are_properties(value: object) -> bool:
    return value is None or (
        isinstance(value, dict)
        and all(isinstance(each, dict) and _is_type(each.get("type")) for each in value.values())
    )


def _is_type(value: object) -> bool:
    return isinstance(value, str | None) or _are_texts(value)


def _is_metadata(item: object) -> bool:
    return (
        isinstance(item, dict)
        and _are_texts(item.get("breadcrumb"))
        and isinstance(members := item.get("metadata"), dict)
        and all(isinstance(members.get(key), bool | None) for key in _SELECTIONS)
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def saved_fields(catalog: object) -> dict[str, dict[str, str]]:
    """Return the names of fields in jobs that a saved catalog has, by stream and property.

    The SDK's own catalog drops metadata that it does not know.
    """
    return {entry["tap_stream_id"]: _saved_fields(entry) for entry in _entries(catalog)}


def catalog_fields(catalog: object, selection: Catalog) -> dict[str, tuple[EntityField, ...]]:
    """Return the fields that a catalog describes as fully as discovery, by stream.

    A stream is left out if a property that is selected, or its replication key, lacks the metadata
    of discovery: the catalog was written by hand, or by an earlier version.

    Args:
        catalog: The catalog as it was passed.
        selection: The same in the SDK's form, which says what is selected.
    """
    found = {}
    for entry in _entries(catalog):
        name = entry["tap_stream_id"]
        if name not in selection:
            continue
        fields = {field.name: field for field in _described(entry)}
        mask = selection[name].metadata.resolve_selection()
        needed = {each for each in _properties(entry) if mask["properties", each]}
        needed.update(filter(None, [selection[name].replication_key]))
        if needed and needed <= fields.keys():
            found[name] = tuple(fields.values())
    return found


def _described(entry: Mapping[str, Any]) -> Iterator[EntityField]:
    metadata = {
        item["breadcrumb"][1]: item["metadata"]
        for item in entry.get("metadata") or ()
        if len(item["breadcrumb"]) > 1
    }
    for name, schema in _properties(entry).items():
        members = metadata.get(name, {})
        api_name, label = members.get(MEMBER), members.get(LABEL)
        if isinstance(api_name, str) and isinstance(label, str):
            yield EntityField(
                name, _field_type(schema), schema.get("description") or "", api_name, label or None
            )


def _properties(entry: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return entry.get("schema", {}).get("properties") or {}


def _field_type(schema: Mapping[str, Any]) -> str:
    """Return the type of a field with a JSON Schema that discovery wrote."""
    types = schema.get("type")
    named = types if isinstance(types, list) else [types]
    if "string" in named:
        return {"date": "date", "date-time": "datetime"}.get(str(schema.get("format")), "string")
    by_type = {"integer": "long", "number": "double", "boolean": "boolean"}
    return next((word for name, word in by_type.items() if name in named), "string")


def _entries(catalog: object) -> list[dict[str, Any]]:
    if not isinstance(catalog, dict):
        return []
    return [entry for entry in catalog.get("streams") or () if "tap_stream_id" in entry]


def _saved_fields(entry: Mapping[str, Any]) -> dict[str, str]:
    return {
        item["breadcrumb"][1]: item["metadata"][MEMBER]
        for item in entry.get("metadata") or ()
        if len(item["breadcrumb"]) > 1 and isinstance(item["metadata"].get(MEMBER), str)
    }


def selected_streams(catalog: Catalog) -> frozenset[str]:
    """Return the names of the streams that a catalog selects."""
    return frozenset(
        name for name, entry in catalog.items() if entry.metadata.resolve_selection().get((), True)
    )


def current_fields(entity: Entity, saved: Mapping[str, str]) -> dict[str, EntityField]:
    """Return the field of each property.

    A saved name takes precedence as long as the field exists: a newer field may have the property's
    name by now.

    Args:
        entity: The entity as discovered now.
        saved: Field names in jobs by property, from a saved catalog.
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
        stream: Name of the stream, for messages.
        properties: JSON Schema by property, from the catalog.
        known: Properties that exist.
        is_exported: Whether a property is selected or needed.

    Raises:
        SelectionError: Nothing is selected, or a property that is no field (any more).
    """
    found = {name: schema for name, schema in properties.items() if is_exported(name)}
    unknown = [name for name in found if name not in known]
    if unknown:
        raise SelectionError(
            f"Stream {stream}: the catalog selects fields that Demandbase does not export "
            f"(any more): {', '.join(unknown)}. Run discovery again or deselect them.",
            stream=stream,
        )
    if not found:
        raise SelectionError(
            f"Stream {stream}: no field is selected. Select one, or deselect the stream.",
            stream=stream,
        )
    return found
