"""What a usable API address and token look like; checked before the first call.

Past this point a wrong one would fail inside the HTTP library, with a message that names neither
setting and may show the token.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from demandbase_api.errors import ConfigurationError

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
