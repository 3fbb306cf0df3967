"""Where the API is, and who asks."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from demandbase_api.errors import ConfigurationError
from demandbase_api.http.retry import RetryPolicy

_EXAMPLE = "https://api.demandbase.com"

_WORD = {"client_id": "client id", "client_secret": "client secret"}


def checked_url(url: str) -> str:
    """Return the address of the API without surrounding white space and closing slashes.

    Raises:
        ConfigurationError: It is no web address; not shown, since it may hold credentials.
    """
    url = url.strip()
    problem = _problem_of(url)
    if problem:
        raise ConfigurationError(
            f"The setting api_url is no web address: {problem}. "
            f"Give scheme and host, as in {_EXAMPLE}."
        )
    return url.rstrip("/")


def checked_credential(value: str, setting: str) -> str:
    """Return a token, or what tokens are asked for with, without surrounding white space.

    Args:
        value: The credential.
        setting: The setting that holds it.

    Raises:
        ConfigurationError: It cannot stand in a header.
    """
    value = value.strip()
    if not value:
        raise ConfigurationError(
            f"The setting {setting} is empty. Put a {_WORD.get(setting, 'token')} into it."
        )
    if not (value.isascii() and value.isprintable() and " " not in value):
        word = _WORD.get(setting, "token")
        raise ConfigurationError(
            f"The setting {setting} holds a blank, a line break or a character that is not "
            f"ASCII, which no {word} has. Copy the {word} anew, without quotes or line breaks."
        )
    return value


def _problem_of(url: str) -> str:
    if not url.isprintable() or " " in url:
        return "it holds a blank or a control character"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "its host cannot be read"
    if parts.scheme not in {"http", "https"}:
        return "it does not begin with https:// or http://"
    if not parts.hostname:
        return "it has no host"
    if parts.query or parts.fragment:
        return "it goes on after the path"
    try:
        valid = parts.port != 0
    except ValueError:
        valid = False
    return "" if valid else "its port is no number from 1 to 65535"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API is and how to talk to it.

    Args:
        api_url: Scheme and host, as in ``https://api.demandbase.com``.
        access_token: Bearer token, where there is one.
        request_timeout_seconds: How long an answer may stay silent.
        retry: How reads are repeated.
        user_agent: Name that goes before the version in ``User-Agent``.
        client_id: Who asks for tokens, where they can be had.
        client_secret: What proves it.

    Raises:
        ConfigurationError: The address or a credential cannot be used.
    """

    api_url: str
    access_token: str | None = field(default=None, repr=False)
    request_timeout_seconds: float = 300
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    user_agent: str = "singer-demandbase"
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check address and credentials, and take white space off their ends."""
        object.__setattr__(self, "api_url", checked_url(self.api_url))
        for name in ("access_token", "client_id", "client_secret"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_credential(value, name))

    @property
    def is_static(self) -> bool:
        """Whether there is nothing but a token, which cannot be renewed."""
        return self.client_id is None and self.client_secret is None


_FOLDER = "singer-demandbase"


@dataclass(frozen=True, slots=True)
class ApiFiles:
    """What of an API is remembered from run to run.

    Args:
        folder: Where; a folder in the system's temporary one where absent.
        cache_hours: How long what was discovered is good for.
    """

    folder: Path | None = None
    cache_hours: float = 24

    def path(self, connection: Connection, kind: str) -> Path:
        """Return the file of one kind for a tenant; its name tells nothing of the credentials."""
        who = connection.client_id or connection.access_token or ""
        digest = hashlib.blake2b(f"{connection.api_url} {who}".encode(), digest_size=8).hexdigest()
        folder = self.folder or Path(tempfile.gettempdir()) / _FOLDER
        return folder / f"demandbase-{kind}-{digest}.json"
