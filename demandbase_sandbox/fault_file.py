"""Reads faults from JSON, for files and for the admin route."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from demandbase_sandbox.faults import Effect, Fault

_NAMES = frozenset(item.name for item in dataclasses.fields(Fault))
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "operation": ((str,), "a text"),
    "match": ((dict,), "an object"),
    "after": ((int,), "a whole number"),
    "times": ((int, type(None)), "a whole number or null"),
    "probability": ((int, float), "a number"),
    "status": ((int,), "a whole number"),
    "headers": ((dict,), "an object"),
    "body": ((str,), "a text"),
    "seconds": ((int, float), "a number"),
    "bytes": ((int,), "a whole number"),
    "rows": ((int,), "a whole number"),
    "how": ((str,), "a text"),
    "message": ((str,), "a text"),
    "members": ((dict,), "an object"),
}


def faults_from_json(text: str) -> tuple[Fault, ...]:
    """Return the faults of a file: a JSON list of objects with the members of :class:`Fault`.

    Raises:
        ValueError: The text is something else; the sentence says where.
    """
    try:
        rules = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no JSON: {error}") from None
    return faults_from_rules(rules)


def faults_from_rules(rules: object) -> tuple[Fault, ...]:
    """Return the faults of a list of rules.

    Raises:
        ValueError: The list is something else; the sentence says where.
    """
    if not isinstance(rules, list):
        raise ValueError("a fault file holds a JSON list of rules")  # noqa: TRY004
    return tuple(_fault(f"rule {number}", rule) for number, rule in enumerate(rules, 1))


def _fault(place: str, rule: Any) -> Fault:  # noqa: ANN401 - whatever the JSON holds
    if not isinstance(rule, dict) or {"operation", "effect"} - rule.keys():
        raise ValueError(f"{place} needs the members operation and effect")
    if unknown := sorted(rule.keys() - _NAMES):
        raise ValueError(f"{place} has unknown members: {', '.join(unknown)}")
    if rule["effect"] not in list(Effect):
        raise ValueError(f"{place} has an unknown effect; known are {', '.join(Effect)}")
    for name, value in rule.items():
        kinds, called = _KINDS.get(name, ((str,), "a text"))
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ValueError(f"{place}: {name} is {called}")  # noqa: TRY004 - one kind of error
    headers = rule.get("headers", {})
    if not all(isinstance(value, str) and value.isprintable() for value in headers.values()):
        raise ValueError(f"{place}: headers holds texts of one line")
    try:
        return Fault(**{**rule, "effect": Effect(rule["effect"])})
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
