"""Says which environment variable holds no value of its setting's type, and never what it holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES: dict[str, tuple[type, str]] = {
    "object": (dict, "JSON object"),
    "array": (list, "JSON array"),
}


def environment_problem(
    schema: Mapping[str, Any], prefix: str, environment: Mapping[str, str]
) -> str | None:
    """Return the sentence for the first variable that cannot be read; ``None`` where all can.

    Args:
        schema: The JSON schema of the settings.
        prefix: What the variables' names begin with.
        environment: The variables.
    """
    for name, rule in schema.get("properties", {}).items():
        variable = prefix + name.upper().replace("-", "_")
        if variable not in environment:
            continue
        needed = _needed(rule, environment[variable])
        if needed is not None:
            return (
                f"The setting {name}, from the environment variable {variable}, is no {needed}. "
                "Correct it and run again."
            )
    return None


def _needed(rule: Mapping[str, Any], text: str) -> str | None:
    """Return what a text should be and is not."""
    declared = rule.get("type", [])
    types = declared if isinstance(declared, list) else [declared]
    if "integer" in types:
        return None if _is_whole(text) else "whole number"
    for kind, (python, words) in _TYPES.items():
        if kind in types and (kind == "object" or "[" in text):  # x,y,z is an array, too
            try:
                found = json.loads(text)
            except ValueError:
                return words
            return None if isinstance(found, python) else words
    return None


def _is_whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
