"""What the servers saw, in order."""

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
class SeenRequest:
    """A request and how it was answered. ``status`` 0 means that the connection was dropped.

    ``api`` is ``v1``, ``uapi``, or ``files`` for the host behind signed links.
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
    """Keeps what was seen; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[SeenRequest] = []

    def add(self, request: SeenRequest) -> None:
        """Note a request."""
        # Without the query: a signed link is as good as a token.
        _logger.info("%s %s %s", request.method, request.path, request.status or "dropped")
        with self._lock:
            self._seen.append(request)

    def all(self) -> list[SeenRequest]:
        """Return the requests so far."""
        with self._lock:
            return list(self._seen)

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._seen.clear()
