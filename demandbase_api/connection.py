"""The connection to an API: address, credentials, time-outs, and the files that belong to it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from demandbase_api.errors import ConfigurationError
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.http.urls import is_web_address
from demandbase_api.state.folder import StateFolder

if TYPE_CHECKING:
    from demandbase_api.state.ports import State

_EXAMPLE_URL = "https://api.demandbase.com"
_OWN_PATH = re.compile(r"/(data/)?(export|import|auth)/v1(?=/|$)|/data/(export|import)$|/v1$")
"""A piece of the APIs' own paths at the end of a path. A gateway may have any other prefix."""

_CREDENTIALS = {
    "access_token": "token",
    "client_id": "client id",
    "client_secret": "client secret",
}
"""Word for each credential, by setting."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Address, credentials and behaviour of the connection to an API.

    Args:
        api_url: Scheme and host, as in ``https://api.demandbase.com``, and a gateway's prefix.
        access_token: Bearer token, unless tokens are issued for ``client_id``.
        request_timeout_seconds: Maximum time without any data from the server.
        retry: Retries of reads.
        user_agent: Product name in the ``User-Agent`` header; the version is added to it.
        client_id: Client id of an API Key Set.
        client_secret: Client secret of an API Key Set.

    Raises:
        ConfigurationError: The URL or a credential is malformed.
    """

    api_url: str
    access_token: str | None = field(default=None, repr=False)
    request_timeout_seconds: float = 300
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    user_agent: str = "singer-demandbase"
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check URL and credentials, and strip surrounding white space."""
        object.__setattr__(self, "api_url", _checked_url(self.api_url))
        for name in _CREDENTIALS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _checked_credential(value, name))

    @property
    def is_static(self) -> bool:
        """Whether the only credential is a token, which cannot be renewed."""
        return self.client_id is None and self.client_secret is None


@dataclass(frozen=True, slots=True)
class ApiFiles:
    """Files about an API that outlive a run.

    Args:
        state: Where they are kept.
        cache_hours: How long discovered fields stay valid.
    """

    state: State = field(default_factory=StateFolder)
    cache_hours: float = 24

    @staticmethod
    def name(connection: Connection, kind: str) -> str:
        """Return the name of a tenant's file, which does not reveal the credentials."""
        credential = connection.client_id or connection.access_token or ""
        key = f"{connection.api_url} {credential}"
        digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        return f"demandbase-{kind}-{digest}.json"


def without_slash(url: str) -> str:
    """Return a URL without surrounding white space and trailing slashes."""
    return url.strip().rstrip("/")


def _checked_url(url: str) -> str:
    """Return a URL without surrounding white space and trailing slashes."""
    url = without_slash(url)
    problem = _url_problem(url)
    if problem:
        # The URL is not shown: it may contain credentials.
        raise ConfigurationError(
            f"The setting api_url cannot be used: {problem}. "
            f"Give scheme and host, as in {_EXAMPLE_URL}."
        )
    return url


def _url_problem(url: str) -> str:  # noqa: PLR0911 - one for each problem
    if not url.isprintable() or " " in url or "\\" in url:
        return "it contains a space, a backslash or a control character"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "its host cannot be parsed"
    if "@" in parts.netloc:
        return "it contains a user name or a password, which Demandbase does not use"
    if parts.scheme not in {"http", "https"}:
        return "it does not begin with https:// or http://"
    if not parts.hostname:
        return "it has no host"
    if "?" in url or "#" in url:  # also empty ones
        return "it has a query or a fragment"
    try:
        valid = parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        return "its port is not a number from 1 to 65535"
    if not is_web_address(url):
        return "its host cannot be parsed"
    own = _OWN_PATH.search(parts.path.rstrip("/").casefold())
    return f"its path contains {own[0]}, a part of the API's own paths" if own else ""


def _checked_credential(value: str, setting: str) -> str:
    """Return a credential without surrounding white space."""
    value = value.strip()
    word = _CREDENTIALS[setting]
    if not value:
        raise ConfigurationError(f"The setting {setting} is empty. Put a {word} into it.")
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ConfigurationError(
            f"The setting {setting} contains a space, a line break or a character that is not "
            f"ASCII, which no {word} does. Copy the {word} again, without quotes or line breaks."
        )
    return value
