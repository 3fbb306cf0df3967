"""Two APIs behind one server: the port that a request came to says which one is meant."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send


class Hosts:
    """An application made of two.

    Args:
        api: The v1 API.
        uapi_port: The port of the published API.
        create_uapi: Makes the published API, with the first request to it.
    """

    def __init__(self, api: ASGIApp, uapi_port: int, create_uapi: Callable[[], ASGIApp]) -> None:
        self._api = api
        self._uapi_port = uapi_port
        self._create_uapi = create_uapi

    @cached_property
    def _uapi(self) -> ASGIApp:
        return self._create_uapi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the API that it came to."""
        is_uapi = scope["type"] == "http" and scope["server"][1] == self._uapi_port
        await (self._uapi if is_uapi else self._api)(scope, receive, send)
