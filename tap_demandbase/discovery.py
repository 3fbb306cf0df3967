"""From the tenant's entities to streams; one call to the port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from demandbase_api.ports import DiscoveryScope
from tap_demandbase.config import check_columns, check_filters, options_of
from tap_demandbase.job_streams import job_streams
from tap_demandbase.streams import BulkStream, IdBatchStream

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from singer_sdk import Stream

    from demandbase_api.models import Entity
    from tap_demandbase.config import StreamOptions
    from tap_demandbase.tap import TapDemandbase


_STRING: dict[str, Any] = {"type": ["null", "string"]}

_INTEGER: dict[str, Any] = {"type": ["null", "integer"]}

_NUMBER: dict[str, Any] = {"type": ["null", "number"]}

_BOOLEAN: dict[str, Any] = {"type": ["null", "boolean"]}

_DATE: dict[str, Any] = {"type": ["null", "string"], "format": "date"}

_DATE_TIME: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}

# Lower case, without spaces, underscores and hyphens: spellings differ between entities.
SCHEMA_BY_TYPE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        (
            "string", "text", "varchar", "char", "email", "url", "phone", "picklist",
            "multipicklist", "enum", "id", "uuid", "textarea", "reference",
        ),
        _STRING,
    ),
    **dict.fromkeys(("integer", "int", "long", "bigint", "short", "smallint"), _INTEGER),
    **dict.fromkeys(
        ("number", "numeric", "double", "float", "decimal", "currency", "percent"), _NUMBER
    ),
    **dict.fromkeys(("boolean", "bool"), _BOOLEAN),
    "date": _DATE,
    **dict.fromkeys(("datetime", "timestamp"), _DATE_TIME),
}  # fmt: skip


def entity_schema(
    entity: Entity, *, lenient_numbers: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return an entity's JSON Schema and its fields of unknown type.

    Args:
        entity: The entity.
        lenient_numbers: Whether whole-number fields may hold fractions, too.

    Returns:
        The schema, and the unknown type by field; such a field is a nullable string.
    """
    properties: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for field in entity.fields:
        known = SCHEMA_BY_TYPE.get(_normal(field.type))
        if known is None:
            unknown[field.name] = field.type
        schema = dict(known or _STRING)
        if lenient_numbers and known is _INTEGER:
            schema = dict(_NUMBER)
        if field.description:
            schema["description"] = field.description
        properties[field.name] = schema
    return {"type": "object", "properties": properties}, unknown


def _normal(field_type: str) -> str:
    return "".join(letter for letter in field_type.lower() if letter.isalnum())


# By entity, the names that an id goes by, the likeliest first. The contract names no key.
CANDIDATES: dict[str, tuple[str, ...]] = {
    "accounts": ("account_id", "id"),
    "people": ("person_id", "people_id", "id"),
    "opportunities": ("opportunity_id", "id"),
    "activities": ("activity_id", "id"),
    "campaigns": ("campaign_id", "id"),
    "buying_groups": ("buying_group_id", "id"),
}


def guess_key(entity: str, fields: Collection[str]) -> tuple[str, ...]:
    """Return the key of an entity, by its candidates against the fields that exist.

    Args:
        entity: Name of the entity.
        fields: Names of its fields.

    Returns:
        One field, or nothing where no candidate exists.
    """
    singular = entity.removesuffix("s")
    for name in CANDIDATES.get(entity, (f"{singular}_id", f"{entity}_id", "id")):
        if name in fields:
            return (name,)
    return ()


def discover_streams(tap: TapDemandbase) -> list[Stream]:
    """Return a stream for each entity, and those about jobs and mappings.

    Raises:
        ConfigurationError: A setting names an entity or field that does not exist.
    """
    check_filters(tap.config, tap.export_api.capabilities)
    entities = _chosen(tap.export_api.entities(_scope(tap.config)), tap.config.get("entities"))
    history = job_streams(tap)
    taken = {stream.name for stream in history}
    unknown_types: list[str] = []
    streams: list[Stream] = []
    for entity in entities:
        if entity.name in taken:
            tap.logger.warning(
                "The entity %s has the name of another stream and is left out", entity.name
            )
            continue
        if not entity.fields:
            tap.logger.warning("The entity %s has no fields and is left out", entity.name)
            continue
        options = options_of(tap.config, entity.name)
        check_columns(tap.config, entity)
        schema, unknown = entity_schema(entity, lenient_numbers=options.lenient_numbers)
        unknown_types += [f"{entity.name}.{name} ({kind})" for name, kind in unknown.items()]
        kind = BulkStream if entity.id_pages is None else IdBatchStream
        stream = kind(tap, entity, schema, options)
        if entity.is_list:
            # Which lists are meant cannot be known, and each job is dear.
            chosen = options.account_list_ids or options.person_list_ids
            stream.selected_by_default = bool(chosen)
        stream.primary_keys = _key(tap, entity, options)
        stream.replication_key = _replication_key(entity, options)
        streams.append(stream)
    _check_options(tap, [stream.name for stream in streams])
    if unknown_types:
        tap.logger.warning("Fields of unknown type are read as text: %s", ", ".join(unknown_types))
    return [*streams, *history]


def _scope(config: Mapping[str, Any]) -> DiscoveryScope:
    wanted = config.get("entities")
    options = config.get("stream_options") or {}
    return DiscoveryScope(
        entities=None if wanted is None else frozenset(wanted),
        report_types={
            name: own["ad_report_type"] for name, own in options.items() if "ad_report_type" in own
        },
        columns={name: tuple(own["columns"]) for name, own in options.items() if "columns" in own},
    )


def _chosen(entities: Sequence[Entity], wanted: Sequence[str] | None) -> list[Entity]:
    if wanted is None:
        return list(entities)
    names = {entity.name for entity in entities}
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ConfigurationError(
            f"The setting entities names what this tenant does not have: {', '.join(missing)}. "
            f"It has {', '.join(sorted(names))}."
        )
    return [entity for entity in entities if entity.name in wanted]


def _check_options(tap: TapDemandbase, streams: Sequence[str]) -> None:
    """Tell of options for a stream that is not there: the name may be mistyped."""
    names = tap.config.get("stream_options") or {}
    if unknown := [name for name in names if name not in streams]:
        tap.logger.warning(
            "The setting stream_options names streams that are not there: %s", ", ".join(unknown)
        )


def _replication_key(entity: Entity, options: StreamOptions) -> str | None:
    key = options.replication_key
    if key is None:
        return entity.date_field
    if key not in [field.name for field in entity.fields]:
        raise ConfigurationError(
            f"The setting stream_options.{entity.name}.replication_key names a field that the "
            f"entity does not have: {key}."
        )
    return key


def _key(tap: TapDemandbase, entity: Entity, options: StreamOptions) -> tuple[str, ...]:
    fields = [field.name for field in entity.fields]
    wanted = options.key_properties
    if wanted is not None:
        missing = [name for name in wanted if name not in fields]
        if missing:
            raise ConfigurationError(
                f"The setting stream_options.{entity.name}.key_properties names fields that the "
                f"entity does not have: {', '.join(missing)}."
            )
        return wanted
    key = guess_key(entity.name, fields) if entity.key is None else entity.key
    if not key:
        tap.logger.warning(
            "No key is known for stream %s: loaders will append its records. "
            "Set stream_options.%s.key_properties",
            entity.name,
            entity.name,
        )
    return key
