"""Discovers the streams of the tenant's entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError, DemandbaseError
from demandbase_api.ports import DiscoveryScope
from demandbase_api.settings_check import near_names
from tap_demandbase.config import check_columns, check_filters, stream_options
from tap_demandbase.errors import SelectionError

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Mapping, Sequence

    from demandbase_api.models import Entity, EntityField
    from demandbase_api.ports import ExportApi
    from tap_demandbase.config import StreamOptions


_STRING: dict[str, Any] = {"type": ["null", "string"]}
_INTEGER: dict[str, Any] = {"type": ["null", "integer"]}
_NUMBER: dict[str, Any] = {"type": ["null", "number"]}
_BOOLEAN: dict[str, Any] = {"type": ["null", "boolean"]}
_DATE: dict[str, Any] = {"type": ["null", "string"], "format": "date"}
_DATE_TIME: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}

# Keys in lower case, letters and digits only: the spelling differs between entities.
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

# Names of an id field by entity, the likeliest first. The contract names no key.
KEY_CANDIDATES: dict[str, tuple[str, ...]] = {
    "accounts": ("account_id", "id"),
    "people": ("person_id", "people_id", "id"),
    "opportunities": ("opportunity_id", "id"),
    "activities": ("activity_id", "id"),
    "campaigns": ("campaign_id", "id"),
    "buying_groups": ("buying_group_id", "id"),
}


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream of an entity.

    Args:
        entity: The entity.
        schema: JSON Schema of the records.
        options: The stream's settings.
        key_properties: Fields that identify a record; none if no key is known.
        replication_key: Date field that makes the stream incremental, if any.
        selected_by_default: Whether the stream is selected without a catalog.
        is_from_catalog: Whether its fields are those of the catalog, and may be outdated.
    """

    entity: Entity
    schema: dict[str, Any]
    options: StreamOptions
    key_properties: tuple[str, ...]
    replication_key: str | None
    selected_by_default: bool
    is_from_catalog: bool = False


@dataclass(frozen=True, slots=True)
class Discovery:
    """The streams of the tenant's entities.

    Args:
        specs: The streams.
        errors: Why other streams that the run needs cannot be exported, by name.
    """

    specs: list[StreamSpec]
    errors: dict[str, DemandbaseError]


def discover_streams(  # noqa: PLR0913 - the last one has a default
    api: ExportApi,
    config: Mapping[str, Any],
    reserved: Collection[str],
    selected: frozenset[str] | None,
    logger: logging.Logger,
    *,
    catalog: Mapping[str, tuple[EntityField, ...]] | None = None,
) -> Discovery:
    """Return the streams of the tenant's entities.

    If the calls of a day are few, the fields that a catalog describes are not requested.

    Args:
        api: The export API.
        config: The settings.
        reserved: Names of streams that are no entities.
        selected: Names of the streams that a catalog selects; ``None`` without a catalog.
        logger: Receives warnings about entities and settings.
        catalog: Fields that a catalog describes as fully as discovery, by stream.

    Raises:
        ConfigurationError: A setting names an entity that does not exist.
    """
    check_filters(config, api.capabilities)
    errors: dict[str, DemandbaseError] = {}
    scope = _scope(config, selected if api.capabilities.daily_calls else None, catalog or {})
    found = api.entities(scope, errors.__setitem__)
    entities = _chosen(found, config.get("entities"), scope.entities, errors)
    specs: list[StreamSpec] = []
    for entity in entities:
        if selected is None and _lacks_lists(entity, config):
            continue
        if not entity.fields and entity.name in (config.get("entities") or ()):
            errors[entity.name] = _without_fields(entity)
        elif _can_be_stream(entity, reserved, logger):
            try:
                is_known = scope.known.get(entity.name) == entity.fields
                specs.append(_stream_spec(entity, config, logger, is_from_catalog=is_known))
            except ConfigurationError as error:
                errors[entity.name] = error
    if selected is not None:
        missing = selected - {spec.entity.name for spec in specs} - errors.keys() - {*reserved}
        errors |= {name: _missing(name, config.get("entities")) for name in sorted(missing)}
    if selected is None or not api.capabilities.daily_calls:  # else others may exist
        known = {*errors, *api.capabilities.needs, *(it.entity.name for it in specs)}
        _warn_unknown_streams(config, known, logger)
    _warn_unknown_types(specs, logger)
    if selected is None:
        _log_needs(config, api.capabilities.needs, specs, errors, logger)
    return Discovery(specs, _needed(errors, selected, logger))


def _missing(stream: str, entities: Sequence[str] | None) -> SelectionError:
    if entities is not None and stream not in entities:
        problem = "the setting entities leaves it out. Add it there"
    else:
        problem = "Demandbase does not export it (any more). Run discovery again"
    return SelectionError(
        f"Stream {stream}: the catalog selects it, and {problem}, or deselect it.", stream=stream
    )


def _without_fields(entity: Entity) -> SelectionError:
    return SelectionError(
        f"Stream {entity.name}: Demandbase lists no field of the entity. Check the permissions of "
        "the credentials, or remove it from the setting entities.",
        stream=entity.name,
    )


def _needed(
    errors: Mapping[str, DemandbaseError], selected: frozenset[str] | None, logger: logging.Logger
) -> dict[str, DemandbaseError]:
    """Return the errors of selected streams; log the others."""
    needed: dict[str, DemandbaseError] = {}
    for name, error in errors.items():
        if selected is None or name in selected:
            needed[name] = error
        else:
            logger.warning("Stream %s is not selected, and cannot be exported: %s", name, error)
    return needed


def _lacks_lists(entity: Entity, config: Mapping[str, Any]) -> bool:
    """Return whether it is not known which lists to export, and no setting names the entity.

    Meltano selects all streams that are discovered.
    """
    if not entity.is_list or entity.name in (config.get("entities") or ()):
        return False
    options = stream_options(config, entity.name)
    return not (options.account_lists if entity.takes_account_lists else options.person_list_ids)


def _can_be_stream(entity: Entity, reserved: Collection[str], logger: logging.Logger) -> bool:
    if entity.name in reserved:
        logger.warning("The entity %s has the name of another stream and is left out", entity.name)
        return False
    if not entity.fields:
        logger.warning("The entity %s has no fields and is left out", entity.name)
        return False
    return True


def _stream_spec(
    entity: Entity, config: Mapping[str, Any], logger: logging.Logger, *, is_from_catalog: bool
) -> StreamSpec:
    options = stream_options(config, entity.name)
    check_columns(config, entity)
    return StreamSpec(
        entity,
        entity_schema(entity, lenient_numbers=options.lenient_numbers),
        options,
        _key_properties(entity, options, logger),
        _replication_key(entity, options),
        # Which lists to export is unknown unless they are set, and each list costs a job.
        not entity.is_list or bool(options.account_list_ids or options.person_list_ids),
        is_from_catalog,
    )


def _scope(
    config: Mapping[str, Any],
    selected: frozenset[str] | None,
    catalog: Mapping[str, tuple[EntityField, ...]],
) -> DiscoveryScope:
    """Return what to discover: the entities of the settings, of these only the selected ones."""
    wanted = config.get("entities")
    entities = None if wanted is None else frozenset(wanted)
    if selected is not None:
        entities = selected if entities is None else selected & entities
    options = config.get("stream_options") or {}
    return DiscoveryScope(
        entities=entities,
        report_types={
            name: own["ad_report_type"] for name, own in options.items() if "ad_report_type" in own
        },
        columns={name: tuple(own["columns"]) for name, own in options.items() if "columns" in own},
        known={
            name: fields
            for name, fields in catalog.items()
            if _has_fields(fields, options.get(name) or {})
        },
    )


def _has_fields(fields: Sequence[EntityField], options: Mapping[str, Any]) -> bool:
    """Return whether the fields that a stream's settings name are among some fields."""
    named = {*(options.get("key_properties") or ()), options.get("replication_key")} - {None}
    return named <= {field.name for field in fields}


def _chosen(
    found: Sequence[Entity],
    wanted: Sequence[str] | None,
    scope: Collection[str] | None,
    errors: Collection[str],
) -> list[Entity]:
    """Return the entities that the setting ``entities`` names; without it, all that were found.

    Raises:
        ConfigurationError: It names an entity of the scope that does not exist.
    """
    if wanted is None:
        return list(found)
    names = {entity.name for entity in found}
    missing = [
        name
        for name in wanted
        if name not in names and name not in errors and (scope is None or name in scope)
    ]
    if missing:
        raise ConfigurationError(
            "The setting entities names what this tenant does not have: "
            f"{', '.join(name + near_names(name, names) for name in missing)}. "
            f"It has {', '.join(sorted(names)) or 'no entity'}."
        )
    return [entity for entity in found if entity.name in wanted]


def _warn_unknown_streams(
    config: Mapping[str, Any], known: Collection[str], logger: logging.Logger
) -> None:
    """Warn about options for streams that do not exist: the names may be mistyped."""
    names = config.get("stream_options") or {}
    if unknown := [name for name in names if name not in known]:
        logger.warning(
            "The setting stream_options names streams that do not exist: %s",
            ", ".join(name + near_names(name, known) for name in unknown),
        )


def _log_needs(
    config: Mapping[str, Any],
    needs: Mapping[str, str],
    specs: Sequence[StreamSpec],
    errors: Collection[str],
    logger: logging.Logger,
) -> None:
    """Log, in one line, which settings streams need that are not exported without them."""
    wanted = config.get("entities") or needs
    exported = {*errors, *(spec.entity.name for spec in specs if spec.selected_by_default)}
    streams: dict[str, list[str]] = {}
    for name, option in needs.items():
        if name in wanted and name not in exported:
            streams.setdefault(option, []).append(name)
    if streams:
        words = ", ".join(f"{' and '.join(names)} ({each})" for each, names in streams.items())
        logger.info("Streams that need a setting in stream_options: %s.%s", words, _begins(specs))


def _begins(specs: Sequence[StreamSpec]) -> str:
    """Return the sentence about streams that begin without a start date, if there are any."""
    return "".join(
        f" Without start_date, {spec.entity.name} begin {spec.entity.max_days} days back."
        for spec in specs
        if spec.entity.max_days is not None and spec.options.start_date is None
    )


def _warn_unknown_types(specs: Sequence[StreamSpec], logger: logging.Logger) -> None:
    unknown = [
        f"{spec.entity.name}.{name} ({field_type})"
        for spec in specs
        for name, field_type in unknown_types(spec.entity).items()
    ]
    if unknown:
        logger.warning("Fields of unknown type are read as text: %s", ", ".join(unknown))


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


def _key_properties(
    entity: Entity, options: StreamOptions, logger: logging.Logger
) -> tuple[str, ...]:
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
        logger.warning(
            "No key is known for stream %s: loaders will append its records. "
            "Set stream_options.%s.key_properties",
            entity.name,
            entity.name,
        )
    return key


def guess_key(entity: str, fields: Collection[str]) -> tuple[str, ...]:
    """Return the first candidate for an entity's key that is one of its fields, if any."""
    singular = entity.removesuffix("s")
    for name in KEY_CANDIDATES.get(entity, (f"{singular}_id", f"{entity}_id", "id")):
        if name in fields:
            return (name,)
    return ()


def entity_schema(entity: Entity, *, lenient_numbers: bool) -> dict[str, Any]:
    """Return the JSON Schema of an entity's records. A field of unknown type is a string.

    Args:
        entity: The entity.
        lenient_numbers: Whether fields of whole numbers may hold fractions.
    """
    properties: dict[str, Any] = {}
    for field in entity.fields:
        known = _schema_of_type(field.type)
        schema = dict(_NUMBER if lenient_numbers and known is _INTEGER else known or _STRING)
        if field.description:
            schema["description"] = field.description
        properties[field.name] = schema
    return {"type": "object", "properties": properties}


def unknown_types(entity: Entity) -> dict[str, str]:
    """Return the type of each field whose type is unknown."""
    return {
        field.name: field.type for field in entity.fields if _schema_of_type(field.type) is None
    }


def _schema_of_type(field_type: str) -> dict[str, Any] | None:
    return SCHEMA_BY_TYPE.get("".join(letter for letter in field_type.lower() if letter.isalnum()))
