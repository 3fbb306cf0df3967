"""One line in the log for each HTTP call, at the level DEBUG."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

_MILLISECONDS = 1000


class LoggedCall:
    """An HTTP call, from its request to the end of its response.

    Args:
        method: HTTP method.
        path: What the log shows of the URL. It must not have a query, which may be a signature.
    """

    def __init__(self, method: str, path: str) -> None:
        self._method = method
        self._path = path
        self._began = time.monotonic()

    def log_failure(self) -> None:
        """Log that there was no response."""
        logger.debug("%s %s: no response after %d ms", self._method, self._path, self._milliseconds)

    def log_end_of(self, response: requests.Response) -> None:
        """Log the call when its response is closed: only then its duration and size are known."""
        if not logger.isEnabledFor(logging.DEBUG):
            return
        close = response.close

        def log_and_close() -> None:
            response.close = close  # type: ignore[method-assign]
            received = response.raw.tell()
            close()
            logger.debug(
                "%s %s: %d in %d ms, %d bytes",
                self._method,
                self._path,
                response.status_code,
                self._milliseconds,
                received,
            )

        response.close = log_and_close  # type: ignore[method-assign]

    @property
    def _milliseconds(self) -> float:
        return _MILLISECONDS * (time.monotonic() - self._began)
