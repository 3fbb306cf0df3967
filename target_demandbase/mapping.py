"""Which columns of a stream fill which fields; checked before any row is sent."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demandbase_api.models import FieldMapping, ImportOperation
from target_demandbase.errors import MappingError
from target_demandbase.schema import REJECT_PREFIX, json_types

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence


logger = logging.getLogger("target-demandbase")


def header_problems(fields: Mapping[str, str], documented: Collection[str]) -> list[str]:
    """Return a clause for each header that is surely a slip.

    Args:
        fields: The header by column.
        documented: The headers that are known.
    """
    plain = {_plain(name): name for name in documented}
    problems = []
    for column, header in fields.items():
        meant = plain.get(_plain(header))
        if not header.strip():
            problems.append(f"column {column} has no name through field_mappings")
        elif header not in documented and meant is not None:
            problems.append(
                f"column {column} (through field_mappings: {header}) is spelt another way than "
                f"the field {meant}"
            )
    return problems


def undocumented(fields: Mapping[str, str], documented: Collection[str]) -> list[str]:
    """Return the headers that are known only to who set field_mappings."""
    return [header for header in fields.values() if header not in documented]


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


def match_key_for(setting: str | None, key_fields: Sequence[str]) -> str | None:
    """Return the field: by the setting match_keys, else the stream's single key.

    Args:
        setting: The setting match_keys for the stream's entity.
        key_fields: The fields that the stream's key properties fill.

    Returns:
        None where neither says.
    """
    return setting or (key_fields[0] if len(key_fields) == 1 else None)


def match_key_problem(
    entity: str,
    operation: ImportOperation,
    match_key: str | None,
    key_fields: Sequence[str],
    filled: Collection[str],
) -> str:
    """Return what is wrong with a match key, as a clause; empty where nothing is.

    Args:
        entity: Where the stream goes.
        operation: What the import does; only insert can do without a match key.
        match_key: The match key.
        key_fields: The fields that the stream's key properties fill.
        filled: The fields that the stream fills.
    """
    choice = f"set match_keys.{entity} to one of {', '.join(sorted(filled))}" if filled else ""
    hint = f" ({choice})" if choice else ""
    if match_key is not None:
        return "" if match_key in filled else f"no column fills the match key {match_key}{hint}"
    if operation is ImportOperation.INSERT:
        return ""
    has = f"the keys {', '.join(key_fields)}" if key_fields else "no key"
    return f"it has {has}, and one field must be chosen to match rows on{hint}"


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


_NESTED = frozenset({"object", "array"})

_NO_DATE = _NESTED | {"boolean", "integer", "number"}

# Lower case, without spaces, underscores and hyphens; a field of another type may take anything.
_UNFIT: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "integer", "int", "long", "bigint", "short", "smallint",
            "number", "numeric", "double", "float", "decimal", "currency", "percent",
            "boolean", "bool",
        ),
        _NESTED,
    ),
    **dict.fromkeys(("date", "datetime", "timestamp"), _NO_DATE),
}  # fmt: skip


def type_problems(
    stream: str,
    schema_properties: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, str],
    mappings: Sequence[FieldMapping],
) -> list[str]:
    """Return a clause for each column whose values cannot fit its field, whatever they are.

    Args:
        stream: Name of the stream.
        schema_properties: The columns' JSON schemas.
        fields: Demandbase field by column.
        mappings: The entity's fields.
    """
    kinds = {field.name: field.type for field in mappings}
    problems = []
    for column, field in fields.items():
        types = json_types(schema_properties.get(column, {}))
        kind = kinds.get(field, "")
        unfit = _UNFIT.get("".join(filter(str.isalnum, kind.lower())), frozenset())
        # A column that may also hold a type that fits is judged row by row.
        if types and unfit.issuperset(types):
            problems.append(
                f"column {column} of stream {stream} is {' or '.join(types)}, "
                f"which cannot fit the field {field} ({kind})"
            )
    return problems


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# YAML 1.1, which Meltano reads, takes these words for values of other types.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def scalar(text: str) -> str:
    """Return a text as a YAML scalar on one line, quoted only where it must be."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # A JSON text is a YAML text, but for what YAML wants escaped and JSON does not.
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def block(tree: Mapping[str, object], indent: int = 0) -> list[str]:
    """Return the lines of nested mappings of texts.

    Args:
        tree: Texts and mappings by name.
        indent: Spaces before the outermost names.
    """
    lines = []
    for name, node in tree.items():
        start = f"{' ' * indent}{scalar(name)}:"
        if isinstance(node, Mapping):
            lines += [start, *block(node, indent + 2)]
        else:
            lines.append(f"{start} {scalar(str(node))}")
    return lines


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


# Names in records can be data in disguise, and endless.
_MAX_NAMES = 100

_SDK_NAMES = frozenset(
    f"_sdc_{name}"
    for name in (
        "extracted_at", "received_at", "batched_at", "sequence", "table_version", "sync_started_at",
    )
)  # fmt: skip


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
