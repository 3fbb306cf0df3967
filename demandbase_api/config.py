"""Settings of the API that both plugins share: their schema and their values."""

from __future__ import annotations

import hashlib
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from demandbase_api.connection import ApiFiles, Connection, without_slash
from demandbase_api.errors import ConfigurationError
from demandbase_api.jobs.poll_times import PollPolicy
from demandbase_api.state.folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.state.ports import State


class Api(StrEnum):
    """The bulk APIs of Demandbase."""

    V1 = "v1"
    UAPI = "uapi"

    @property
    def default_url(self) -> str:
        """Scheme and host, the same for all tenants."""
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


MAX_SECONDS = 7 * 24 * 3600
"""Maximum of every setting in seconds: a longer wait than a week is a mistake."""

MAX_HOURS = 365 * 24
"""Maximum of every setting in hours."""

_SECRET = {"minLength": 1, "secret": True, "writeOnly": True}

PROPERTIES: dict[str, dict[str, Any]] = {
    "api": _text(
        "API",
        "Bulk API to use: v1, or uapi for the API that Demandbase publishes. Default: uapi if "
        "client_id and client_secret are set, else v1.",
        enum=[api.value for api in Api],
    ),
    "api_url": _text(
        "API URL",
        "Scheme and host of the API, and the prefix of a gateway if there is one. Default: "
        + ", ".join(f"{api.default_url} with api: {api.value}" for api in Api)
        + ".",
        pattern="^https?://",
    ),
    "access_token": _text(
        "Access token",
        "Bearer token for the API. With api: uapi, prefer client_id and client_secret: a token "
        "alone cannot be renewed.",
        **_SECRET,
    ),
    "client_id": _text("Client id", "Client id of the API Key Set, with api: uapi.", minLength=1),
    "client_secret": _text(
        "Client secret", "Client secret of the API Key Set, with api: uapi.", **_SECRET
    ),
}
"""JSON schema of each setting of the API."""

POLLING: dict[str, dict[str, Any]] = {
    "poll_interval_seconds": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": MAX_SECONDS,
        "default": 2,
        "title": "Poll interval",
        "description": "Initial poll interval in seconds. Each interval is up to 1.5 times the "
        "previous one. Once the run knows how long jobs of a size take, it polls when a job may "
        "have ended, at first up to 8 times as often.",
    },
    "poll_interval_max_seconds": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": MAX_SECONDS,
        "default": 60,
        "title": "Maximum poll interval",
        "description": "Maximum poll interval in seconds.",
    },
}
"""JSON schema of each setting of ``poll_policy`` that means the same in both plugins."""

STATE_DIR = {
    "state_dir": _text(
        "State folder",
        "Folder for what must outlive the run: the journal of open jobs, reports of the tap's "
        "runs, rows that a terminated target has not sent and, with api: uapi, the count of the "
        "day's calls and the discovered fields. For runs on several machines a URL such as "
        "s3://bucket/prefix, which needs singer-demandbase[s3]; see docs/state.md. Default: "
        "spool_dir if it is set, else the user's folder for state (on Linux "
        "~/.local/state/singer-demandbase).",
    )
}
"""JSON schema of the setting of ``state``."""

KEEP_DAYS: dict[str, dict[str, Any]] = {
    "keep_days": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": 36_500,
        "default": 30,
        "title": "Days to keep",
        "description": "Days for which the reports of runs and the files of dry runs are kept. A "
        "run removes older ones. Rejected and undelivered rows are never removed.",
    }
}
"""JSON schema of the setting of ``run_files.remove_old``."""

CREDENTIALS = [{"required": ["access_token"]}, {"required": ["client_id", "client_secret"]}]
"""The settings must satisfy one of these."""


def with_api_settings(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a plugin's settings with those of the API added to its own."""
    properties = {**PROPERTIES, **schema["properties"], **STATE_DIR, **KEEP_DAYS, **POLLING}
    return {
        **schema, "properties": properties, "anyOf": CREDENTIALS, "additionalProperties": False,
    }  # fmt: skip


def chosen_api(config: Mapping[str, Any]) -> Api:
    """Return the API to use: the setting, or the API that the credentials belong to."""
    if (api := config.get("api")) is not None:
        return Api(api)
    has_key_set = config.get("client_id") and config.get("client_secret")
    return Api.UAPI if has_key_set else Api.V1


def api_url(config: Mapping[str, Any]) -> str:
    """Return the URL of the API: the setting, or the default of the API.

    Journals and fingerprints of files contain it: texts that lead to one API must be equal.
    """
    url: str = config.get("api_url") or chosen_api(config).default_url
    return without_slash(url)


def connection(config: Mapping[str, Any], retry: RetryPolicy, user_agent: str) -> Connection:
    """Return the connection to the API.

    Args:
        config: The settings, including ``request_timeout_seconds``.
        retry: Retries of reads.
        user_agent: Name of the plugin.

    Raises:
        ConfigurationError: The URL or a credential is malformed.
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
    """Return the setting ``spool_dir``; ``None`` for the system's temporary folder.

    Raises:
        ConfigurationError: It is no path.
    """
    return _folder(config, "spool_dir")


def state(config: Mapping[str, Any]) -> State:
    """Return the place of what must outlive a run.

    Raises:
        ConfigurationError: A setting is no path.
    """
    spool_dir = spool_folder(config)
    text = config.get("state_dir") or ""
    if "://" in text or text.strip().lower().startswith("s3:"):
        from demandbase_api.state.bucket import StateBucket, checked_url  # noqa: PLC0415 - rare

        return StateBucket(checked_url(text), tenant(config), spool_dir)
    return StateFolder(_folder(config, "state_dir"), spool_dir)


def tenant(config: Mapping[str, Any]) -> str:
    """Return a digest of what identifies a tenant for years: a token does not, it is renewed."""
    key = f"{api_url(config)} {config.get('client_id') or ''}"
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def _folder(config: Mapping[str, Any], setting: str) -> Path | None:
    folder = config.get(setting)
    return checked_path(setting, folder) if folder else None


def checked_path(setting: str, text: str) -> Path:
    """Return the path in a setting.

    Raises:
        ConfigurationError: No file can have that path.
    """
    try:
        is_path = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_path = False
    if not is_path:
        raise ConfigurationError(
            f"The setting {setting} is no path: it contains a character that no path may contain, "
            "such as NUL."
        )
    return Path(text)


def api_files(config: Mapping[str, Any]) -> ApiFiles:
    """Return the files about the API that outlive a run."""
    hours = config.get("discovery_cache_hours")
    place = state(config)
    return ApiFiles(place) if hours is None else ApiFiles(place, float(hours))


def poll_policy(config: Mapping[str, Any]) -> PollPolicy:
    """Return how often to poll jobs, and for how long."""
    return PollPolicy(
        interval_seconds=config["poll_interval_seconds"],
        interval_max_seconds=config["poll_interval_max_seconds"],
        timeout_seconds=config["job_timeout_seconds"],
    )
