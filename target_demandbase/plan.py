"""What is known of a stream once its SCHEMA has come."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demandbase_api.models import ColumnMapping, ImportOperation, ImportRequest
from target_demandbase.errors import MappingError, RoutingError
from target_demandbase.mapping import mapping_report, plan_columns, type_problems, undocumented
from target_demandbase.schema import DELETED, REJECT_TYPE, ColumnKind, plain_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from demandbase_api.models import ActivityType
    from demandbase_api.ports import ImportApi


@dataclass(frozen=True)
class SourceStream:
    """A stream as the tap sends it, before any stream map.

    Args:
        stream: Its name.
        schema: Its JSON schema.
        key_properties: Its key columns.
    """

    stream: str
    schema: Mapping[str, Any]
    key_properties: Sequence[str]


@dataclass(frozen=True)
class StreamPlan:
    """Where a stream's rows go, and how.

    Args:
        stream: Its name.
        entity: Where its rows go.
        operation: What Demandbase does with them.
        match_key: The field that rows are matched on.
        fields: Demandbase field by column, in the schema's order.
        schema: Its JSON schema.
        key_properties: Its key columns.
        source: What its records are made of.
        required: Columns without which Demandbase takes no row.
        must_fill: Columns whose empty cells would lose the row without a word.
        identity: Where no match key can be chosen, the columns by any of which Demandbase may
            match rows; an empty text in place of one that the stream lacks.
        activity_type: Which kind of activity the rows are, by its id.
        is_headed_by_fields: Whether files are headed with the fields that the columns fill.
    """

    stream: str
    entity: str
    operation: ImportOperation
    match_key: str | None
    fields: Mapping[str, str]
    schema: Mapping[str, Any]
    key_properties: Sequence[str]
    source: SourceStream
    required: frozenset[str] = frozenset()
    must_fill: frozenset[str] = frozenset()
    identity: tuple[str, ...] = ()
    activity_type: int | None = None
    is_headed_by_fields: bool = False

    @property
    def key_column(self) -> str | None:
        """The column that fills the match key."""
        return next((name for name, field in self.fields.items() if field == self.match_key), None)

    def header(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Return what heads some columns in a file."""
        if self.is_headed_by_fields:
            return tuple(self.fields[name] for name in columns)
        return tuple(columns)

    def request(self, header: Sequence[str]) -> ImportRequest:
        """Return what to ask for with a file of this header."""
        fields = dict(zip(self.header(tuple(self.fields)), self.fields.values(), strict=True))
        return ImportRequest(
            entity=self.entity,
            operation=self.operation,
            match_key=self.match_key,
            mappings=tuple(ColumnMapping(name, fields[name]) for name in header),
            activity_type=self.activity_type,
        )

    @property
    def is_replay(self) -> bool:
        """Whether the stream is a file of rejected rows that comes back."""
        return REJECT_TYPE in self.source.schema.get("properties", {})

    def column_of(self, field: str) -> str | None:
        """Return the column that fills a field."""
        return next((name for name, filled in self.fields.items() if filled == field), None)


ACTIVITIES = "activities"

_SHOWN = 20


def activity_type_for(
    api: ImportApi, config: Mapping[str, Any], stream: str, entity: str
) -> int | None:
    """Return the id of the activity type that a stream's imports name; ``None`` for no type.

    Args:
        api: Knows the types.
        config: The settings.
        stream: The stream.
        entity: Where it goes.

    Raises:
        MappingError: The setting activity_types names none, or none that there is.
    """
    if entity != ACTIVITIES or not api.capabilities.activity_types:
        return None
    wanted = (config.get("activity_types") or {}).get(stream)
    known = api.activity_types()
    found = [] if wanted is None else _found(known, wanted)
    if len(found) == 1:
        return found[0].id
    if wanted is None:
        problem = "must name the type of its activities"
    elif found:
        problem = "names an activity type by a name that several have: name it by its id"
    else:
        problem = "names an activity type that there is not"
    some = ", ".join(f"{kind.name} ({kind.id})" for kind in known[:_SHOWN]) or "none"
    more = " and more" if len(known) > _SHOWN else ""
    raise MappingError(
        f"Stream {stream} goes to {ACTIVITIES}: the setting activity_types {problem}. Set it to "
        f'{{"{stream}": <id or name>}}; there are {some}{more}.',
        stream=stream,
    )


def _found(known: Sequence[ActivityType], wanted: str | int) -> list[ActivityType]:
    text = str(wanted).strip()
    by_id = [kind for kind in known if str(kind.id) == text]
    return by_id or [kind for kind in known if kind.name == text]


def entity_for(stream: str, entity_map: Mapping[str, str], entities: Collection[str]) -> str:
    """Return the entity of a stream: by the setting entity_map, else by its name.

    Raises:
        RoutingError: There is none.
    """
    entity = entity_map.get(stream, stream)
    if entity not in entities:
        known = ", ".join(sorted(entities))
        raise RoutingError(
            f"Stream {stream} goes to no entity that can be imported ({known}). "
            f'Set entity_map to {{"{stream}": "<entity>"}}, or deselect the stream in the tap.',
            stream=stream,
        )
    return entity


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


def suits_blocks(plan: StreamPlan) -> bool:
    """Return whether a stream's records can be read many at a time."""
    plain = plain_columns(plan.schema)
    if plain is None or len(plan.fields) < 2:  # noqa: PLR2004 - a null alone in its row
        return False
    kinds = {column.name: column.kind for column in plain}
    if DELETED in kinds or not kinds.keys() >= set(plan.key_properties):
        return False
    return plan.key_column is None or kinds[plan.key_column] in {
        ColumnKind.TEXT, ColumnKind.INTEGER,
    }  # fmt: skip
