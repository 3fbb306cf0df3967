"""Which columns of a stream fill which fields; checked before any row is sent."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_api.models import FieldMapping, ImportOperation
from target_demandbase.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METADATA_PREFIX = "_sdc_"


@dataclass(frozen=True)
class ColumnPlan:
    """What is sent of a stream.

    Args:
        fields: Demandbase field by column, in the schema's order.
        dropped: Columns that are not sent, since Demandbase does not know them.
    """

    fields: Mapping[str, str]
    dropped: tuple[str, ...]


def plan_columns(  # noqa: PLR0913
    *,
    stream: str,
    entity: str,
    columns: Sequence[str],
    known: Sequence[FieldMapping],
    renamed: Mapping[str, str],
    operation: ImportOperation,
    drop_unknown: bool,
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

    Raises:
        MappingError: Something does not fit; the one message names all of it.
    """
    names = [field.name for field in known]
    problems: list[str] = []
    fields: dict[str, str] = {}
    dropped: list[str] = []
    for column in columns:
        if column.startswith(METADATA_PREFIX):
            continue
        field = renamed.get(column, column)
        if field in names:
            fields[column] = field
        elif drop_unknown and column not in renamed:
            dropped.append(column)
        else:
            near = difflib.get_close_matches(field, names, n=3)
            hint = f" (near: {', '.join(near)})" if near else ""
            via = f" (through field_mappings: {field})" if column in renamed else ""
            problems.append(f"column {column}{via} is unknown{hint}")
    problems += _doubled(fields)
    filled = set(fields.values())
    if operation is not ImportOperation.UPDATE:
        missing = [field.name for field in known if field.required and field.name not in filled]
        problems += [f"required field {name} is filled by no column" for name in missing]
    if not fields:
        problems.append("no column is left to send")
    if problems:
        raise MappingError(
            f"Stream {stream} does not fit the entity {entity}: {'; '.join(problems)}. "
            f"Rename columns with field_mappings.{entity}, leave unknown ones out with "
            "unknown_fields: drop, or deselect them in the tap.",
            stream=stream,
        )
    return ColumnPlan(fields, tuple(dropped))


def _doubled(fields: Mapping[str, str]) -> list[str]:
    by_field: dict[str, list[str]] = {}
    for column, field in fields.items():
        by_field.setdefault(field, []).append(column)
    return [
        f"columns {', '.join(columns)} fill the same field {field}"
        for field, columns in by_field.items()
        if len(columns) > 1
    ]
