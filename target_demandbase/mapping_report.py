"""The report of a stream's mapping, and settings in YAML to paste."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING, Any

import yaml

from demandbase_api.models import DEFAULT_SOURCE, ImportOperation
from demandbase_api.settings_values import NULL
from target_demandbase.mapping import near_fields
from target_demandbase.schema import json_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from demandbase_api.models import FieldMapping, ImportEntity
    from target_demandbase.mapping import ColumnPlan, StreamSchema
    from target_demandbase.proposal import Proposal

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# YAML 1.1, which Meltano reads, takes these words for values of other types.
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def mapping_report(
    stream: StreamSchema,
    entity: ImportEntity,
    plan: ColumnPlan,
    *,
    source: str = DEFAULT_SOURCE,
    is_open: bool = False,
) -> str:
    """Return a report of a stream's mapping, in several lines.

    Args:
        stream: The stream.
        entity: Its entity.
        plan: Which columns fill which fields.
        source: The source of the import.
        is_open: Whether other columns may have to fill other fields, which are then named.
    """
    known = {field.name: field for field in entity.fields}
    how = f"{plan.operation.value}, {_matched(entity, plan)}"
    if entity.kind:
        how += f", activity type {scalar(entity.kind)}"
    if source != DEFAULT_SOURCE:
        how += f", source {scalar(source)}"
    lines = [f"Stream {scalar(stream.stream)} → entity {scalar(entity.name)} ({how})"]
    properties: Mapping[str, Any] = stream.schema.get("properties", {})
    for column, field in plan.fields.items():
        rule = properties.get(column)
        types = " or ".join(json_types(rule) if isinstance(rule, dict) else ()) or "any type"
        lines.append(f"  {scalar(column)} ({types}) → {_described(field, known.get(field))}")
    filled = set(plan.fields.values())
    free = [name for name in known if name not in filled]
    if plan.dropped:
        dropped = ", ".join(_with_near(column, free, entity) for column in plan.dropped)
        lines.append(f"  Dropped, since Demandbase does not know them: {dropped}")
    if plan.left_out:
        # Only of a proposal: a person has left out the others.
        left_out = ", ".join(
            _with_near(column, free, entity) if is_open else scalar(column)
            for column in plan.left_out
        )
        lines.append(f"  Left out by field_mappings: {left_out}")
    if missing := [name for name in free if known[name].required]:
        is_update = plan.operation is ImportOperation.UPDATE
        remark = " (not needed for an update)" if is_update else ""
        lines.append(f"  Required fields that no column fills{remark}: {_listed(missing)}")
    others = [_described(name, known[name]) for name in free if not known[name].required]
    if is_open and others:
        lines.append(f"  Other fields that no column fills: {', '.join(others)}")
    return "\n".join(lines)


def merged_settings(
    config: Mapping[str, Any], answers: Sequence[Proposal]
) -> dict[str, dict[str, Any]]:
    """Return the settings that map all streams of a run: those of today with what streams need.

    Args:
        config: The settings of today.
        answers: What each stream needs.
    """
    entity_map: dict[str, Any] = dict(config.get("entity_map") or {})
    match_keys: dict[str, Any] = dict(config.get("match_keys") or {})
    mappings: dict[str, Any] = dict(config.get("field_mappings") or {})
    for answer in answers:
        if answer.stream != answer.entity or answer.stream in entity_map:
            entity_map[answer.stream] = answer.entity
        if answer.match_key:
            match_keys[answer.entity] = answer.match_key
    custom: dict[str, Any] = dict(config.get("custom_fields") or {})
    types: dict[str, Any] = {
        **(config.get("activity_types") or {}),
        **{each.stream: each.activity_type for each in answers if each.activity_type is not None},
    }
    for answer in answers:
        if new := [label for label in answer.custom if label not in custom.get(answer.entity, ())]:
            custom[answer.entity] = [*custom.get(answer.entity, ()), *new]
    for entity in dict.fromkeys(answer.entity for answer in answers):
        of_entity = [answer.fields for answer in answers if answer.entity == entity]
        # A field of one stream is worth more than null of another one with the same column.
        merged = {column: field for fields in of_entity for column, field in fields.items()}
        merged |= {
            column: field
            for fields in of_entity
            for column, field in fields.items()
            if field is not None
        }
        mappings[entity] = merged
    named = {
        "entity_map": entity_map,
        "match_keys": match_keys,
        "field_mappings": mappings,
        "custom_fields": custom,
        "activity_types": types,
    }
    return {
        name: {key: value for key, value in values.items() if value not in ({}, [])}
        for name, values in named.items()
        if any(value not in ({}, []) for value in values.values())
    }


def config_block(settings: Mapping[str, Any]) -> str:
    """Return settings in YAML as the block ``config`` of a plugin in meltano.yml, indented so."""
    return textwrap.indent(_yaml({"config": _for_meltano(settings)}), "    ")


def config_text(settings: Mapping[str, Any], *, is_for_meltano: bool) -> str:
    """Return settings in JSON that can be printed; it is YAML, too, however it is indented."""
    values = _for_meltano(settings) if is_for_meltano else dict(settings)
    text = json.dumps(values, indent=2, ensure_ascii=False)
    return text if text.replace("\n", "").isprintable() else json.dumps(values, indent=2)


def _for_meltano(value: object) -> object:
    """Return a value for Meltano, which drops members that are null and parts names at dots."""
    if isinstance(value, dict):
        return {name.replace(".", r"\."): _for_meltano(member) for name, member in value.items()}
    return NULL if value is None else value


def _matched(entity: ImportEntity, plan: ColumnPlan) -> str:
    if plan.match_key:
        return f"matched on {scalar(plan.match_key)}"
    if entity.matched_on is not None and plan.operation is not ImportOperation.INSERT:
        return "matched by Demandbase's own rules"
    return "matched on nothing"


def _described(name: str, field: FieldMapping | None) -> str:
    if field is None:
        return scalar(name)
    kind = "custom" if field.is_custom else field.type
    return f"{scalar(name)} ({kind}{', required' if field.required else ''})"


def _with_near(column: str, free: Sequence[str], entity: ImportEntity) -> str:
    return scalar(column) + near_fields(column, free, entity)


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
    if not text.replace("\n", "").isprintable():
        text = yaml.dump(data, Dumper=_OneLineDumper, sort_keys=False, width=2**31)
    return text.removesuffix("\n")


class _OneLineDumper(yaml.SafeDumper):
    """Writes each text on one line, in double quotes if it is not plain."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if _is_plain(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_OneLineDumper.add_representer(str, _represent_text)
