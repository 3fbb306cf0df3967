"""Access tokens: issued, expired, revoked."""

from __future__ import annotations

import hmac
import threading
from typing import TYPE_CHECKING

from demandbase_sandbox.options import new_token

if TYPE_CHECKING:
    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.options import SandboxOptions


class Tokens:
    """The tokens of a tenant. Thread-safe.

    Args:
        options: Credentials, static token, and lifetime of issued tokens.
    """

    def __init__(self, clock: SandboxClock, options: SandboxOptions) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._options = options
        self._expiry: dict[str, float] = {}
        self._legacy_revoked = False

    def accepts_credentials(self, client_id: str, client_secret: str) -> bool:
        """Whether these are the tenant's credentials."""
        right_id = hmac.compare_digest(client_id.encode(), self._options.client_id.encode())
        secret = self._options.client_secret
        return hmac.compare_digest(client_secret.encode(), secret.encode()) and right_id

    def issue(self) -> str:
        """Return a new token; earlier ones stay valid."""
        token = new_token()
        with self._lock:
            life = self._options.token_seconds
            self._expiry[token] = self._clock.now().timestamp() + life
        return token

    def accepts(self, token: str) -> bool:
        """Whether a token is valid now; the static one never expires."""
        given = token.encode("utf-8", "replace")
        if hmac.compare_digest(given, self._options.token.encode()):
            return not self._legacy_revoked
        with self._lock:
            expiry = self._expiry.get(token, 0.0)
        return self._clock.now().timestamp() < expiry

    def issued(self) -> list[str]:
        """Return the issued tokens that are not revoked, expired ones included."""
        with self._lock:
            return list(self._expiry)

    def revoke(self, *, legacy: bool = False) -> None:
        """Revoke all issued tokens, with ``legacy`` the static one instead."""
        with self._lock:
            if legacy:
                self._legacy_revoked = True
            else:
                self._expiry.clear()

    def clear(self) -> None:
        """Revoke all issued tokens and accept the static one again."""
        with self._lock:
            self._expiry.clear()
            self._legacy_revoked = False
