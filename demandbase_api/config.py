"""The settings that say which API is used and by whom: the same for everything that uses one.

They are JSON schemas.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from demandbase_api.connection import ApiFiles, Connection
from demandbase_api.errors import ConfigurationError
from demandbase_api.jobs.poller import PollPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from demandbase_api.http.retry import RetryPolicy


class Api(StrEnum):
    """The APIs that Demandbase's data can be had by."""

    V1 = "v1"
    UAPI = "uapi"

    @property
    def default_url(self) -> str:
        """Where it is for all tenants."""
        match self:
            case Api.V1:
                return "https://api.demandbase.com"
            case Api.UAPI:
                return "https://uapi.demandbase.com"
            case _:
                assert_never(self)


def _text(title: str, description: str, **rules: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "type": ["string", "null"], "title": title, "description": description, **rules,
    }  # fmt: skip


_SECRET = {"minLength": 1, "secret": True, "writeOnly": True}

PROPERTIES: dict[str, dict[str, Any]] = {
    "api": _text(
        "API",
        "Which of Demandbase's bulk APIs to use: v1, or uapi for the one that Demandbase "
        "publishes.",
        default=Api.V1.value,
        enum=[api.value for api in Api],
    ),
    "api_url": _text(
        "API URL",
        "Scheme and host of the API; where absent, "
        + ", ".join(f"{api.default_url} with {api.value}" for api in Api)
        + ".",
        pattern="^https?://",
    ),
    "access_token": _text(
        "Access token",
        "Bearer token for the API; with api: uapi client_id and client_secret are better, since "
        "a token alone cannot be renewed.",
        **_SECRET,
    ),
    "client_id": _text(
        "Client id", "With api: uapi, the client id of the API Key Set.", minLength=1
    ),
    "client_secret": _text(
        "Client secret", "With api: uapi, the client secret of the API Key Set.", **_SECRET
    ),
}
"""By setting; they come before all others."""

CREDENTIALS = [{"required": ["access_token"]}, {"required": ["client_id", "client_secret"]}]
"""Any of these must be there."""


def with_api_settings(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a plugin's settings with those of the API before its own."""
    return {
        **schema, "properties": {**PROPERTIES, **schema["properties"]}, "anyOf": CREDENTIALS,
    }  # fmt: skip


def chosen_api(config: Mapping[str, Any]) -> Api:
    """Return which API is in use."""
    return Api(config["api"])


def api_url(config: Mapping[str, Any]) -> str:
    """Return the address of the API, as it was set."""
    return config.get("api_url") or chosen_api(config).default_url


def connection(config: Mapping[str, Any], retry: RetryPolicy, user_agent: str) -> Connection:
    """Return where the API is.

    Args:
        config: The settings, ``request_timeout_seconds`` among them.
        retry: How reads are repeated.
        user_agent: Who asks.

    Raises:
        ConfigurationError: The address or a credential cannot be used.
    """
    return Connection(
        api_url=api_url(config),
        access_token=config.get("access_token"),
        request_timeout_seconds=config["request_timeout_seconds"],
        retry=retry,
        user_agent=user_agent,
        client_id=config.get("client_id"),
        client_secret=config.get("client_secret"),
    )


def spool_folder(config: Mapping[str, Any]) -> Path | None:
    """Return the setting ``spool_dir``; ``None`` for the system's temporary folder."""
    folder = config.get("spool_dir")
    return Path(folder) if folder else None


def api_files(config: Mapping[str, Any]) -> ApiFiles:
    """Return what is remembered of the API from run to run."""
    hours = config.get("discovery_cache_hours")
    folder = spool_folder(config)
    return ApiFiles(folder) if hours is None else ApiFiles(folder, float(hours))


def poll_policy(config: Mapping[str, Any]) -> PollPolicy:
    """Return how to wait for jobs."""
    return PollPolicy(
        interval_seconds=config["poll_interval_seconds"],
        interval_max_seconds=config["poll_interval_max_seconds"],
        timeout_seconds=config["job_timeout_seconds"],
    )


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


class Breach(Protocol):
    """A value that breaks a rule of a JSON schema, as the package jsonschema describes it."""

    @property
    def absolute_path(self) -> Iterable[str | int]:
        """Where the value stands."""

    @property
    def validator(self) -> Any:  # noqa: ANN401
        """The schema's keyword."""

    @property
    def validator_value(self) -> Any:  # noqa: ANN401
        """What stands beside that keyword."""

    @property
    def instance(self) -> Any:  # noqa: ANN401
        """The value."""


class Validator(Protocol):
    """A validator of the package jsonschema."""

    def iter_errors(self, instance: Any) -> Iterable[Breach]:  # noqa: ANN401
        """Yield the values that break a rule."""


def settings_error(breaches: Iterable[Breach]) -> ConfigurationError:
    """Return one error for all settings that break a rule."""
    problems = dict.fromkeys(_problem(breach) for breach in breaches)
    return ConfigurationError(
        f"The configuration cannot be used: {'; '.join(problems)}. Correct it and run again."
    )


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
    if not sdk_errors:
        return []
    error = settings_error(validator.iter_errors(dict(config)))
    if raise_errors:
        raise error
    return [str(error)]


_RULES = {
    "enum": "must be one of {}",
    "maxLength": "must have at most {} characters",
    "maximum": "must be at most {}",
    "minLength": "must not be empty",
    "minimum": "must be at least {}",
    "pattern": "must match the pattern {}",
    "type": "must be of the type {}",
}


def _problem(breach: Breach) -> str:
    path = ".".join(str(step) for step in breach.absolute_path)
    rule, value = breach.validator, breach.validator_value
    if rule == "required":
        given: Mapping[str, Any] = breach.instance
        prefix = f"{path}." if path else ""
        missing = ", ".join(prefix + member for member in value if member not in given)
        return f"the setting {missing} is missing"
    if rule == "anyOf" and all("required" in choice for choice in value):
        choices = [" and ".join(choice["required"]) for choice in value]
        return f"the setting {', or '.join(choices)} is missing"
    shown = " or ".join(map(str, value)) if isinstance(value, list) else str(value)
    says = _RULES.get(rule, f"breaks the rule “{rule}”").format(shown)
    return f"{f'the setting {path}' if path else 'it'} {says}"
