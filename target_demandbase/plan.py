"""How a stream is loaded: entity, operation, fields and keys, known once its SCHEMA has arrived."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from demandbase_api.models import (
    ACTIVITIES,
    DEFAULT_SOURCE,
    ColumnMapping,
    ImportOperation,
    ImportRequest,
    ListAction,
    adds_rows,
)
from demandbase_api.settings_check import near_names
from target_demandbase.csv_writer import OnNull
from target_demandbase.errors import MappingError, PlanError, RoutingError
from target_demandbase.labels import (
    TenantLabels,
    custom_labels,
    misspelt_labels,
    sent_custom_fields,
    source_labels,
    with_custom_fields,
    with_exported,
    with_tenant_labels,
)
from target_demandbase.mapping import (
    INTEGER_TYPES,
    NUMERIC_TYPES,
    MappingSettings,
    check_columns,
    in_brackets,
    nearest,
    plain_name,
    plan_columns,
)
from target_demandbase.plain_columns import ColumnKind, plain_columns
from target_demandbase.proposal import Proposal, as_setting, likely_entity, propose
from target_demandbase.remarks import about_columns, about_custom_fields, about_entity, about_source
from target_demandbase.schema import DELETED, REJECT_TYPE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from demandbase_api.models import ActivityType, ImportEntity
    from demandbase_api.ports import ImportApi
    from target_demandbase.mapping import ColumnPlan, StreamSchema
    from target_demandbase.remarks import Remark


_SHOWN = 20

_TEXT_TYPES = frozenset({"string", "text", "textarea", "varchar"})


@dataclass(frozen=True)
class StreamPlan:
    """How a stream is loaded.

    Args:
        stream: Name of the stream.
        entity: Name of the entity that its rows are imported into.
        operation: What the import does.
        match_key: The field that rows are matched on.
        fields: Demandbase field by column, in the schema's order.
        schema: JSON schema of its records.
        key_properties: Its key columns.
        source: The stream as the tap sent it, before stream maps.
        required: Columns without which Demandbase rejects a row.
        must_fill: Columns whose empty values would lose the row without an error.
        identity: Columns by any of which Demandbase may match rows, if no match key can be chosen;
            an empty text in place of a field that no column fills.
        activity_type: Id of the type of activity.
        list_action: What the import does to account lists.
        text_columns: Columns whose field takes any text.
        date_columns: Columns whose field is a date without a time.
        integer_columns: Columns whose field is a whole number.
        is_key_numeric: Whether the match key is a number, whose notation does not matter.
        is_headed_by_fields: Whether the header of a file is its fields' names, not the columns'.
        import_source: Name of the source that Demandbase is to see the rows of.
    """

    stream: str
    entity: str
    operation: ImportOperation
    match_key: str | None
    fields: Mapping[str, str]
    schema: Mapping[str, Any]
    key_properties: Sequence[str]
    source: StreamSchema
    required: frozenset[str] = frozenset()
    must_fill: frozenset[str] = frozenset()
    identity: tuple[str, ...] = ()
    activity_type: int | None = None
    list_action: ListAction = ListAction.NOOP
    text_columns: frozenset[str] = frozenset()
    date_columns: frozenset[str] = frozenset()
    integer_columns: frozenset[str] = frozenset()
    is_key_numeric: bool = False
    is_headed_by_fields: bool = False
    import_source: str = DEFAULT_SOURCE

    @property
    def key_column(self) -> str | None:
        """The column that fills the match key."""
        return next((name for name, field in self.fields.items() if field == self.match_key), None)

    @property
    def is_add_only(self) -> bool:
        """Whether each row becomes a record of its own, whatever its match key is."""
        return adds_rows(self.entity, self.operation)

    @property
    def is_replay(self) -> bool:
        """Whether the stream is a dead letter file that is sent again."""
        return REJECT_TYPE in self.source.schema.get("properties", {})

    def header(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the header of a file with some columns."""
        if self.is_headed_by_fields:
            return tuple(self.fields[name] for name in columns)
        return tuple(columns)

    def blanked(self, on_null: OnNull) -> frozenset[str]:
        """Return the columns that a record without them blanks."""
        if on_null is not OnNull.BLANK_ABSENT:
            return frozenset()
        # A record without a required column is rejected, not blanked.
        return frozenset(self.fields) - self.required

    def request(self, header: Sequence[str]) -> ImportRequest:
        """Return the request for the import of a file with a header."""
        fields = dict(zip(self.header(tuple(self.fields)), self.fields.values(), strict=True))
        return ImportRequest(
            entity=self.entity,
            operation=self.operation,
            match_key=self.match_key,
            mappings=tuple(ColumnMapping(name, fields[name]) for name in header),
            activity_type=self.activity_type,
            list_action=self.list_action,
            source=self.import_source,
        )

    def column_of(self, field: str) -> str | None:
        """Return the column that fills a field."""
        return next((name for name, filled in self.fields.items() if filled == field), None)


@dataclass(frozen=True)
class PlannedStream:
    """A stream that can be imported.

    Args:
        plan: Its plan.
        report: A report of its mapping, in several lines.
        remarks: What a user should know before its rows are sent.
    """

    plan: StreamPlan
    report: str
    remarks: tuple[Remark, ...]


def plan_stream(
    api: ImportApi, config: Mapping[str, Any], stream: StreamSchema, source: StreamSchema
) -> PlannedStream:
    """Plan a stream.

    Args:
        api: The import API.
        config: The settings.
        stream: The stream after stream maps.
        source: The stream as the tap sent it.

    Raises:
        RoutingError: The stream has no entity.
        MappingError: Its columns or settings do not fit the entity.
        PlanError: The entity has no such source.
    """
    name = entity_for(stream.stream, config.get("entity_map") or {}, api.capabilities.entities)
    activity_type = activity_type_for(api, config, stream.stream, name)
    import_source = source_for(api, config, stream.stream, name)
    documented, custom = api.entity(name, activity_type), custom_labels(config, name)
    settings = _mapping_settings(config, name)
    entity = with_custom_fields(documented, custom)
    columns, problems = check_columns(stream, entity, settings)
    tenant = source_labels(api, name, import_source)
    if not entity.is_complete and (
        problems or tenant.mapped or sent_custom_fields(entity, columns)
    ):
        tenant = with_exported(tenant, api, name)
    entity, settings = _compared(documented, settings, custom, tenant)
    columns = plan_columns(stream, entity, settings)
    required = _required_columns(entity, columns)
    column_of = {field: column for column, field in columns.fields.items()}
    plan = StreamPlan(
        stream=stream.stream,
        entity=name,
        operation=columns.operation,
        match_key=columns.match_key,
        fields=columns.fields,
        schema=stream.schema,
        key_properties=stream.key_properties,
        source=source,
        required=required,
        must_fill=required if entity.must_fill else frozenset(),
        identity=tuple(column_of.get(field, "") for field in entity.matched_on or ()),
        activity_type=activity_type,
        list_action=(
            ListAction(config["list_action"]) if entity.takes_list_action else ListAction.NOOP
        ),
        text_columns=_columns_of(entity, columns, _TEXT_TYPES),
        date_columns=_columns_of(entity, columns, {"date"}),
        integer_columns=_columns_of(entity, columns, INTEGER_TYPES),
        is_key_numeric=columns.match_key in _fields_of(entity, NUMERIC_TYPES),
        is_headed_by_fields=entity.headed_by_label,
        import_source=import_source,
    )
    from target_demandbase.mapping_report import mapping_report  # noqa: PLC0415 - yaml takes time

    return PlannedStream(
        plan,
        mapping_report(stream, entity, columns, source=import_source),
        (
            *about_entity(stream, entity, columns),
            *about_columns(stream, entity, settings, columns),
            *about_custom_fields(entity, columns, tenant),
            *about_source(entity, columns, tenant),
        ),
    )


def propose_settings(api: ImportApi, config: Mapping[str, Any], stream: StreamSchema) -> Proposal:
    """Return settings for a stream that cannot be planned, as far as names tell what is meant."""
    able = api.capabilities.entities
    name = (config.get("entity_map") or {}).get(stream.stream, stream.stream)
    if name not in able:
        name = likely_entity(stream, [api.entity(each) for each in able])
    meant: str | None = None
    try:
        activity_type = activity_type_for(api, config, stream.stream, name)
    except MappingError:
        near = _likely_type(api.activity_types(), config, stream.stream)
        if near is None:
            return Proposal(stream.stream, name, None, {}, ("activity_types must name its type",))
        activity_type, meant = near.id, near.name
    documented, custom = api.entity(name, activity_type), custom_labels(config, name)
    tenant = TenantLabels()
    if not documented.is_complete:
        tenant = with_exported(source_labels(api, name, config["source"]), api, name)
    entity, settings = _compared(documented, _mapping_settings(config, name), custom, tenant)
    proposal = propose(stream, entity, settings)
    return replace(proposal, activity_type=meant)


def _compared(
    documented: ImportEntity,
    settings: MappingSettings,
    custom: Sequence[str],
    tenant: TenantLabels,
) -> tuple[ImportEntity, MappingSettings]:
    """Return an entity with the labels of custom_fields that are right, and those of the tenant."""
    misspelt = misspelt_labels(documented, custom, tenant)
    right = [label for label in custom if label not in misspelt]
    entity = with_tenant_labels(with_custom_fields(documented, right), tenant)
    return entity, replace(settings, misspelt=misspelt)


def settings_of(config: Mapping[str, Any], plan: StreamPlan) -> Proposal:
    """Return the settings that lead to a stream's plan."""
    mappings = as_setting(_mapping_settings(config, plan.entity))
    return Proposal(plan.stream, plan.entity, plan.match_key, mappings)


def _mapping_settings(config: Mapping[str, Any], entity: str) -> MappingSettings:
    mappings = (config.get("field_mappings") or {}).get(entity) or {}
    return MappingSettings(
        operation=ImportOperation(config["operation"]),
        renamed={column: field for column, field in mappings.items() if field is not None},
        match_key=(config.get("match_keys") or {}).get(entity),
        drop_unknown=config["unknown_fields"] == "drop",
        left_out=frozenset(column for column, field in mappings.items() if field is None),
    )


def suits_blocks(plan: StreamPlan) -> bool:
    """Return whether a stream's records can be encoded many at a time."""
    plain = plain_columns(plan.schema, {*plan.fields, *plan.key_properties})
    if plain is None or len(plan.fields) < 2:  # noqa: PLR2004 - a null alone in its row
        return False
    kinds = {column.name: column.kind for column in plain}
    if DELETED in kinds or not kinds.keys() >= set(plan.key_properties):
        return False
    if plan.key_column is None or kinds[plan.key_column] is ColumnKind.INTEGER:
        return True
    return kinds[plan.key_column] is ColumnKind.TEXT and not plan.is_key_numeric


def entity_for(stream: str, entity_map: Mapping[str, str], entities: Collection[str]) -> str:
    """Return the entity of a stream: by the setting entity_map, or else by its name.

    Raises:
        RoutingError: There is no such entity.
    """
    entity = entity_map.get(stream, stream)
    if entity not in entities:
        known = ", ".join(sorted(entities))
        near = near_names(stream, entity_map)
        raise RoutingError(
            f"Stream {stream} has no entity that can be imported ({known})"
            f"{f', and entity_map does not name it{near}' if near else ''}. "
            f'Set entity_map to {{"{stream}": "<entity>"}}, or deselect the stream in the tap.',
            stream=stream,
        )
    return entity


def source_for(api: ImportApi, config: Mapping[str, Any], stream: str, entity: str) -> str:
    """Return the source that a stream's imports name.

    Raises:
        PlanError: Demandbase does not list it for the entity.
    """
    source: str = config["source"]
    if source == DEFAULT_SOURCE:
        return source
    known = api.sources(entity)
    if source not in known:
        near = in_brackets(nearest(source, known))
        raise PlanError(
            f"Stream {stream} cannot be imported with source: {source}, which Demandbase does not "
            f"list for {entity}{near}. Set source to one of {_some(known) or DEFAULT_SOURCE}.",
            stream=stream,
        )
    return source


def activity_type_for(
    api: ImportApi, config: Mapping[str, Any], stream: str, entity: str
) -> int | None:
    """Return the id of the activity type that a stream's imports must name, if any.

    Raises:
        MappingError: The setting activity_types does not name exactly one type.
    """
    if entity != ACTIVITIES or not api.capabilities.activity_types:
        return None
    wanted = (config.get("activity_types") or {}).get(stream)
    known = api.activity_types()
    found = [] if wanted is None else _find(known, wanted)
    if len(found) == 1:
        return found[0].id
    if wanted is None:
        problem = "must name the type of its activities"
    elif found:
        problem = "names an activity type by a name that several have: name it by its id"
    else:
        near = in_brackets(nearest(str(wanted), [kind.name for kind in known]))
        problem = f"names an activity type that does not exist{near}"
    some = _some([f"{kind.name} ({kind.id})" for kind in known]) or "none"
    raise MappingError(
        f"Stream {stream} is imported into {ACTIVITIES}: the setting activity_types {problem}. Set "
        f'it to {{"{stream}": <id or name>}}; there are {some}.',
        stream=stream,
    )


def _likely_type(
    known: Sequence[ActivityType], config: Mapping[str, Any], stream: str
) -> ActivityType | None:
    """Return the type whose name is near to that in the setting, or else part of the stream's."""
    counts = Counter(kind.name for kind in known)
    names = [name for name, count in counts.items() if count == 1]
    wanted = (config.get("activity_types") or {}).get(stream)
    near = (
        [name for name in names if plain_name(name) and plain_name(name) in plain_name(stream)]
        if wanted is None
        else nearest(str(wanted), names)[:1]
    )
    return next((kind for kind in known if near == [kind.name]), None)


def _some(names: Sequence[str]) -> str:
    more = " and more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _find(known: Sequence[ActivityType], wanted: str | int) -> list[ActivityType]:
    text = str(wanted).strip()
    by_id = [kind for kind in known if str(kind.id) == text]
    return by_id or [kind for kind in known if kind.name == text]


def _required_columns(entity: ImportEntity, plan: ColumnPlan) -> frozenset[str]:
    if plan.operation is ImportOperation.UPDATE:
        return frozenset()
    return frozenset(column for column, field in plan.fields.items() if field in entity.required)


def _fields_of(entity: ImportEntity, types: Collection[str]) -> set[str]:
    """Return the fields of some types: in lower case, without spaces, underscores and hyphens."""
    return {
        field.name
        for field in entity.fields
        if "".join(filter(str.isalnum, field.type.casefold())) in types
    }


def _columns_of(entity: ImportEntity, plan: ColumnPlan, types: Collection[str]) -> frozenset[str]:
    """Return the columns whose field is of one of some types."""
    found = _fields_of(entity, types)
    return frozenset(column for column, field in plan.fields.items() if field in found)
