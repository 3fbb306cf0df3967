"""URLs of requests: the API's own, those of signed links, and those of redirects."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    import requests

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Return the scheme, host and port of a URL.

    Raises:
        ValueError: The URL cannot be parsed.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def is_web_address(url: str) -> bool:
    """Return whether a URL is one of http or https that a request can be sent to."""
    try:
        scheme, host, port = origin_of(url)
    except ValueError:
        return False
    return scheme in _DEFAULT_PORTS and bool(host) and port != 0


def redirect_of(response: requests.Response) -> str | None:
    """Return the URL that a response redirects to, empty if malformed; ``None`` for no redirect."""
    if not response.is_redirect:
        return None
    try:
        return urljoin(response.url, response.headers["Location"])
    except ValueError:
        return ""
