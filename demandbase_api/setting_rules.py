"""Says which settings break which rule, and never what was set: it may be the token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from demandbase_api.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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


def settings_error(breaches: Iterable[Breach]) -> ConfigurationError:
    """Return one error for all settings that break a rule."""
    problems = dict.fromkeys(_problem(breach) for breach in breaches)
    return ConfigurationError(
        f"The configuration cannot be used: {'; '.join(problems)}. Correct it and run again."
    )


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
