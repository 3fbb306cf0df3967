"""Client credentials: tokens are issued on demand and renewed before they expire."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from typing_extensions import override

from demandbase_api.errors import ApiOperation, UnreachableError
from demandbase_api.http.auth import ApiAuth, NoAuth
from demandbase_api.http.client import HttpClient
from demandbase_api.http.json_reader import read
from demandbase_api.uapi.schemas import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demandbase_api.clock import Clock
    from demandbase_api.connection import Connection
    from demandbase_api.deadline import Deadline
    from demandbase_api.http.error_mapping import ErrorMapper

TOKEN_PATH = "/auth/v1/token"  # noqa: S105 - a path
LIFETIME_SECONDS = 8 * 3600.0
"""Published lifetime of a token, used if a response does not state it."""
LEEWAY_SECONDS = 15 * 60.0
"""Time before its expiry from which a token is not used: an upload may take long."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float

    @property
    def header(self) -> str:
        return f"Bearer {self.value}"


class ClientCredentials(ApiAuth):
    """Authenticates requests with a token for client credentials. It is kept in memory only.

    Args:
        connection: Client id and secret, and the host that issues tokens.
        clock: Time.
        map_error: Returns the error for an error response of the API.

    Raises:
        AuthenticationError: From a request: the credentials were rejected.
        ApiError: From a request: no token was issued.
    """

    def __init__(self, connection: Connection, clock: Clock, map_error: ErrorMapper) -> None:
        self._clock = clock
        self._id = connection.client_id or ""
        self._secret = connection.client_secret or ""
        self._http = HttpClient(connection, auth=NoAuth((self._secret,)), map_error=map_error)
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._issued: list[str] = []

    @override
    def header(self, deadline: Deadline) -> str | None:
        # Another thread's request of a token must not delay this one beyond its deadline.
        if not self._lock.acquire(timeout=min(deadline.left(), threading.TIMEOUT_MAX)):
            raise UnreachableError(
                ApiOperation.ISSUE_TOKEN, "did not respond in time", nothing_sent=True
            )
        try:
            if self._token is None or self._clock.now() >= self._token.renew_at:
                self._token = self._issue(deadline)
            return self._token.header
        finally:
            self._lock.release()

    @property
    @override
    def secrets(self) -> Sequence[str]:
        return (self._secret, *self._issued)

    @override
    def renew(self, rejected: str | None) -> bool:
        with self._lock:
            # Unless another thread has renewed it in the meantime.
            if self._token is not None and self._token.header == rejected:
                self._token = None
        return True

    def _issue(self, deadline: Deadline) -> _Token:
        # Without retries of its own: those of the request that needs the token are enough.
        operation = ApiOperation.ISSUE_TOKEN
        requested_at = self._clock.now()
        body = {
            "grantType": "client_credentials",
            "clientId": self._id,
            "clientSecret": self._secret,
        }
        response = self._http.create(operation, TOKEN_PATH, body, deadline)
        token = read(operation, response, Token)
        seconds = float(token.expires_in or LIFETIME_SECONDS)
        self._issued.append(token.access_token)
        # A token with a lifetime of less than half an hour is used for half of it.
        return _Token(token.access_token, requested_at + max(seconds - LEEWAY_SECONDS, seconds / 2))
