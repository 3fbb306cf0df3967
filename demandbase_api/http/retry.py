"""Retries: exponential backoff with full jitter; a server's Retry-After takes precedence.

A Retry-After of up to 15 minutes is waited for in full. With a longer one, the call fails at once,
and its error says after how many seconds to try again.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from demandbase_api.clock import SystemClock
from demandbase_api.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable


logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_MAX_DOUBLINGS = 64
"""Keeps the upper end of a wait from overflowing."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is tried and how long to wait between the tries.

    Args:
        tries: Maximum number of tries, including the first.
        base_seconds: Upper end of the first wait. It doubles with each further try.
        max_seconds: Upper end of every wait that the server did not ask for.
        max_retry_after_seconds: Longest Retry-After to wait for.
    """

    tries: int = 6
    base_seconds: float = 1.0
    max_seconds: float = 60.0
    max_retry_after_seconds: float = 900.0

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function; on a :class:`TransientError`, wait and try again.

        Raises:
            TransientError: The last try failed, or the server asked for too long a wait.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return function(*args, **kwargs)
            except TransientError as error:
                asked = error.retry_after or 0.0
                if tries >= self.tries or asked > self.max_retry_after_seconds:
                    raise
                seconds = self.wait_after(tries, error)
                logger.warning(
                    "Trying again in %.1f s (%d of %d tries made): %s",
                    seconds,
                    tries,
                    self.tries,
                    error,
                )
            SystemClock().sleep(seconds)

    def wait_after(self, tries: int, error: TransientError) -> float:
        """Return the seconds to wait before the next try.

        Args:
            tries: Tries made so far.
            error: Failure of the last one.
        """
        if error.retry_after is not None:
            return error.retry_after
        ceiling = min(self.base_seconds * 2 ** min(tries - 1, _MAX_DOUBLINGS), self.max_seconds)
        return random.uniform(0, ceiling)  # noqa: S311 - jitter is no secret
