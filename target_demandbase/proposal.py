"""Settings that answer what is open about a stream's mapping, as far as names can tell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from demandbase_api.models import ACTIVITIES, ImportOperation
from target_demandbase.labels import sent_custom_fields, with_custom_fields
from target_demandbase.mapping import (
    METADATA_PREFIXES,
    check_columns,
    identifying_fields,
    plain_name,
    same_name,
    type_problems,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from demandbase_api.models import ImportEntity
    from target_demandbase.mapping import MappingSettings, StreamSchema

_SINGULAR = {
    "accounts": "account",
    "people": "person",
    "opportunities": "opportunity",
    ACTIVITIES: "activity",
}


@dataclass(frozen=True)
class Proposal:
    """Settings under which a stream can be imported.

    Args:
        stream: Name of the stream.
        entity: Name of its entity.
        match_key: The field to match rows on.
        fields: The setting field_mappings of the entity.
        custom: Labels to add to the setting custom_fields of the entity.
        activity_type: The activity type that the setting activity_types lacks or misspells.
        remaining: Clauses for what still keeps the stream from being imported.
        report: What fills what under these settings.
    """

    stream: str
    entity: str
    match_key: str | None
    fields: Mapping[str, str | None]
    remaining: tuple[str, ...] = ()
    report: str = ""
    custom: tuple[str, ...] = ()
    activity_type: str | None = None


def propose(stream: StreamSchema, entity: ImportEntity, settings: MappingSettings) -> Proposal:
    """Return settings under which a stream's columns fit an entity.

    A column that does not fit gets the field that has its name but for case and separators and the
    entity's own name, or else is left out: a column in a wrong field would do harm. So a field that
    the tenant has, and that is not documented, is taken only if field_mappings names it already:
    that a field can be exported does not say that it can be imported.
    """
    entity = with_custom_fields(entity, _meant(settings, entity))
    plan, _ = check_columns(stream, entity, settings)
    fitting = _fitting(stream, entity, settings, plan.fields)
    mapped = {**fitting, **_counterparts(stream, entity, settings, fitting)}
    known, columns = set(entity.field_names), stream.schema["properties"]
    others: dict[str, str | None] = {
        column: field
        for column, field in as_setting(settings).items()
        if column not in columns and (field is None or field in known or not entity.is_complete)
    }
    fields = others | {
        column: mapped.get(column)
        for column in columns
        if not column.startswith(METADATA_PREFIXES)
        and mapped.get(column) != column
        and (column in mapped or column not in plan.dropped)
    }
    answer = replace(
        settings,
        renamed={column: field for column, field in fields.items() if field is not None},
        left_out=frozenset(column for column, field in fields.items() if field is None),
    )
    answer = replace(answer, match_key=_match_key(stream, entity, settings, mapped))
    plan, remaining = check_columns(stream, entity, answer)
    from target_demandbase.mapping_report import mapping_report  # noqa: PLC0415 - yaml takes time

    return Proposal(
        stream.stream,
        entity.name,
        answer.match_key,
        fields,
        (*remaining, *_given_up(settings, answer, entity)),
        mapping_report(stream, entity, plan, is_open=True),
        sent_custom_fields(entity, plan),
    )


def _given_up(
    settings: MappingSettings, answer: MappingSettings, entity: ImportEntity
) -> Iterable[str]:
    """Return a clause for each column that loses the label that field_mappings gave it."""
    if entity.is_complete:
        return ()
    return [
        f"column {column} is left out, since {label} is neither documented nor among the fields "
        f"that the tenant exports (if the tenant has it, map the column again, and name the label "
        f"in custom_fields.{entity.name})"
        for column, label in settings.renamed.items()
        if column in answer.left_out
    ]


def _meant(settings: MappingSettings, entity: ImportEntity) -> Iterable[str]:
    """Return the labels of the tenant that field_mappings names, but for case and separators."""
    by_name = _unique({label: plain_name(label) for label in entity.others})
    named = {plain_name(field) for field in settings.renamed.values()}
    return [
        label
        for plain, label in by_name.items()
        if plain in named and same_name(label, entity.field_names) is None
    ]


def as_setting(settings: MappingSettings) -> dict[str, str | None]:
    """Return the setting field_mappings of an entity."""
    return {**settings.renamed, **dict.fromkeys(sorted(settings.left_out))}


def likely_entity(stream: StreamSchema, entities: Iterable[ImportEntity]) -> str:
    """Return the entity that a stream is most likely meant for: by its name, or else its columns.

    Args:
        stream: The stream.
        entities: The entities that it can be imported into, at least one.
    """
    name = plain_name(stream.stream)
    columns = set(stream.schema["properties"])

    def rank(entity: ImportEntity) -> tuple[bool, bool, int, bool]:
        is_named = entity.name in name or _SINGULAR.get(entity.name, entity.name) in name
        names = {_short(column, entity.name) for column in columns}
        alike = names.intersection(_short(field, entity.name) for field in entity.field_names)
        keys = identifying_fields(entity.name, entity.field_names, ())
        is_matched = not alike.isdisjoint(_short(key, entity.name) for key in keys)
        return is_named, is_matched, len(alike), entity.name != ACTIVITIES

    return max(sorted(entities, key=lambda entity: entity.name), key=rank).name


def _fitting(
    stream: StreamSchema,
    entity: ImportEntity,
    settings: MappingSettings,
    planned: Mapping[str, str],
) -> dict[str, str]:
    """Return the field of each column that fits as the settings are."""
    known = set(entity.field_names)
    spellings = {plain_name(name) for name in known}
    fields: dict[str, str] = {}
    # A column that is renamed is meant more than one that has the field's name by chance.
    for column in sorted(planned, key=lambda each: each not in settings.renamed):
        field = planned[column]
        is_misspelt = field not in known and plain_name(field) in spellings
        if not field.strip() or is_misspelt or field in fields.values():
            continue
        if not type_problems(
            stream.stream, stream.schema["properties"], {column: field}, entity.fields
        ):
            fields[column] = field
    return fields


def _counterparts(
    stream: StreamSchema,
    entity: ImportEntity,
    settings: MappingSettings,
    fields: Mapping[str, str],
) -> dict[str, str]:
    """Return the field of each other column that has the name of exactly one free field."""
    columns = [
        column
        for column in stream.schema["properties"]
        if not column.startswith(METADATA_PREFIXES)
        and column not in fields
        and column not in settings.left_out
    ]
    found: dict[str, str] = {}
    names: tuple[Callable[[str], str], ...] = (
        plain_name,
        lambda name: _short(name, entity.name),
    )
    for short in names:
        taken = {*fields.values(), *found.values()}
        by_name = _unique({name: short(name) for name in entity.field_names if name not in taken})
        wanted = {
            column: short(settings.renamed.get(column, column))
            for column in columns
            if column not in found
        }
        for plain, column in _unique(wanted).items():
            field = by_name.get(plain)
            # The id of a row in its source is rarely the id in Demandbase.
            if field is None or plain in {"", "id"}:
                continue
            schema = stream.schema["properties"]
            if not type_problems(stream.stream, schema, {column: field}, entity.fields):
                found[column] = field
    return found


def _unique(names: Mapping[str, str]) -> dict[str, str]:
    """Return the name by short name, for those that have a short name alone."""
    counts = Counter(names.values())
    return {short: name for name, short in names.items() if counts[short] == 1}


def _short(name: str, entity: str) -> str:
    """Return a name without case, separators and the entity's own name."""
    return plain_name(name).replace(_SINGULAR.get(entity, entity), "")


def _match_key(
    stream: StreamSchema,
    entity: ImportEntity,
    settings: MappingSettings,
    fields: Mapping[str, str],
) -> str | None:
    """Return the field to match rows on, if one must be chosen and any column fills one."""
    if entity.matched_on is not None:
        return None
    filled: Collection[str] = set(fields.values())
    if settings.match_key in filled:
        return settings.match_key
    operation = entity.fixed_operation or settings.operation
    if operation is ImportOperation.INSERT and settings.match_key is None:
        return None
    keys = [fields[column] for column in stream.key_properties if column in fields]
    found = identifying_fields(entity.name, filled, keys)
    required = [name for name in found if name in entity.required]
    single = keys if len(stream.key_properties) == 1 else []
    # A field that a column must still be mapped to.
    needed = identifying_fields(entity.name, entity.required, ())
    return next(iter([*single, *required, *found, *needed]), None)
