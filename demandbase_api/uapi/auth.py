"""Tokens from client credentials: asked for when needed, renewed before they end."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from typing_extensions import override

from demandbase_api.errors import ApiOperation
from demandbase_api.http.auth import ApiAuth, NoAuth
from demandbase_api.http.client import HttpClient
from demandbase_api.http.json_reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    import requests

    from demandbase_api.clock import Clock
    from demandbase_api.connection import Connection
    from demandbase_api.http.error_mapping import ErrorMapper
    from demandbase_api.http.retry import RetryPolicy

TOKEN = "/auth/v1/token"  # noqa: S105 - a path
LIFE_SECONDS = 8 * 3600.0
"""How long tokens live as published, where an answer does not say it."""
LEEWAY_SECONDS = 15 * 60.0
"""A call may wait for long before it is sent, and an upload may take long."""


@dataclass(frozen=True, slots=True)
class _Grant:
    token: str = field(repr=False)
    renew_at: float

    @property
    def header(self) -> str:
        return f"Bearer {self.token}"


class ClientCredentials(ApiAuth):
    """Signs calls with a token that is kept in memory and nowhere else.

    Args:
        connection: Where tokens are issued, and to whom.
        clock: Time; tests pass one of their own.
        map_error: Returns the error for an error response of the API.

    Raises:
        AuthenticationError: From a call: the credentials are not accepted.
        ApiError: From a call: there is no token to be had.
    """

    def __init__(self, connection: Connection, clock: Clock, map_error: ErrorMapper) -> None:
        self._clock = clock
        self._retry: RetryPolicy = connection.retry
        self._id = connection.client_id or ""
        self._secret = connection.client_secret or ""
        self._http = HttpClient(connection, auth=NoAuth((self._secret,)), map_error=map_error)
        self._lock = threading.Lock()
        self._grant: _Grant | None = None
        self._tokens: list[str] = []

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._valid().header
        return request

    @property
    @override
    def secrets(self) -> Sequence[str]:
        return (self._secret, *self._tokens)

    @override
    def renew(self, refused: str | None) -> bool:
        with self._lock:
            # Another thread may have renewed it meanwhile.
            if self._grant is not None and self._grant.header == refused:
                self._grant = None
        return True

    def _valid(self) -> _Grant:
        with self._lock:
            if self._grant is None or self._clock.now() >= self._grant.renew_at:
                self._grant = self._retry.call(self._issue)
            return self._grant

    def _issue(self) -> _Grant:
        operation = ApiOperation.ISSUE_TOKEN
        asked_at = self._clock.now()
        body = {
            "grantType": "client_credentials",
            "clientId": self._id,
            "clientSecret": self._secret,
        }
        answer = Reader(operation, self._http.create(operation, TOKEN, body))
        token = answer.required("accessToken", str)
        seconds = float(answer.optional("expiresIn", int) or LIFE_SECONDS)
        self._tokens.append(token)
        # One that lives for less than half an hour is used for half of its life.
        return _Grant(token, asked_at + max(seconds - LEEWAY_SECONDS, seconds / 2))
