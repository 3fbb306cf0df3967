"""Which JSON types of columns cannot fit the types of Demandbase's fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_api.models import FieldMapping

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


def json_types(rule: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a property's schema allows, null left out.

    Returns:
        Empty where the schema allows any type.
    """
    declared = rule.get("type")
    if declared is not None:
        names = declared if isinstance(declared, list) else [declared]
        return tuple(dict.fromkeys(str(name) for name in names if name != "null"))
    types: list[str] = []
    for word in ("anyOf", "oneOf"):
        several = rule.get(word)
        for choice in several if isinstance(several, list) else []:
            allowed = json_types(choice) if isinstance(choice, dict) else ()
            if not allowed and not (isinstance(choice, dict) and "type" in choice):
                return ()
            types += allowed
    return tuple(dict.fromkeys(types))


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
