"""The settings of a run for people: no secret, and nothing that may be a value of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_api.redaction import MASK, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_USERS_OWN = frozenset({"stream_maps", "stream_map_config", "faker_config"})
"""Settings of the SDK with expressions and values of the user, of which any may be a secret."""

_PLAIN = (bool, int, float)


def masked_settings(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are set; what may be secret is masked.

    A setting is secret if its JSON schema says so (``secret``). In other texts, user names in
    addresses, queries of links and tokens are masked.

    Args:
        config: The settings.
        schema: JSON schema of the settings.
    """
    rules = schema["properties"]
    secrets = tuple(
        text
        for name, value in config.items()
        if _is_secret(rules.get(name, {}))
        for text in _texts(value)
    )
    return {
        name: _masked(value, rules.get(name, {}), secrets, is_secret=name in _USERS_OWN)
        for name, value in config.items()
        if value is not None
    }


def _masked(
    value: object, rule: Mapping[str, Any], secrets: tuple[str, ...], *, is_secret: bool
) -> object:
    is_secret = is_secret or _is_secret(rule)
    if isinstance(value, dict):
        rules, others = rule.get("properties") or {}, rule.get("additionalProperties")
        other = others if isinstance(others, dict) else {}
        return {
            redact(str(name), *secrets): _masked(
                member, rules.get(name, other), secrets, is_secret=is_secret
            )
            for name, member in value.items()
        }
    if isinstance(value, list):
        items = rule.get("items") or {}
        return [_masked(each, items, secrets, is_secret=is_secret) for each in value]
    if is_secret and value is not None:
        return MASK
    return value if value is None or isinstance(value, _PLAIN) else redact(str(value), *secrets)


def _is_secret(rule: Mapping[str, Any]) -> bool:
    return bool(rule.get("secret"))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _texts(member)
