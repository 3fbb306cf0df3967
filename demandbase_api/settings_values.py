"""Gives settings the form that their JSON Schema declares.

Meltano knows the settings of a plugin, but not the members of an object. It stores a member that
is set alone (``config set``) as text, drops members that are null, and joins the names of members
with dots in environment variables.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NULL = "__NULL__"
"""Stands for null in a member, as in the SDK's stream maps."""


def as_declared(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in the form that their schema declares, as far as they can have it.

    A text is read as JSON where the schema allows no text. In members of objects, ``__NULL__`` is
    null where the schema allows null. A setting that is null, and has a default, is not set.

    Args:
        config: The settings.
        schema: JSON Schema of the settings.
    """
    rules = schema.get("properties", {})
    return {
        name: _value(value, rules.get(name, {}))
        for name, value in config.items()
        if value is not None or "default" not in rules.get(name, {})
    }


def with_parted_names(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with members that dots join, such as ``accounts.lookback_days``, in objects.

    A name is parted where the schema has objects: the names of columns may have dots, too.

    Args:
        config: The settings, as Meltano has them in environment variables.
        schema: JSON Schema of the settings.
    """
    rules = schema.get("properties", {})
    return {name: _parted(value, rules.get(name, {})) for name, value in config.items()}


def _parted(value: object, rule: Mapping[str, Any]) -> object:
    members = _object_rule(rule)
    if not isinstance(value, dict) or members is None:
        return value
    found: dict[str, Any] = {}
    for name, member in value.items():
        parent, dot, rest = name.partition(".")
        if not dot or _object_rule(_member_rule(members, parent)) is None:
            found[name.replace(r"\.", ".")] = member
        elif isinstance(known := found.setdefault(parent, {}), dict):
            known[rest] = member
    return {name: _parted(member, _member_rule(members, name)) for name, member in found.items()}


def _value(value: object, rule: Mapping[str, Any]) -> object:
    if isinstance(value, str):
        value = _parsed(value, _types(rule))
    members = _object_rule(rule)
    if not isinstance(value, dict) or members is None:
        return value
    return {name: _member(member, _member_rule(members, name)) for name, member in value.items()}


def _member(value: object, rule: Mapping[str, Any]) -> object:
    if value == NULL and "null" in _types(rule):
        return None
    return _value(value, rule)


def _parsed(text: str, types: tuple[str, ...]) -> object:
    if not types or "string" in types:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if _TYPES.get(type(value)) in types else text


_TYPES = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def _types(rule: Mapping[str, Any]) -> tuple[str, ...]:
    types = rule.get("type", ())
    return (types,) if isinstance(types, str) else tuple(types)


def _object_rule(rule: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of a value that may be an object; ``None`` if it cannot be one."""
    choices = [rule, *(each for each in rule.get("anyOf", ()) if isinstance(each, dict))]
    return next((each for each in choices if "object" in _types(each)), None)


def _member_rule(rule: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = rule.get("properties", {}).get(name, rule.get("additionalProperties"))
    return found if isinstance(found, dict) else {}
