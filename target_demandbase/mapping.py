"""Which columns of a stream fill which fields; checked before any row is sent."""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demandbase_api.models import ImportOperation
from target_demandbase.errors import MappingError
from target_demandbase.schema import REJECT_PREFIX, json_types

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from demandbase_api.models import FieldMapping, ImportEntity


logger = logging.getLogger("target-demandbase")

METADATA_PREFIXES = ("_sdc_", REJECT_PREFIX)
"""Prefixes of columns that describe a record and are never sent."""

_NESTED = frozenset({"object", "array"})

_NO_DATE = _NESTED | {"boolean", "integer", "number"}

INTEGER_TYPES = ("integer", "int", "long", "bigint", "short", "smallint")

NUMERIC_TYPES = (
    *INTEGER_TYPES,
    "number", "numeric", "double", "float", "decimal", "currency", "percent",
)  # fmt: skip
"""Types of fields that are numbers, in lower case and without spaces, underscores and hyphens."""

# By field type, in lower case and without spaces, underscores and hyphens: JSON types that cannot
# fit. Fields of other types may accept any value.
_UNFIT: dict[str, frozenset[str]] = {
    **dict.fromkeys((*NUMERIC_TYPES, "boolean", "bool"), _NESTED),
    **dict.fromkeys(("date", "datetime", "timestamp"), _NO_DATE),
}

_ANY_ID = frozenset({"id", "crm_id", "external_id"})

_IDENTIFYING = {
    "accounts": ("account_id", "domain"),
    "people": ("person_id", "email"),
    "opportunities": ("opportunity_id",),
    "activities": ("activity_id",),
}
"""By entity, how the names of fields end that may identify its records."""

# Names of properties may contain data, and their number has no limit.
_MAX_NAMES = 100

_SDK_NAMES = frozenset(
    f"_sdc_{name}"
    for name in (
        "extracted_at", "received_at", "batched_at", "sequence", "table_version", "sync_started_at",
    )
)  # fmt: skip


@dataclass(frozen=True)
class StreamSchema:
    """The SCHEMA message of a stream, as the tap sent it or as stream maps changed it.

    Args:
        stream: Name of the stream.
        schema: JSON schema of its records.
        key_properties: Its key columns.
    """

    stream: str
    schema: Mapping[str, Any]
    key_properties: Sequence[str]


@dataclass(frozen=True)
class MappingSettings:
    """The settings that map a stream to an entity.

    Args:
        operation: The setting operation.
        renamed: The setting field_mappings of the entity: field by column.
        left_out: Columns that this setting leaves out.
        match_key: The setting match_keys of the entity.
        drop_unknown: Whether the setting unknown_fields is ``drop``.
    """

    operation: ImportOperation
    renamed: Mapping[str, str]
    match_key: str | None
    drop_unknown: bool
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ColumnPlan:
    """Which columns of a stream are sent.

    Args:
        operation: What the import does.
        fields: Demandbase field by column, in the schema's order.
        dropped: Columns that are not sent because Demandbase does not know them.
        match_key: The field that rows are matched on.
        left_out: Columns that are not sent because the setting field_mappings says so.
    """

    operation: ImportOperation
    fields: Mapping[str, str]
    dropped: tuple[str, ...]
    match_key: str | None
    left_out: tuple[str, ...] = ()


def plan_columns(
    stream: StreamSchema, entity: ImportEntity, settings: MappingSettings
) -> ColumnPlan:
    """Map a stream's columns to the entity's fields.

    Raises:
        MappingError: Something does not fit; the one message names all of it.
    """
    plan, problems = check_columns(stream, entity, settings)
    if problems:
        raise MappingError(
            f"Stream {stream.stream} does not fit the entity {entity.name}: {'; '.join(problems)}. "
            f"{advice(entity.name)}",
            stream=stream.stream,
        )
    return plan


def advice(entity: str) -> str:
    """Return what to do about columns that do not fit."""
    return (
        f"Rename columns with field_mappings.{entity}, leave one out with __NULL__ there and all "
        "unknown ones with unknown_fields: drop, or deselect them in the tap."
    )


def check_columns(
    stream: StreamSchema, entity: ImportEntity, settings: MappingSettings
) -> tuple[ColumnPlan, list[str]]:
    """Return which columns are sent, and a clause for each problem that keeps rows from it."""
    operation = entity.fixed_operation or settings.operation
    fields, dropped, problems = _map_columns(stream, entity, settings)
    problems += _setting_problems(stream, entity, settings.renamed, fields)
    problems += _duplicates(fields)
    problems += type_problems(stream.stream, stream.schema["properties"], fields, entity.fields)
    filled = set(fields.values())
    if operation is not ImportOperation.UPDATE:
        missing = [name for name in entity.required if name not in filled]
        problems += [
            f"required field {name} is filled by no column{_absent(name, stream, settings)}"
            for name in missing
        ]
    if not fields:
        problems.append("no column is left to send")
    match_key = None
    if entity.matched_on is None:
        key_fields = [settings.renamed.get(column, column) for column in stream.key_properties]
        sent_keys = [] if settings.left_out.intersection(stream.key_properties) else key_fields
        match_key = match_key_for(settings.match_key, sent_keys)
        problems += _match_key_problems(entity, operation, match_key, sent_keys, filled)
    left_out = tuple(filter(settings.left_out.__contains__, stream.schema["properties"]))
    return ColumnPlan(operation, fields, tuple(dropped), match_key, left_out), problems


def _absent(field: str, stream: StreamSchema, settings: MappingSettings) -> str:
    """Return the columns that are to fill a field and that the stream does not have."""
    columns = [column for column, name in settings.renamed.items() if name == field]
    absent = [column for column in columns if column not in stream.schema["properties"]]
    if not absent:
        return ""
    return f" (field_mappings names {' and '.join(absent)}, which the stream does not have)"


def _map_columns(
    stream: StreamSchema, entity: ImportEntity, settings: MappingSettings
) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the field of each column, the columns to drop, and clauses for unknown columns."""
    fields: dict[str, str] = {}
    dropped: list[str] = []
    problems: list[str] = []
    for column in stream.schema["properties"]:
        if column.startswith(METADATA_PREFIXES) or column in settings.left_out:
            continue
        is_renamed = column in settings.renamed
        field = settings.renamed.get(column, column)
        if field in entity.field_names or (is_renamed and not entity.is_complete):
            fields[column] = field
        elif settings.drop_unknown and not is_renamed:
            dropped.append(column)
        else:
            via = f" (through field_mappings: {field})" if is_renamed else ""
            problems.append(f"column {column}{via} is unknown{_near(field, entity.field_names)}")
    return fields, dropped, problems


def _setting_problems(
    stream: StreamSchema,
    entity: ImportEntity,
    renamed: Mapping[str, str],
    fields: Mapping[str, str],
) -> list[str]:
    """Return a clause for each field of field_mappings that must be a mistake."""
    if not entity.is_complete:
        return _misspelt(fields, entity.field_names)
    names, columns = entity.field_names, stream.schema["properties"]
    return [
        f"field_mappings.{entity.name}.{column} names the unknown field {field}"
        f"{_near(field, names)}"
        for column, field in renamed.items()
        if field not in names and column not in columns
    ]


def _misspelt(fields: Mapping[str, str], documented: Collection[str]) -> list[str]:
    """Return a clause for each field that differs from a documented one in spelling only."""
    plain = {plain_name(name): name for name in documented}
    problems = []
    for column, field in fields.items():
        meant = plain.get(plain_name(field))
        if not field.strip():
            problems.append(f"column {column} has no name through field_mappings")
        elif field not in documented and meant is not None:
            problems.append(
                f"column {column} (through field_mappings: {field}) differs in spelling from "
                f"the field {meant}"
            )
    return problems


def plain_name(name: str) -> str:
    """Return a name without case and separators."""
    return "".join(filter(str.isalnum, name)).casefold()


def _near(field: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(field, names, n=3)
    return f" (near: {', '.join(near)})" if near else ""


def _duplicates(fields: Mapping[str, str]) -> list[str]:
    by_field: dict[str, list[str]] = {}
    for column, field in fields.items():
        by_field.setdefault(field, []).append(column)
    return [
        f"columns {', '.join(columns)} fill the same field {field}"
        for field, columns in by_field.items()
        if len(columns) > 1
    ]


def type_problems(
    stream: str,
    schema_properties: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, str],
    mappings: Sequence[FieldMapping],
) -> list[str]:
    """Return a clause for each column none of whose values can fit its field.

    Args:
        stream: Name of the stream.
        schema_properties: JSON schemas by column.
        fields: Demandbase field by column.
        mappings: The entity's fields.
    """
    kinds = {field.name: field.type for field in mappings}
    problems = []
    for column, field in fields.items():
        types = json_types(schema_properties.get(column, {}))
        kind = kinds.get(field, "")
        unfit = _UNFIT.get("".join(filter(str.isalnum, kind.lower())), frozenset())
        # A column that also allows a type that fits is checked by Demandbase, row by row.
        if types and unfit.issuperset(types):
            problems.append(
                f"column {column} of stream {stream} is {' or '.join(types)}, "
                f"which cannot fit the field {field} ({kind})"
            )
    return problems


def match_key_for(setting: str | None, key_fields: Sequence[str]) -> str | None:
    """Return the match key: the setting match_keys, or else the field of the single key property.

    Args:
        setting: The setting match_keys of the stream's entity.
        key_fields: The fields that the stream's key properties fill.
    """
    return setting or (key_fields[0] if len(key_fields) == 1 else None)


def identifying_fields(
    entity: str, filled: Collection[str], key_fields: Collection[str]
) -> list[str]:
    """Return the fields that may identify a record, by their names: the API does not say which do.

    Args:
        entity: Name of the entity.
        filled: The fields that columns fill.
        key_fields: Those that the stream's key properties fill.
    """
    ends = _IDENTIFYING.get(entity, ())
    return [
        name
        for name in sorted(filled)
        if name in key_fields or name.casefold() in _ANY_ID or name.casefold().endswith(ends)
    ]


def _one_of(names: Sequence[str]) -> str:
    return f"one of {', '.join(names)}"


def _match_key_problems(
    entity: ImportEntity,
    operation: ImportOperation,
    match_key: str | None,
    key_fields: Sequence[str],
    filled: Collection[str],
) -> list[str]:
    """Return a clause if the match key cannot be used; only insert works without one."""
    found = identifying_fields(entity.name, filled, key_fields)
    hint = f" (set match_keys.{entity.name} to {_one_of(found)})" if found else ""
    if filled and not found:
        able = identifying_fields(entity.name, entity.field_names, ())
        field = _one_of(able) if able else "the field that identifies a record"
        hint = f" (map a column to {field}, and set match_keys.{entity.name} to it)"
    if match_key is not None:
        return [] if match_key in filled else [f"no column fills the match key {match_key}{hint}"]
    if operation is ImportOperation.INSERT:
        return []
    has = f"the keys {', '.join(key_fields)}" if key_fields else "no key"
    return [f"it has {has}, and one field must be chosen to match rows on{hint}"]


class UnknownProperties:
    """Properties of one stream's records that the schema does not have, and that are not sent.

    Args:
        stream: Name of the stream.
        properties: The properties of its schema.
    """

    def __init__(self, stream: str, properties: Iterable[str]) -> None:
        self._stream = stream
        self._known = set(properties)
        self.seen: frozenset[str] = _SDK_NAMES
        """Those that were logged or need no warning; about a hundred at most."""

    def warn(self, record: Mapping[str, object]) -> None:
        """Warn of each unknown property of a record once."""
        if record.keys() <= self._known:
            return
        for name in record.keys() - self._known:
            if len(self.seen) >= _MAX_NAMES:
                return
            self._known.add(name)
            self.seen |= {name}
            if not name.startswith(METADATA_PREFIXES):
                logger.warning(
                    "Records of stream %s have a property %s that their schema lacks; "
                    "it is not sent.",
                    self._stream,
                    name,
                )
