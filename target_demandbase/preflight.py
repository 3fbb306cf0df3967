"""What is checked of a stream at its SCHEMA, and told before any row is read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from demandbase_api.models import ImportOperation
from target_demandbase.activity_kind import activity_type_for
from target_demandbase.column_types import type_problems
from target_demandbase.columns import plan_columns
from target_demandbase.headers import undocumented
from target_demandbase.mapping_report import mapping_report
from target_demandbase.routing import entity_for
from target_demandbase.stream_plan import StreamPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from demandbase_api.ports import ImportApi
    from target_demandbase.stream_plan import SourceStream

logger = logging.getLogger("target-demandbase")


def plan_stream(  # noqa: PLR0913, PLR0917 - all of it is needed
    api: ImportApi,
    config: Mapping[str, Any],
    stream: str,
    schema: Mapping[str, Any],
    key_properties: Sequence[str],
    source: SourceStream,
    tell: Callable[[str, str], None],
) -> StreamPlan:
    """Return a stream's plan, having told of it.

    Args:
        api: Where it goes.
        config: The settings.
        stream: Its name.
        schema: Its JSON schema.
        key_properties: Its key columns.
        source: What its records are made of.
        tell: Takes the stream and the report of what fills what.

    Raises:
        RoutingError: The stream goes to no entity.
        MappingError: Its columns, or what the settings say of them, do not fit the entity.
    """
    entity = entity_for(stream, config.get("entity_map") or {}, api.capabilities.entities)
    renamed = (config.get("field_mappings") or {}).get(entity) or {}
    activity_type = activity_type_for(api, config, stream, entity)
    known = api.mappings(entity) if activity_type is None else api.activity_fields(activity_type)
    able = api.capabilities
    is_added = entity in able.adds_only
    operation = ImportOperation.INSERT if is_added else ImportOperation(config["operation"])
    properties: Mapping[str, Any] = schema["properties"]
    plan = plan_columns(
        stream=stream,
        entity=entity,
        columns=list(properties),
        known=known,
        renamed=renamed,
        operation=operation,
        drop_unknown=config["unknown_fields"] == "drop",
        match_key=(config.get("match_keys") or {}).get(entity),
        key_properties=key_properties,
        is_listed=able.mappings,
        has_match_key=able.match_key,
        problems_of=lambda fields: type_problems(stream, properties, fields, known),
    )
    tell(
        stream,
        mapping_report(
            stream=stream,
            entity=entity,
            operation=operation,
            match_key=plan.match_key,
            plan=plan,
            mappings=known,
            schema=schema,
            has_match_key=able.match_key,
        ),
    )
    if new := [] if able.mappings else undocumented(plan.fields, {field.name for field in known}):
        logger.warning(
            "Demandbase's documents do not know the fields %s of field_mappings.%s: where the "
            "tenant has none of this label, Demandbase makes a new one",
            ", ".join(new),
            entity,
        )
    unused = [column for column in renamed if column not in properties]
    if unused:
        logger.warning(
            "field_mappings.%s names columns that stream %s does not have: %s",
            entity,
            stream,
            ", ".join(unused),
        )
    if plan.dropped:
        logger.warning(
            "Columns that Demandbase does not know are not sent: %s", ", ".join(plan.dropped)
        )
    names = {field.name for field in known if field.required}
    required = frozenset(
        column
        for column, field in plan.fields.items()
        if field in names and operation is not ImportOperation.UPDATE
    )
    columns = {field: column for column, field in plan.fields.items()}
    return StreamPlan(
        stream=stream,
        entity=entity,
        operation=operation,
        match_key=plan.match_key,
        fields=plan.fields,
        schema=schema,
        key_properties=key_properties,
        source=source,
        required=required,
        must_fill=frozenset() if able.row_errors else required,
        identity=tuple(columns.get(field, "") for field in able.identities.get(entity, ())),
        activity_type=activity_type,
        is_headed_by_fields=not able.mappings,
    )
