"""Signed links: the holder of one may download one file until it expires."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping


class LinkSigner:
    """Signs and verifies links with a key of its own."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def link(self, base: str, name: str, expires: float) -> str:
        """Return a link to a file that is valid until a POSIX time."""
        stamp = f"{expires:.3f}"
        query = urlencode({"expires": stamp, "signature": self._sign(name, stamp)})
        return f"{base}/files/{quote(name)}?{query}"

    def allows(self, name: str, query: Mapping[str, str], now: float) -> bool:
        """Whether a link's query is genuine and has not expired."""
        stamp = query.get("expires", "")
        # compare_digest() rejects texts that are not ASCII, so both are compared as bytes.
        given = query.get("signature", "").encode("utf-8", "replace")
        genuine = hmac.compare_digest(self._sign(name, stamp).encode(), given)
        return genuine and float(stamp) > now

    def _sign(self, name: str, stamp: str) -> str:
        signed = f"{name}\n{stamp}".encode("utf-8", "replace")
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest()
