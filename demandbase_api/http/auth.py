"""Authentication of requests."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import requests
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence


class ApiAuth(requests.auth.AuthBase):
    """Adds the Authorization header to a request.

    As an ``auth`` of ``requests``, it also prevents the use of .netrc.
    """

    @property
    @abstractmethod
    def secrets(self) -> Sequence[str]:
        """Texts to redact in all messages."""

    @abstractmethod
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

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    @property
    @override
    def secrets(self) -> Sequence[str]:
        return (self._token,)

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

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request

    @property
    @override
    def secrets(self) -> Sequence[str]:
        return self._secrets

    @override
    def renew(self, rejected: str | None) -> bool:
        return False
