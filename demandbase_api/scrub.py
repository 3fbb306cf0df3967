"""Makes a server's message fit to be shown: no token and no signed link."""

from __future__ import annotations

import re

from demandbase_api.plain_words import mask_values

__all__ = ["MAX_LENGTH", "mask_values", "scrub"]

MAX_LENGTH = 300

_HEADER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{12,}")
_JWT = re.compile(r"\beyJ[\w-]+(?:\.[\w-]*)*")
_QUERY = re.compile(r"(?i)(\bhttps?://[^\s?\"'<>]*)\?[^\s\"'<>]*")
# A link without scheme and host; the question mark of a sentence is followed by a blank.
_BARE_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'<>?=]+=[^\s\"'<>]*")
_USER = re.compile(r"(?<=://)[^\s/?#\"'<>]*@")


def scrub(text: str, *secrets: str) -> str:
    """Return one line of at most 300 characters without secrets.

    Args:
        text: What a server said.
        secrets: Texts that must not appear, such as the access token.

    Returns:
        The text with secrets, authorization headers, tokens, the query parts of links and their
        user names replaced by ``***``.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = _HEADER.sub(r"\1 ***", text)
    text = _JWT.sub("***", text)
    text = _USER.sub("***@", text)
    text = _QUERY.sub(r"\1?***", text)
    text = _BARE_QUERY.sub("?***", text)
    text = " ".join(text.split())
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"
