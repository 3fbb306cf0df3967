"""How calls show who makes them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import requests
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence


class ApiAuth(requests.auth.AuthBase):
    """Puts what is needed into a request's headers.

    Being an ``auth``, it also keeps ``requests`` from reading .netrc.
    """

    @property
    @abstractmethod
    def secrets(self) -> Sequence[str]:
        """What no message may show."""

    @abstractmethod
    def renew(self, refused: str | None) -> bool:
        """Have another token in the place of one that was refused.

        Args:
            refused: The Authorization header that was refused.

        Returns:
            Whether the call may work with another one.
        """


class StaticToken(ApiAuth):
    """A bearer token that cannot be renewed.

    Args:
        token: The token.
    """

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
    def renew(self, refused: str | None) -> bool:
        return False


class NoAuth(ApiAuth):
    """Sets nothing: for foreign hosts, and for the call that asks for a token.

    Args:
        secrets: What no message may show all the same.
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
    def renew(self, refused: str | None) -> bool:
        return False
