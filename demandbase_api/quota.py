"""What to do where the day's quota of exports is used up: stop, or wait for the next day's."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from demandbase_api.errors import QuotaExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.clock import Clock

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NOTE_SECONDS = 60.0
_GROWTH = 2


@dataclass(frozen=True, slots=True)
class QuotaPatience:
    """How long to wait for a new quota.

    Args:
        hours: How long in all; 0 for not at all.
        first_seconds: The first wait between two tries; doubled at each further one.
        max_seconds: The longest wait, where the server names none.
    """

    hours: float
    first_seconds: float = 60.0
    max_seconds: float = 900.0

    def waiting(self, create: Callable[[], T], clock: Clock) -> Callable[[], T]:
        """Return a function that creates a job, however often the quota refuses it meanwhile."""

        def patient() -> T:
            until = clock.now() + self.hours * 3600
            pause = self.first_seconds
            while True:
                try:
                    return create()
                except QuotaExceededError as error:
                    left = until - clock.now()
                    if left <= 0:
                        raise
                    logger.warning("%s", error)
                    _sleep(min(error.retry_after or pause, left), until, clock)
                    pause = min(pause * _GROWTH, self.max_seconds)

        return patient


def _sleep(seconds: float, until: float, clock: Clock) -> None:
    end = clock.now() + seconds
    while (left := end - clock.now()) > 0:
        logger.info(
            "Waiting for a new quota: next try in %.0f s, for up to %.1f h more "
            "(setting quota_wait_hours)",
            left,
            (until - clock.now()) / 3600,
        )
        clock.sleep(min(left, _NOTE_SECONDS))
