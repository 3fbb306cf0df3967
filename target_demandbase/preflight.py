"""What is checked of a stream at its SCHEMA, and told before any row is read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from demandbase_api.models import ImportOperation
from target_demandbase.column_types import type_problems
from target_demandbase.columns import plan_columns
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
        MappingError: Its columns do not fit the entity.
    """
    entity = entity_for(stream, config.get("entity_map") or {}, api.capabilities.entities)
    renamed = (config.get("field_mappings") or {}).get(entity) or {}
    known = api.mappings(entity)
    operation = ImportOperation(config["operation"])
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
        ),
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
    required = {field.name for field in known if field.required}
    return StreamPlan(
        stream=stream,
        entity=entity,
        operation=operation,
        match_key=plan.match_key,
        fields=plan.fields,
        schema=schema,
        key_properties=key_properties,
        source=source,
        required=frozenset(
            column
            for column, field in plan.fields.items()
            if field in required and operation is not ImportOperation.UPDATE
        ),
    )
