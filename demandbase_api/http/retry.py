"""Retries: exponential backoff with full jitter; a server's Retry-After takes precedence.

A Retry-After of up to 15 minutes is waited for in full. With a longer one, the call fails at once,
and its error says after how many seconds to try again.
"""

from __future__ import annotations

import itertools
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import backoff

from demandbase_api.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from backoff.types import Details


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
        retrying = backoff.on_exception(
            self._waits,
            TransientError,
            max_tries=self.tries,
            giveup=self._asks_too_much,
            # wait_after() draws the jitter: a server's Retry-After must not be shortened.
            jitter=None,
            logger=None,
            on_backoff=self._log,
        )
        return retrying(function)(*args, **kwargs)

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

    def _waits(self) -> Generator[float, TransientError, None]:
        error = yield 0  # backoff starts a generator with one empty step
        for tries in itertools.count(1):
            error = yield self.wait_after(tries, error)

    def _asks_too_much(self, error: Exception) -> bool:
        asked = error.retry_after if isinstance(error, TransientError) else None
        return (asked or 0.0) > self.max_retry_after_seconds

    def _log(self, details: Details) -> None:
        logger.warning(
            "Trying again in %.1f s (%d of %d tries made): %s",
            details.get("wait", 0.0),
            details["tries"],
            self.tries,
            details.get("exception"),
        )
