"""The settings that say which API is used and by whom: the same for everything that uses one.

They are JSON schemas.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from demandbase_api.api_files import ApiFiles
from demandbase_api.connect import Api
from demandbase_api.connection import Connection
from demandbase_api.job_watch import PollPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.retry import RetryPolicy


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
