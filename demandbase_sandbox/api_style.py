"""In what the two APIs answer differently: names, counting, and the shape of a refusal."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from fastapi.responses import JSONResponse, Response

from demandbase_sandbox.operations import operation_of

if TYPE_CHECKING:
    from demandbase_sandbox.refusal import RefusalError


class ApiStyle(Protocol):
    """One of the APIs."""

    @property
    def name(self) -> str:
        """What it is called in the record of requests and in a fault's ``match``."""

    @property
    def sends_null(self) -> bool:
        """Whether members without a value are sent as null instead of left out."""

    def operation_of(self, method: str, path: str) -> str:
        """Return the id of the operation that a request is meant for, or an empty text."""

    def admission(self, operation: str) -> AbstractContextManager[None]:
        """Count a call; the context lasts as long as the call is worked on.

        Raises:
            RefusalError: There have been too many.
        """

    def refusal(self, path: str, refusal: RefusalError) -> Response:
        """Return the answer that says no."""


class V1Style:
    """The v1 API: an object with a sentence, and no limit on calls."""

    name = "v1"
    sends_null = False

    def operation_of(self, method: str, path: str) -> str:
        """Return the id of the operation that a request is meant for, or an empty text."""
        return operation_of(method, path)

    def admission(self, operation: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Let everybody in."""
        return nullcontext()

    def refusal(self, path: str, refusal: RefusalError) -> Response:  # noqa: ARG002
        """Return the answer that says no."""
        return JSONResponse({"error": refusal.sentence}, refusal.status)
