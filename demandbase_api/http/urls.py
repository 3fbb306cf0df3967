"""URLs of requests: the API's own, those of signed links, and those of redirects.

All are parsed by urllib3, which also connects: another parser may find another host in a URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

from urllib3.util import parse_url

if TYPE_CHECKING:
    import requests

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> tuple[str | None, str | None, int | None]:
    """Return the scheme, host and port of a URL.

    Raises:
        ValueError: The URL cannot be parsed.
    """
    parts = parse_url(url)
    return parts.scheme, parts.host, parts.port or _DEFAULT_PORTS.get(parts.scheme or "")


def is_web_address(url: str) -> bool:
    """Return whether a URL is one of http or https that a request can be sent to.

    One with a backslash, a control character or user info is not: parsers disagree on its host.
    """
    if not _is_plain(url):
        return False
    try:
        parts = parse_url(url)
    except ValueError:
        return False
    return (
        parts.scheme in _DEFAULT_PORTS
        and bool(parts.host)
        and parts.auth is None
        and parts.port != 0
    )


def is_downgrade(url: str, target: str) -> bool:
    """Return whether the way from one URL to another leads from https to http."""
    return origin_of(url)[0] == "https" and origin_of(target)[0] != "https"


def redirect_of(response: requests.Response) -> str | None:
    """Return the URL that a response redirects to, empty if malformed; ``None`` for no redirect."""
    if not response.is_redirect:
        return None
    location = response.headers["Location"]
    if not _is_plain(location):  # urljoin removes some control characters
        return ""
    try:
        return urljoin(response.url, location)
    except ValueError:
        return ""


def _is_plain(url: str) -> bool:
    return url.isprintable() and "\\" not in url
