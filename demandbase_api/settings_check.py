"""Checks the settings of a plugin, and the environment variables that hold them.

No message shows a value: it may be a secret.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Mapping, Sequence

    from jsonschema import ValidationError
    from jsonschema.protocols import Validator


OWN_SETTINGS: dict[str, frozenset[str]] = {
    "tap-demandbase": frozenset(
        {
            "account_list_id", "activate_version", "batch_config", "discovery_cache_hours",
            "end_date", "entities", "fail_on_empty", "job_reuse_hours", "lookback_days",
            "quota_wait_hours", "start_date", "stream_options", "window_days",
        }
    ),
    "target-demandbase": frozenset(
        {
            "activity_types", "batch_size_rows", "custom_fields", "dry_run", "entity_map",
            "field_mappings",
            "list_action", "match_keys", "max_file_bytes", "max_rejected_percent",
            "max_rejected_rows", "on_null", "on_reject", "operation", "rejects_path", "source",
            "unknown_fields", "validate_records",
        }
    ),
}  # fmt: skip
"""By plugin, the settings that the other plugin does not have."""

UNUSED_SDK_SETTINGS = ("load_method", "add_record_metadata")
"""Settings that the Singer SDK adds to every target and that have no effect here."""

_SDK_VARIABLES = ("LOGLEVEL",)
"""Variables that the Singer SDK reads and that are no settings, without the plugin's prefix."""


_SETTINGS_OF_ANY = frozenset(UNUSED_SDK_SETTINGS).union(*OWN_SETTINGS.values())


def without_foreign(
    config: Mapping[str, Any], plugin: str, logger: logging.Logger
) -> dict[str, Any]:
    """Return the settings without those that only other plugins read; log them in one line.

    Args:
        config: The settings.
        plugin: Name of the plugin.
        logger: Logger of the plugin.
    """
    ignored = _SETTINGS_OF_ANY - OWN_SETTINGS[plugin]
    foreign = [name for name in config if name in ignored]
    if foreign:
        logger.info("Settings of other plugins are ignored: %s", ", ".join(foreign))
    return {name: value for name, value in config.items() if name not in foreign}


def unknown_variables(
    schema: Mapping[str, Any], prefix: str, environment: Collection[str]
) -> list[str]:
    """Return the environment variables of a plugin that name no setting, each with a near one.

    Args:
        schema: JSON schema of the settings.
        prefix: Prefix of the variables.
        environment: Names of the variables.
    """
    rules = {_variable("", name): rule for name, rule in _rules(schema).items()}
    objects = [name for name, rule in rules.items() if "object" in (rule.get("type") or ())]
    # Meltano passes each member of an object in a variable, too, and its extras (_SELECT).
    passed = ("_", *(f"{name}_" for name in objects))
    known = {*rules, *_SDK_VARIABLES}
    names = sorted(each.removeprefix(prefix) for each in environment if each.startswith(prefix))
    return [
        prefix + name + near_names(name, known, prefix=prefix)
        for name in names
        if name not in known and not name.startswith(passed)
    ]


def near_names(name: str, known: Collection[str], *, prefix: str = "") -> str:
    """Return the nearest of the known names, in brackets; empty if none is near.

    Args:
        name: A name that is unknown.
        known: The known names.
        prefix: What is shown before the nearest name.
    """
    spelled = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name.casefold(), spelled, n=1)
    return f" (near: {prefix}{spelled[near[0]]})" if near else ""


def unread_variables(
    schema: Mapping[str, Any], prefix: str, environment: Mapping[str, str], given: Collection[str]
) -> dict[str, str]:
    """Return the environment variables of settings that the plugin does not have, by setting.

    They are not read if the settings come from files only.

    Args:
        schema: JSON schema of the settings.
        prefix: Prefix of the variables.
        environment: Values of the variables; an empty one sets nothing.
        given: Names of the settings that the plugin has.
    """
    variables = {name: _variable(prefix, name) for name in _rules(schema) if name not in given}
    return {name: each for name, each in variables.items() if environment.get(each)}


def warn_variables(
    schema: Mapping[str, Any], prefix: str, given: Collection[str], logger: logging.Logger
) -> None:
    """Warn of the environment variables of a plugin that have no effect.

    Args:
        schema: JSON schema of the settings.
        prefix: Prefix of the variables.
        given: Names of the settings that the plugin has.
        logger: Logger of the plugin.
    """
    if unknown := unknown_variables(schema, prefix, os.environ):
        logger.warning(
            "Environment variables that name no setting are ignored: %s", ", ".join(unknown)
        )
    if unread := unread_variables(schema, prefix, os.environ, given):
        logger.warning(
            "Environment variables are not read without --config=ENV, and no file has the "
            "settings of %s. Under Meltano, declare these settings in meltano.yml",
            ", ".join(unread.values()),
        )


def environment_settings(
    read: Callable[[], dict[str, Any]], schema: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """Return the settings from environment variables.

    Args:
        read: Reads them, for ``_env_var_config``; the SDK takes any text for a boolean.
        schema: JSON schema of the settings.
        prefix: Prefix of the variables.

    Raises:
        ConfigurationError: A variable is malformed.
    """
    if problem := environment_problem(schema, prefix, os.environ):
        raise ConfigurationError(problem)
    return read()


def settings_errors(
    sdk_errors: Sequence[str],
    validator: Validator,
    config: Mapping[str, Any],
    *,
    raise_errors: bool,
) -> list[str]:
    """Return the errors of a plugin's settings without their values, for ``_validate_config``.

    Args:
        sdk_errors: What the Singer SDK found; its messages may quote values.
        validator: Validator of the settings' JSON Schema.
        config: The settings.
        raise_errors: Whether to raise an error.

    Raises:
        ConfigurationError: There are errors, and ``raise_errors`` is set.
    """
    broken = validator.iter_errors(dict(config)) if sdk_errors else ()
    problems = dict.fromkeys(map(_problem, broken)) or _broken_expressions(config)
    if not problems:
        return []
    error = ConfigurationError(
        f"The configuration cannot be used: {'; '.join(problems)}. Correct it and run again."
    )
    if raise_errors:
        raise error
    return [str(error)]


def _broken_expressions(config: Mapping[str, Any]) -> list[str]:
    """Return a clause for each expression of a stream map that is no expression of Python."""
    maps = config.get("stream_maps") or {}
    return [
        f"the setting stream_maps.{stream}.{name} is not a valid expression"
        for stream, members in maps.items()
        if isinstance(members, dict)
        for name, text in members.items()
        if isinstance(text, str) and (name == "__filter__" or not name.startswith("__"))
        if not _is_expression(text)
    ]


def _is_expression(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except (SyntaxError, ValueError):
        return False


_RULES = {
    "enum": "must be one of {}",
    "maxLength": "must have at most {} characters",
    "maximum": "must be at most {}",
    "minLength": "must not be empty",
    "minimum": "must be at least {}",
    "pattern": "must match the pattern {}",
    "type": "must be of the type {}",
}
"""Clause by keyword of the JSON schema; the keyword's value is filled in."""


_PATTERNS = {
    "^https?://": "must begin with https:// or http://",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}": "must be a date such as 2026-01-31",
}
"""Clause by pattern."""


def _problem(error: ValidationError) -> str:
    path = ".".join(str(step) for step in error.absolute_path)
    rule = str(error.validator)
    value: Any = error.validator_value
    given: Any = error.instance
    if rule == "required":
        prefix = f"{path}." if path else ""
        missing = ", ".join(prefix + name for name in value if name not in given)
        return f"the setting {missing} is missing"
    if rule == "additionalProperties":
        schema: Any = error.schema
        known = schema.get("properties", {})
        # One file may hold the settings of both plugins.
        meant = {*known, *(() if path else _SETTINGS_OF_ANY)}
        return "; ".join(
            f"the setting {'.'.join(filter(None, (path, name)))} is unknown"
            f"{near_names(name, meant)}"
            for name in given
            if name not in known
        )
    if rule == "anyOf" and all("required" in choice for choice in value):
        choices = [" and ".join(choice["required"]) for choice in value]
        return f"it needs the setting {', or '.join(choices)}"
    if rule == "pattern" and value in _PATTERNS:
        return f"the setting {path} {_PATTERNS[value]}"
    shown = " or ".join(map(str, value)) if isinstance(value, list) else str(value)
    clause = _RULES.get(rule, f"breaks the rule “{rule}”").format(shown)
    return f"{f'the setting {path}' if path else 'it'} {clause}"


def environment_problem(
    schema: Mapping[str, Any], prefix: str, environment: Mapping[str, str]
) -> str | None:
    """Return a sentence about the first malformed environment variable; ``None`` if all are valid.

    Args:
        schema: JSON schema of the settings.
        prefix: Prefix of the variables.
        environment: Values of the variables.
    """
    for name, rule in _rules(schema).items():
        variable = _variable(prefix, name)
        if variable not in environment:
            continue
        expected = _expected(rule, environment[variable])
        if expected is not None:
            return (
                f"The setting {name}, from the environment variable {variable}, is not {expected}. "
                "Correct it and run again."
            )
    return None


def _rules(schema: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    return found


def _variable(prefix: str, setting: str) -> str:
    return prefix + setting.upper().replace("-", "_")


def _expected(rule: Mapping[str, Any], text: str) -> str | None:
    """Return what a malformed text should be; ``None`` if it is well-formed."""
    declared = rule.get("type", [])
    types = declared if isinstance(declared, list) else [declared]
    if "integer" in types:
        return None if _is_integer(text) else "a whole number"
    if "boolean" in types:
        return None if text.casefold() in _BOOLEANS else "true or false"
    if "object" in types:
        return None if _is_json(text, dict) else "a JSON object"
    if "array" in types and "[" in text:  # otherwise a list such as x,y,z
        return None if _is_json(text, list) else "a JSON array"
    return None


_FALSE = frozenset({"false", "0", "no", "off"})
_BOOLEANS = _FALSE | {"true", "1", "yes", "on"}
"""The last four are true for the Singer SDK, and any other text is false."""


def check_not_unread(setting: str, unread: Mapping[str, str], reason: str) -> None:
    """Check that a setting that is on in an environment variable has an effect.

    Args:
        setting: Name of the setting.
        unread: Environment variables that are not read, by setting.
        reason: Why the run must not go on without the setting, as a clause.

    Raises:
        ConfigurationError: The variable is not read.
    """
    variable = unread.get(setting)
    if variable is not None and os.environ[variable].casefold() not in _FALSE:
        raise ConfigurationError(
            f"The environment variable {variable} is set but not read, and {reason}. Add "
            f"--config=ENV, or, under Meltano, declare the setting {setting} in meltano.yml."
        )


def _is_integer(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _is_json(text: str, kind: type) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except ValueError:
        return False
