"""The requests that the servers received, in order."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORDED_HEADERS = ("User-Agent", "Content-Type", "Range", "If-Range")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedRequest:
    """A request and the status of its response.

    Args:
        operation: Operation id; empty if no operation has the method and path.
        status: HTTP status; 0 if the connection was dropped.
        authorized: Whether there was an ``Authorization`` header, valid or not.
        body: Members of a JSON body, or the name of an uploaded file.
        api: ``v1``, ``uapi``, or ``files`` for the host behind signed links.
    """

    operation: str
    method: str
    path: str
    status: int
    authorized: bool
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    api: str = "v1"


class Recorder:
    """Records requests. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[RecordedRequest] = []

    def add(self, request: RecordedRequest) -> None:
        """Record and log a request."""
        # Without the query: a signed link is as secret as a token.
        _logger.info("%s %s %s", request.method, request.path, request.status or "dropped")
        with self._lock:
            self._requests.append(request)

    def all(self) -> list[RecordedRequest]:
        """Return the requests so far."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Remove all requests."""
        with self._lock:
            self._requests.clear()
