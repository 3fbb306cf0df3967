"""Validates records by their stream's JSON schema, which taps write in several dialects."""

from __future__ import annotations

import copy
import re
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from jsonschema import ValidationError, validators
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from target_demandbase.csv_writer import RowError
from target_demandbase.rejects import INVALID

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_MAX_PASSES = 20
"""A keyword that is removed may have hidden another; a schema that still is odd is not used."""

_DATA = frozenset({"enum", "const", "default", "examples"})

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

_BOUNDS = {"exclusiveMaximum": "maximum", "exclusiveMinimum": "minimum"}


def _is_integer(_checker: object, value: object) -> bool:
    match value:
        case bool():
            return False
        case Decimal():
            return value.is_finite() and value == value.to_integral_value()
        case float():
            return value.is_integer()
        case _:
            return isinstance(value, int)


_Validator = validators.extend(  # type: ignore[no-untyped-call]
    DEFAULT_JSONSCHEMA_VALIDATOR,
    type_checker=DEFAULT_JSONSCHEMA_VALIDATOR.TYPE_CHECKER.redefine("integer", _is_integer),
)


def readable_schema(schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the part of a schema that JSON Schema defines, and a clause for each other keyword.

    Keywords that cannot be read, and references that lead nowhere, restrict nothing.
    """
    readable = copy.deepcopy(dict(schema))
    ignored: list[str] = []
    for path, rule in list(_rules(readable, ())):
        _translate_bounds(rule)
        _allow_null_items(rule)
        for word in _unusable(rule, readable):
            del rule[word]
            ignored.append(_clause((*path, word)))
    check = DEFAULT_JSONSCHEMA_VALIDATOR(DEFAULT_JSONSCHEMA_VALIDATOR.META_SCHEMA)
    for _ in range(_MAX_PASSES):
        paths = {tuple(error.absolute_path) for error in check.iter_errors(readable)}
        if not paths:
            return readable, ignored
        removed = [_remove(readable, path) for path in sorted(paths, key=str)]
        ignored += [_clause(path) for path in removed if path]
    return {"properties": {name: {} for name in schema["properties"]}}, [*ignored, "all others"]


def _rules(
    node: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for name, value in node.items():
            if name not in _DATA:
                yield from _rules(value, (*path, name))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _rules(value, (*path, place))


def _translate_bounds(rule: dict[str, Any]) -> None:
    """Replace the exclusive bounds of draft 4, which are Booleans."""
    for exclusive, bound in _BOUNDS.items():
        if isinstance(rule.get(exclusive), bool):
            is_exclusive = rule.pop(exclusive)
            if is_exclusive and bound in rule:
                rule[exclusive] = rule.pop(bound)


def _allow_null_items(rule: Mapping[str, Any]) -> None:
    """Let items of an array be null: taps of databases give the type of the others only."""
    items = rule.get("items")
    if isinstance(items, dict) and isinstance(declared := items.get("type"), (str, list)):
        types = [declared] if isinstance(declared, str) else declared
        items["type"] = [*types, *({"null"}.difference(map(str, types)))]


def _unusable(rule: Mapping[str, Any], schema: object) -> Iterator[str]:
    """Yield keywords of the right type that no record could be validated by."""
    for word in _REFERENCES:
        if isinstance(rule.get(word), str) and not _resolves(schema, rule[word]):
            yield word
    named = rule.get("patternProperties")
    patterns = {
        "pattern": [rule.get("pattern")],
        "patternProperties": list(named) if isinstance(named, dict) else [],
    }
    for word, texts in patterns.items():
        # Taps write them for the regular expressions of other languages as well.
        if not all(map(_is_pattern, texts)):
            yield word


def _is_pattern(text: object) -> bool:
    try:
        re.compile(text if isinstance(text, str) else "")
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _resolves(schema: object, reference: str) -> bool:
    if reference == "#":
        return True
    if not reference.startswith("#/"):
        return False
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(schema, dict) or name not in schema:
            return False
        schema = schema[name]
    return isinstance(schema, (dict, bool))


def _remove(schema: dict[str, Any], path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Remove the keyword that a path leads into; return its path, or an empty one if missing."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    node: Any = schema
    for step in path[:-1]:
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            return ()
    if not path or not isinstance(node, dict) or path[-1] not in node:
        return ()
    del node[path[-1]]
    return path


def _clause(path: tuple[str | int, ...]) -> str:
    names = [str(name) for word, name in pairwise(path) if word == "properties"]
    return f"{path[-1]} of {'.'.join(names) or 'the record'}"


class RecordValidator:
    """Validates records of one stream; its messages name only the property and the rule.

    Args:
        schema: The stream's schema, readable.
        sent: The properties that are validated: those that are sent, and the keys.
    """

    def __init__(self, schema: Mapping[str, Any], sent: Collection[str]) -> None:
        properties = schema["properties"]
        self._properties = {name: rule for name, rule in properties.items() if name in sent}
        self._required = [
            name for name in schema.get("required", ()) if name in sent or name not in properties
        ]
        self._record_rule = {
            **schema,
            "properties": {name: {} for name in properties},
            "required": self._required,
        }
        self._validator = _Validator(schema)

    def validate(self, record: Mapping[str, Any]) -> None:
        """Check a record.

        Raises:
            RowError: It does not match the schema, or a value cannot be checked.
        """
        for name, rule in self._properties.items():
            if name in record:
                self._check(record[name], rule, name)
        self._check(record, self._record_rule, None)

    def _check(self, value: object, rule: object, name: str | None) -> None:
        try:
            error = next(self._validator.descend(value, rule), None)
        except Exception as problem:  # noqa: BLE001 - of any kind, and it may quote the value
            reason = f"{name or 'the record'} cannot be validated ({type(problem).__name__})"
            raise RowError(name, INVALID, reason) from None
        if isinstance(error, ValidationError):
            raise self._row_error(error, name, value) from None

    def _row_error(self, error: ValidationError, name: str | None, value: object) -> RowError:
        # The path of the schema: in the record, an object's keys may be data.
        steps = [str(step) for step in error.absolute_schema_path]
        names = [name] if name is not None else []
        names += [step for word, step in pairwise(steps) if word == "properties"]
        rule = f"{error.validator} {error.validator_value}"
        if error.validator == "required" and name is None and isinstance(value, dict):
            missing = sorted(set(self._required) - set(value))
            rule = f"required: {', '.join(missing)}"
            name = missing[0] if missing else None
        place = ".".join(names) or "the record"
        return RowError(name, INVALID, f"{place} breaks the schema's rule “{rule}”")
