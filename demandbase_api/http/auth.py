"""Authentication of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import requests
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demandbase_api.deadline import Deadline


class ApiAuth(Protocol):
    """The credentials of requests."""

    @property
    def secrets(self) -> Sequence[str]:
        """Texts to redact in all messages."""

    def header(self, deadline: Deadline) -> str | None:
        """Return the Authorization header of a request, if it has one.

        Args:
            deadline: Moment until which the credentials must be there.

        Raises:
            ApiError: There are no valid credentials.
        """

    def renew(self, rejected: str | None) -> bool:
        """Replace a token that the server rejected.

        Args:
            rejected: The rejected Authorization header.

        Returns:
            Whether the request is worth another try.
        """


class StaticToken(ApiAuth):
    """A bearer token that cannot be renewed."""

    def __init__(self, token: str) -> None:
        self._token = token

    @property
    @override
    def secrets(self) -> Sequence[str]:
        return (self._token,)

    @override
    def header(self, deadline: Deadline) -> str | None:
        return f"Bearer {self._token}"

    @override
    def renew(self, rejected: str | None) -> bool:
        return False


class NoAuth(ApiAuth):
    """No Authorization header: for other hosts, and for the request of a token.

    Args:
        secrets: Texts to redact in all messages.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = secrets

    @property
    @override
    def secrets(self) -> Sequence[str]:
        return self._secrets

    @override
    def header(self, deadline: Deadline) -> str | None:
        return None

    @override
    def renew(self, rejected: str | None) -> bool:
        return False


class Authorization(requests.auth.AuthBase):
    """Adds the Authorization header to a request of ``requests``, which otherwise uses .netrc."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header is not None:
            request.headers["Authorization"] = self._header
        return request
