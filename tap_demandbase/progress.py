"""A sign of life while a stream is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.clock import Clock, SystemClock

if TYPE_CHECKING:
    import logging

EVERY_SECONDS = 10.0


class ReadProgress:
    """Logs part, bytes or rows, and rows/s at least every 10 seconds of work.

    Args:
        logger: Where to.
        clock: Time; tests pass one of their own.
    """

    def __init__(self, logger: logging.Logger, clock: Clock | None = None) -> None:
        self._logger = logger
        self._clock = clock or SystemClock()
        self._started = self._said = self._clock.now()

    def downloading(self, part: int, parts: int, received: int) -> None:
        """Note the bytes of a part received so far."""
        if self._due():
            self._logger.info(
                "Downloading part %d of %d: %.1f MB", part, parts, received / 1_000_000
            )

    def reading(self, part: int, parts: int, rows: int) -> None:
        """Note the rows read so far."""
        if self._due():
            seconds = max(self._said - self._started, 0.001)
            self._logger.info(
                "Reading part %d of %d: %d rows, %.0f rows/s", part, parts, rows, rows / seconds
            )

    def _due(self) -> bool:
        now = self._clock.now()
        if now - self._said < EVERY_SECONDS:
            return False
        self._said = now
        return True
