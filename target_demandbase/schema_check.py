"""What a SCHEMA message must hold before the SDK and the sink lean on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def schema_problem(message: Mapping[str, Any]) -> str:
    """Return what is wrong with a SCHEMA message, as a clause; empty where nothing is."""
    keys = message.get("key_properties")
    if keys is not None and not (
        isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    ):
        return "has key_properties that are no array of names"
    schema = message.get("schema")
    if not isinstance(schema, dict) or "properties" not in schema:
        # The SDK says which member is absent.
        return ""
    properties = schema["properties"]
    if not isinstance(properties, dict):
        return "has a schema whose properties are no object"
    for name, rule in properties.items():
        if not isinstance(rule, dict):
            return f"has a schema whose property {name} is no object"
    return ""


def is_date_time(rule: Mapping[str, Any]) -> bool:
    """Whether a property's schema says that its texts are date-times."""
    choices = [rule]
    for word in ("anyOf", "oneOf"):
        several = rule.get(word)
        choices += several if isinstance(several, list) else []
    return any(
        isinstance(choice, dict)
        and choice.get("format") == "date-time"
        and choice.get("type") is not None
        and "string" in str(choice["type"])
        for choice in choices
    )
