"""Which columns of a stream fill which fields; checked before any row is sent."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_api.models import FieldMapping, ImportOperation
from target_demandbase.dead_letters import REJECT_PREFIX
from target_demandbase.errors import MappingError
from target_demandbase.headers import header_problems
from target_demandbase.match_key import match_key_for, match_key_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

METADATA_PREFIXES = ("_sdc_", REJECT_PREFIX)
"""Columns that say something of a record and are never sent."""


@dataclass(frozen=True)
class ColumnPlan:
    """What is sent of a stream.

    Args:
        fields: Demandbase field by column, in the schema's order.
        dropped: Columns that are not sent, since Demandbase does not know them.
        match_key: The field that rows are matched on.
    """

    fields: Mapping[str, str]
    dropped: tuple[str, ...]
    match_key: str | None


def plan_columns(  # noqa: PLR0913
    *,
    stream: str,
    entity: str,
    columns: Sequence[str],
    known: Sequence[FieldMapping],
    renamed: Mapping[str, str],
    operation: ImportOperation,
    drop_unknown: bool,
    match_key: str | None,
    key_properties: Sequence[str],
    is_listed: bool = True,
    has_match_key: bool = True,
    problems_of: Callable[[Mapping[str, str]], Sequence[str]] = lambda _fields: (),
) -> ColumnPlan:
    """Match a stream's columns with the entity's fields.

    Args:
        stream: Name of the stream.
        entity: Where it goes.
        columns: Properties of its schema.
        known: The fields that can be imported.
        renamed: The setting field_mappings for the entity.
        operation: What the import does; update needs no required fields.
        drop_unknown: Whether unknown columns are left out rather than refused.
        match_key: The setting match_keys for the entity.
        key_properties: The stream's key columns.
        is_listed: Whether ``known`` are all fields that there are; where they are not, those that
            ``renamed`` names are taken, too.
        has_match_key: Whether a field must be chosen to match rows on.
        problems_of: Returns further problems of a mapping from column to field.

    Raises:
        MappingError: Something does not fit; the one message names all of it.
    """
    names = [field.name for field in known]
    problems: list[str] = []
    fields: dict[str, str] = {}
    dropped: list[str] = []
    for column in columns:
        if column.startswith(METADATA_PREFIXES):
            continue
        field = renamed.get(column, column)
        if field in names or (column in renamed and not is_listed):
            fields[column] = field
        elif drop_unknown and column not in renamed:
            dropped.append(column)
        else:
            via = f" (through field_mappings: {field})" if column in renamed else ""
            problems.append(f"column {column}{via} is unknown{_near(field, names)}")
    problems += (
        _unknown(entity, renamed, columns, names) if is_listed else header_problems(fields, names)
    )
    problems += _doubled(fields)
    problems += problems_of(fields)
    filled = set(fields.values())
    if operation is not ImportOperation.UPDATE:
        missing = [field.name for field in known if field.required and field.name not in filled]
        problems += [f"required field {name} is filled by no column" for name in missing]
    if not fields:
        problems.append("no column is left to send")
    key_fields = [renamed.get(column, column) for column in key_properties]
    match_key = match_key_for(match_key, key_fields) if has_match_key else None
    problem = match_key_problem(entity, operation, match_key, key_fields, filled)
    problems += [problem] if problem and has_match_key else []
    if problems:
        raise MappingError(
            f"Stream {stream} does not fit the entity {entity}: {'; '.join(problems)}. "
            f"Rename columns with field_mappings.{entity}, leave unknown ones out with "
            "unknown_fields: drop, or deselect them in the tap.",
            stream=stream,
        )
    return ColumnPlan(fields, tuple(dropped), match_key)


def _unknown(
    entity: str, renamed: Mapping[str, str], columns: Sequence[str], names: Sequence[str]
) -> list[str]:
    return [
        f"field_mappings.{entity}.{column} names the unknown field {field}{_near(field, names)}"
        for column, field in renamed.items()
        if field not in names and column not in columns
    ]


def _near(field: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(field, names, n=3)
    return f" (near: {', '.join(near)})" if near else ""


def _doubled(fields: Mapping[str, str]) -> list[str]:
    by_field: dict[str, list[str]] = {}
    for column, field in fields.items():
        by_field.setdefault(field, []).append(column)
    return [
        f"columns {', '.join(columns)} fill the same field {field}"
        for field, columns in by_field.items()
        if len(columns) > 1
    ]
