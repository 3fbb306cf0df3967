"""What a stream's columns become in Demandbase, for a person to check before rows are sent."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from demandbase_api.models import ImportOperation
from target_demandbase.column_types import json_types, type_problems
from target_demandbase.yaml_text import block, scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from demandbase_api.models import FieldMapping
    from target_demandbase.columns import ColumnPlan

__all__ = ["mapping_report", "settings_lines", "type_problems"]


def mapping_report(  # noqa: PLR0913
    *,
    stream: str,
    entity: str,
    operation: ImportOperation,
    match_key: str | None,
    plan: ColumnPlan,
    mappings: Sequence[FieldMapping],
    schema: Mapping[str, Any],
    has_match_key: bool = True,
) -> str:
    """Return the report: several lines without an end of line after the last.

    Args:
        stream: Name of the stream.
        entity: Where it goes.
        operation: What the import does.
        match_key: The field that rows are matched on.
        plan: What is sent of the stream.
        mappings: The entity's fields.
        schema: The stream's JSON schema.
        has_match_key: Whether a field can be chosen to match rows on.
    """
    matched = f"matched on {scalar(match_key)}" if match_key else "matched on nothing"
    if not has_match_key and operation is not ImportOperation.INSERT:
        matched = "matched by Demandbase's own rules"
    lines = [f"Stream {scalar(stream)} → entity {scalar(entity)} ({operation.value}, {matched})"]
    known = {field.name: field for field in mappings}
    properties: Mapping[str, Any] = schema.get("properties", {})
    for column, field in plan.fields.items():
        rule = properties.get(column)
        types = " or ".join(json_types(rule) if isinstance(rule, dict) else ()) or "any type"
        lines.append(f"  {scalar(column)} ({types}) → {_described(field, known.get(field))}")
    filled = set(plan.fields.values())
    free = [name for name in known if name not in filled]
    if plan.dropped:
        dropped = ", ".join(_with_near(column, free) for column in plan.dropped)
        lines.append(f"  Dropped, since Demandbase does not know them: {dropped}")
    if missing := [name for name in free if known[name].required]:
        remark = " (an update does without)" if operation is ImportOperation.UPDATE else ""
        lines.append(f"  Required fields that no column fills{remark}: {_listed(missing)}")
    lines.append("Settings for meltano.yml:")
    lines += settings_lines(stream, entity, match_key, plan.fields)
    return "\n".join(lines)


def settings_lines(
    stream: str, entity: str, match_key: str | None, fields: Mapping[str, str]
) -> list[str]:
    """Return the settings that lead to a plan, as the lines of a ``config:`` fragment in YAML.

    Args:
        stream: Name of the stream.
        entity: Where it goes.
        match_key: The field that rows are matched on; no setting where absent.
        fields: Demandbase field by column; those of one name need no setting.
    """
    config: dict[str, object] = {"entity_map": {stream: entity}}
    if match_key:
        config["match_keys"] = {entity: match_key}
    if renamed := {column: field for column, field in fields.items() if column != field}:
        config["field_mappings"] = {entity: renamed}
    return block({"config": config})


def _described(name: str, field: FieldMapping | None) -> str:
    if field is None:
        return scalar(name)
    return f"{scalar(name)} ({field.type}{', required' if field.required else ''})"


def _with_near(column: str, free: Sequence[str]) -> str:
    near = difflib.get_close_matches(column, free, n=3)
    return scalar(column) + (f" (near: {_listed(near)})" if near else "")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(scalar, names))
