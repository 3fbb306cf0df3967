"""What a usable API address and token look like; checked before the first call.

Past this point a wrong one would fail inside the HTTP library, with a message that names neither
setting and may show the token.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from demandbase_api.errors import ConfigurationError

_EXAMPLE = "https://api.demandbase.com"


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


def checked_token(token: str) -> str:
    """Return the access token without surrounding white space.

    Raises:
        ConfigurationError: It cannot stand in a header.
    """
    token = token.strip()
    if not token:
        raise ConfigurationError("The setting access_token is empty. Put a token into it.")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigurationError(
            "The setting access_token holds a blank, a line break or a character that is not "
            "ASCII, which no token has. Copy the token anew, without quotes or line breaks."
        )
    return token


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
