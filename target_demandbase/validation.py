"""Validates records by their stream's JSON schema, which taps write in several dialects."""

from __future__ import annotations

import copy
import math
import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
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


_CONTEXT = Context(prec=20_000, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Wide enough for each number that can be sent: the default precision has 28 digits."""


def _is_multiple(number: float | Decimal, step: float | Decimal) -> bool:
    """Return whether a number is a multiple of another, without a limit of digits.

    Raises:
        ArithmeticError: The quotient has too many digits.
    """
    exact = [Decimal(repr(it) if isinstance(it, float) else it) for it in (number, step)]
    return not _CONTEXT.remainder(*exact)


def _multiple_of(
    validator: Any,  # noqa: ANN401 - of a class that jsonschema makes at run time
    step: float | Decimal,
    number: Any,  # noqa: ANN401
    _rule: object,
) -> Iterator[ValidationError]:
    # The validator's own computes with 28 digits, and numbers of databases have a step of 1e-38.
    if validator.is_type(number, "number") and not _is_multiple(number, step):
        yield ValidationError("is no multiple")


_Validator = validators.extend(  # type: ignore[no-untyped-call]
    DEFAULT_JSONSCHEMA_VALIDATOR,
    validators={"multipleOf": _multiple_of},
    type_checker=DEFAULT_JSONSCHEMA_VALIDATOR.TYPE_CHECKER.redefine("integer", _is_integer),
)

_KEYWORDS = frozenset(_Validator.VALIDATORS) - {"format"}
"""Keywords that restrict values. The SDK does not check formats either."""

_NUMBERS = frozenset({int, float, Decimal})

TYPES: Mapping[str, frozenset[type]] = {
    "null": frozenset({type(None)}),
    "boolean": frozenset({bool}),
    "integer": frozenset({int}),
    "number": _NUMBERS,
    "string": frozenset({str}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
}
"""Python's types of the values of a type. A whole number with a fraction needs the validator."""

_ANY: frozenset[type] = frozenset().union(*TYPES.values())

_RESTRICTED: Mapping[str, frozenset[type]] = {
    **dict.fromkeys(("maxLength", "minLength", "pattern"), TYPES["string"]),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBERS
    ),
    **dict.fromkeys(
        (
            "items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems",
            "unevaluatedItems",
        ),
        TYPES["array"],
    ),
    **dict.fromkeys(
        (
            "properties", "required", "additionalProperties", "patternProperties",
            "propertyNames", "minProperties", "maxProperties", "dependentRequired",
            "dependentSchemas", "unevaluatedProperties",
        ),
        TYPES["object"],
    ),
}  # fmt: skip
"""The types whose values a keyword restricts; any type for other keywords."""


def keywords(rule: Mapping[str, Any]) -> frozenset[str]:
    """Return the keywords of a schema that restrict values."""
    return _KEYWORDS & rule.keys()


def accepted_types(rule: object) -> frozenset[type]:
    """Return the types of which each value is valid."""
    if not isinstance(rule, dict):
        return frozenset() if rule is False else _ANY
    found = _declared(rule)
    for word in keywords(rule) - {"type"}:
        choices = rule[word]
        if word in {"anyOf", "oneOf"}:
            accepted = [accepted_types(choice) for choice in choices]
            if word == "oneOf":
                accepted = [
                    types.difference(
                        *(_declared(other) for n, other in enumerate(choices) if n != number)
                    )
                    for number, types in enumerate(accepted)
                ]
            found &= frozenset().union(*accepted)
        else:
            found -= _RESTRICTED.get(word, _ANY)
    return found


def _declared(rule: object) -> frozenset[type]:
    """Return the types of which some value may be valid."""
    declared = rule.get("type") if isinstance(rule, dict) else None
    if declared is None:
        return _ANY
    names = declared if isinstance(declared, list) else [declared]
    return frozenset().union(*(TYPES.get(name, frozenset()) for name in names))


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


_ABSENT = object()

_LIMITS = frozenset(
    {
        "type", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        "multipleOf",
    }
)  # fmt: skip


class _Property:
    """The rule of a property, and what shows most values to be valid without the validator."""

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.rule = rule
        self._accepted = accepted_types(rule)
        self._limited = _declared(rule) if keywords(rule) <= _LIMITS else frozenset[type]()
        self._longest = rule.get("maxLength", math.inf)
        self._least = rule.get("minimum", -math.inf)
        self._most = rule.get("maximum", math.inf)
        self._above = rule.get("exclusiveMinimum")
        self._below = rule.get("exclusiveMaximum")
        self._step = rule.get("multipleOf")

    def accepts(self, value: Any) -> bool:  # noqa: ANN401
        """Return whether a value is valid; false in case of doubt."""
        if type(value) in self._accepted:
            return True
        if type(value) not in self._limited:
            return False
        if type(value) is str:
            return bool(len(value) <= self._longest)
        try:
            return bool(
                self._least <= value <= self._most
                and (self._above is None or value > self._above)
                and (self._below is None or value < self._below)
                and (self._step is None or _is_multiple(value, self._step))
            )
        except ArithmeticError:  # infinity
            return False


class RecordValidator:
    """Validates records of one stream; its messages name only the property and the rule.

    Args:
        schema: The stream's schema, readable.
        sent: The properties that are validated: those that are sent, and the keys.
    """

    def __init__(self, schema: Mapping[str, Any], sent: Collection[str]) -> None:
        properties = schema["properties"]
        self._properties = {
            name: _Property(rule) for name, rule in properties.items() if name in sent
        }
        self._required = [
            name for name in schema.get("required", ()) if name in sent or name not in properties
        ]
        self._record_rule = {
            **schema,
            "properties": {name: {} for name in properties},
            "required": self._required,
        }
        is_open = schema.get("additionalProperties", True) is True
        words = keywords(schema) - ({"additionalProperties"} if is_open else set())
        self._is_plain = words <= {"type", "properties", "required"} and dict in _declared(schema)
        self._validator = _Validator(schema)

    def validate(self, record: Mapping[str, Any]) -> None:
        """Check a record.

        Raises:
            RowError: It does not match the schema, or a value cannot be checked.
        """
        for name, rules in self._properties.items():
            value = record.get(name, _ABSENT)
            # The validator takes ten times as long.
            if value is not _ABSENT and not rules.accepts(value):
                self._check(value, rules.rule, name)
        if not self._is_plain or not all(name in record for name in self._required):
            self._check(record, self._record_rule, None)

    def is_valid(self, name: str, value: object) -> bool:
        """Return whether a value of a property is valid."""
        rules = self._properties[name]
        if rules.accepts(value):
            return True
        try:
            self._check(value, rules.rule, name)
        except RowError:
            return False
        return True

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
