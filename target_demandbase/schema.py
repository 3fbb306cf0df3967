"""Checks SCHEMA messages, and reads the types of their properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


REJECT_PREFIX = "_reject_"
REJECT_TYPE = f"{REJECT_PREFIX}type"


def json_types(rule: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a property's schema allows, without null; none if it allows any."""
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


def schema_problem(message: Mapping[str, Any]) -> str:
    """Return what is wrong with a SCHEMA message, as a clause; empty if it is valid."""
    keys = message.get("key_properties")
    if keys is not None and not (
        isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    ):
        return "has key_properties that are no array of names"
    schema = message.get("schema")
    if not isinstance(schema, dict) or "properties" not in schema:
        # The SDK reports a missing member.
        return ""
    properties = schema["properties"]
    if not isinstance(properties, dict):
        return "has a schema whose properties are no object"
    for name, rule in properties.items():
        if not isinstance(rule, dict):
            return f"has a schema whose property {name} is no object"
    return ""


def is_date_time(rule: Mapping[str, Any]) -> bool:
    """Return whether a property's schema says that its texts are date-times."""
    choices = [rule]
    for word in ("anyOf", "oneOf"):
        several = rule.get(word)
        choices += several if isinstance(several, list) else []
    texts = [
        choice.get("format")
        for choice in choices
        if isinstance(choice, dict)
        and choice.get("type") is not None
        and "string" in str(choice["type"])
    ]
    # If another choice accepts any text, a format restricts nothing.
    return bool(texts) and all(each == "date-time" for each in texts)


DELETED = "_sdc_deleted_at"
"""Property that marks a record as deleted."""
