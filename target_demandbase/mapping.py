"""Which columns of a stream fill which fields; checked before any row is sent."""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from dataclasses import field as member
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

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
        misspelt: Labels of the setting custom_fields that are another label, spelt otherwise, with
            that label.
    """

    operation: ImportOperation
    renamed: Mapping[str, str]
    match_key: str | None
    drop_unknown: bool
    left_out: frozenset[str] = frozenset()
    misspelt: Mapping[str, str] = member(default_factory=dict)

    def named(self, column: str) -> Named:
        """Return what names the field of a column."""
        if column in self.left_out:
            return Named.NULL
        return Named.SETTING if column in self.renamed else Named.COLUMN


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


class Named(StrEnum):
    """What names the field of a column."""

    COLUMN = "the column's own name"
    SETTING = "field_mappings"
    NULL = "null in field_mappings"


class Standing(StrEnum):
    """What is known of the field that a column would fill."""

    KNOWN = "Demandbase documents or lists it, or custom_fields names it"
    UNNAMED = "the tenant has it, and neither the documents nor custom_fields name it"
    MISSPELT = "it differs from a known one in case and separators only"
    BLANK = "it has no name"
    UNKNOWN = "nothing knows it"


class Fate(StrEnum):
    """What happens to a column."""

    SENT = "sent"
    LEFT_OUT = "left out"
    DROPPED = "dropped"
    REFUSED = "refused"


def fate(named: Named, standing: Standing, *, drops_unknown: bool) -> Fate:
    """Decide what happens to a column. Only known fields are sent.

    | Named by | Field | unknown_fields | Column |
    |---|---|---|---|
    | null in field_mappings | any | any | left out |
    | anything else | known | any | sent |
    | field_mappings | any other | any | refused: the setting is wrong |
    | its own name | any other | drop | dropped |
    | its own name | any other | fail | refused |

    Args:
        named: What names its field.
        standing: What is known of the field.
        drops_unknown: Whether the setting unknown_fields is ``drop``.
    """
    match named:
        case Named.NULL:
            return Fate.LEFT_OUT
        case _ if standing is Standing.KNOWN:
            return Fate.SENT
        case Named.SETTING:
            return Fate.REFUSED
        case Named.COLUMN:
            return Fate.DROPPED if drops_unknown else Fate.REFUSED
        case _:
            assert_never(named)


def standing(field: str, entity: ImportEntity) -> Standing:
    """Return what is known of a field, by the name that a column or a setting has for it."""
    if field in entity.field_names:
        return Standing.KNOWN
    if not field.strip():
        return Standing.BLANK
    if same_name(field, entity.field_names) is not None:
        return Standing.MISSPELT
    return Standing.UNNAMED if field in entity.others else Standing.UNKNOWN


def visible(label: str) -> str:
    """Return a label with escape sequences for what cannot be seen, or looks like a space."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in label
    )


def plain_name(name: str) -> str:
    """Return a name without case and separators."""
    return "".join(filter(str.isalnum, name)).casefold()


def same_name(field: str, names: Iterable[str]) -> str | None:
    """Return the first of some names that differs from a field's in case and separators only."""
    plain = plain_name(field)
    return next((name for name in names if plain and plain_name(name) == plain), None)


def near_fields(field: str, names: Iterable[str], entity: ImportEntity) -> str:
    """Return the names that are near to that of a field, in brackets; empty if none is.

    Args:
        field: A name that is unknown.
        names: Fields that it may mean.
        entity: Their entity; a label that only the tenant knows must be named in custom_fields.
    """
    near = nearest(field, names)
    others = nearest(field, entity.others)
    if others:
        near.append(f"with custom_fields.{entity.name}: {', '.join(others)}")
    return f" (near: {'; '.join(near) if others else ', '.join(near)})" if near else ""


def in_brackets(near: Sequence[str]) -> str:
    """Return names that are near, in brackets; empty if there is none."""
    return f" (near: {', '.join(near)})" if near else ""


def nearest(field: str, names: Iterable[str]) -> list[str]:
    """Return the names that are near to that of a field, at most three."""
    # The labels of uapi differ from usual names of columns in case and separators.
    by_name = {plain_name(name): name for name in names}
    found = difflib.get_close_matches(plain_name(field), by_name, n=3)
    return [by_name[name] for name in found]


def plan_columns(
    stream: StreamSchema, entity: ImportEntity, settings: MappingSettings
) -> ColumnPlan:
    """Map a stream's columns to the entity's fields.

    Raises:
        MappingError: Something does not fit; the one message names all of it.
    """
    plan, problems = check_columns(stream, entity, settings)
    if problems:
        kind = f" of type {entity.kind}" if entity.kind else ""
        raise MappingError(
            f"Stream {stream.stream} does not fit the entity {entity.name}{kind}: "
            f"{'; '.join(problems)}. {advice(entity)}",
            stream=stream.stream,
        )
    return plan


def advice(entity: ImportEntity) -> str:
    """Return what to do about columns that do not fit."""
    name = entity.name
    custom = (
        ""
        if entity.is_complete
        else f" If the tenant has a field that is not documented, name its label in "
        f"custom_fields.{name}."
    )
    return (
        f"Rename columns with field_mappings.{name}, leave one out with __NULL__ there and all "
        f"unknown ones with unknown_fields: drop, or deselect them in the tap.{custom}"
    )


def check_columns(
    stream: StreamSchema, entity: ImportEntity, settings: MappingSettings
) -> tuple[ColumnPlan, list[str]]:
    """Return which columns are sent, and a clause for each problem that keeps rows from it."""
    operation = entity.fixed_operation or settings.operation
    fields, dropped, problems = _map_columns(stream, entity, settings)
    problems += _setting_problems(stream, entity, settings.renamed)
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
    """Return the field of each column, the columns to drop, and clauses for refused columns."""
    fields: dict[str, str] = {}
    dropped: list[str] = []
    problems: list[str] = []
    for column in stream.schema["properties"]:
        if column.startswith(METADATA_PREFIXES):
            continue
        field, named = settings.renamed.get(column, column), settings.named(column)
        known = Standing.MISSPELT if field in settings.misspelt else standing(field, entity)
        match fate(named, known, drops_unknown=settings.drop_unknown):
            case Fate.SENT:
                fields[column] = field
            case Fate.DROPPED:
                dropped.append(column)
            case Fate.REFUSED:
                via = f" (through field_mappings: {field})" if named is Named.SETTING else ""
                problems.append(f"column {column}{via} {_refusal(field, known, entity, settings)}")
            case Fate.LEFT_OUT:
                pass
    return fields, dropped, problems


def _refusal(field: str, known: Standing, entity: ImportEntity, settings: MappingSettings) -> str:
    match known:
        case Standing.MISSPELT if field in settings.misspelt:
            return (
                f"is named by custom_fields.{entity.name} as {visible(field)}, which differs in "
                f"spelling from {settings.misspelt[field]} (if the tenant has both fields, add "
                "this one to its Export Collection, whose fields are read once a day)"
            )
        case Standing.MISSPELT:
            meant = same_name(field, entity.field_names)
            return f"differs in spelling from the field {meant}"
        case Standing.BLANK:
            return "has no name"
        case Standing.UNNAMED:
            return (
                f"is not documented, but the tenant has it: custom_fields.{entity.name} must name "
                f"{field}"
            )
        case Standing.UNKNOWN | Standing.KNOWN:
            return f"is unknown{near_fields(field, entity.field_names, entity)}"
        case _:
            assert_never(known)


def _setting_problems(
    stream: StreamSchema, entity: ImportEntity, renamed: Mapping[str, str]
) -> list[str]:
    """Return a clause for each field of field_mappings that is unknown in whatever stream.

    The fields of an entity that are not all known may depend on the stream (activity types).
    """
    if not entity.is_complete:
        return []
    names, columns = entity.field_names, stream.schema["properties"]
    return [
        f"field_mappings.{entity.name}.{column} names the unknown field {field}"
        f"{near_fields(field, names, entity)}"
        for column, field in renamed.items()
        if field not in names and column not in columns
    ]


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
