"""The report of a stream's mapping, with settings in YAML to paste."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import yaml

from demandbase_api.models import ImportOperation
from target_demandbase.schema import json_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from demandbase_api.models import FieldMapping, ImportEntity
    from target_demandbase.mapping import ColumnPlan, StreamSchema

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# YAML 1.1, which Meltano reads, takes these words for values of other types.
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def mapping_report(stream: StreamSchema, entity: ImportEntity, plan: ColumnPlan) -> str:
    """Return a report of a stream's mapping, in several lines."""
    known = {field.name: field for field in entity.fields}
    how = f"{plan.operation.value}, {_matched(entity, plan)}"
    lines = [f"Stream {scalar(stream.stream)} → entity {scalar(entity.name)} ({how})"]
    properties: Mapping[str, Any] = stream.schema.get("properties", {})
    for column, field in plan.fields.items():
        rule = properties.get(column)
        types = " or ".join(json_types(rule) if isinstance(rule, dict) else ()) or "any type"
        lines.append(f"  {scalar(column)} ({types}) → {_described(field, known.get(field))}")
    filled = set(plan.fields.values())
    free = [name for name in known if name not in filled]
    if plan.dropped:
        dropped = ", ".join(_with_near(column, free) for column in plan.dropped)
        lines.append(f"  Dropped, since Demandbase does not know them: {dropped}")
    if plan.left_out:
        lines.append(f"  Left out by field_mappings: {_listed(plan.left_out)}")
    if missing := [name for name in free if known[name].required]:
        is_update = plan.operation is ImportOperation.UPDATE
        remark = " (not needed for an update)" if is_update else ""
        lines.append(f"  Required fields that no column fills{remark}: {_listed(missing)}")
    lines.append("Settings for meltano.yml:")
    lines += settings_lines(stream.stream, entity.name, plan.match_key, plan.fields, plan.left_out)
    return "\n".join(lines)


def settings_lines(
    stream: str,
    entity: str,
    match_key: str | None,
    fields: Mapping[str, str],
    left_out: Sequence[str] = (),
) -> list[str]:
    """Return the settings that lead to a mapping, as the lines of a ``config:`` block in YAML.

    Args:
        stream: Name of the stream.
        entity: Name of the entity.
        match_key: The field that rows are matched on.
        fields: Demandbase field by column.
        left_out: Columns that are not sent by choice.
    """
    config: dict[str, object] = {"entity_map": {stream: entity}}
    if match_key:
        config["match_keys"] = {entity: match_key}
    renamed = {column: field for column, field in fields.items() if column != field}
    if mappings := {**renamed, **dict.fromkeys(left_out)}:
        config["field_mappings"] = {entity: mappings}
    return _yaml({"config": config}).split("\n")


def _matched(entity: ImportEntity, plan: ColumnPlan) -> str:
    if plan.match_key:
        return f"matched on {scalar(plan.match_key)}"
    if entity.matched_on is not None and plan.operation is not ImportOperation.INSERT:
        return "matched by Demandbase's own rules"
    return "matched on nothing"


def _described(name: str, field: FieldMapping | None) -> str:
    if field is None:
        return scalar(name)
    return f"{scalar(name)} ({field.type}{', required' if field.required else ''})"


def _with_near(column: str, free: Sequence[str]) -> str:
    near = difflib.get_close_matches(column, free, n=3)
    return scalar(column) + (f" (near: {_listed(near)})" if near else "")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(scalar, names))


def scalar(text: str) -> str:
    """Return a text as a YAML scalar on one line, quoted only if it must be."""
    return text if _is_plain(text) else _yaml(text)


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _YAML_WORDS


def _yaml(data: object) -> str:
    text: str = yaml.dump(
        data, Dumper=_OneLineDumper, allow_unicode=True, sort_keys=False, width=2**31
    )
    return text.removesuffix("\n")


class _OneLineDumper(yaml.SafeDumper):
    """Writes each text on one line, in double quotes if it is not plain."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if _is_plain(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_OneLineDumper.add_representer(str, _represent_text)
