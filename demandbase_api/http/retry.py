"""When a read is asked again: exponential back-off, full jitter, Retry-After honoured.

A Retry-After is waited for in full. One of more than 15 minutes is not waited for at all: the call
fails and says after how many seconds to try again.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a call is tried.

    Args:
        tries: Tries in all, the first included.
        base_seconds: Upper end of the first wait; doubled at each further one.
        max_seconds: Upper end of a wait that the server did not ask for.
        max_retry_after_seconds: The longest Retry-After that is waited for; past it, the call
            fails at once.
    """

    tries: int = 6
    base_seconds: float = 1.0
    max_seconds: float = 60.0
    max_retry_after_seconds: float = 900.0

    def retrying(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return the function, tried again on each :class:`TransientError`."""
        return backoff.on_exception(
            _waits,
            TransientError,
            max_tries=self.tries,
            giveup=self._asks_too_much,
            # The generator draws the jitter itself: a server's Retry-After must not be cut.
            jitter=None,
            logger=None,
            on_backoff=self._note,
            base_seconds=self.base_seconds,
            max_seconds=self.max_seconds,
        )(function)

    def _asks_too_much(self, error: Exception) -> bool:
        asked = error.retry_after if isinstance(error, TransientError) else None
        return (asked or 0.0) > self.max_retry_after_seconds

    def _note(self, details: Details) -> None:
        logger.warning(
            "Trying again in %.1f s (%d of %d tries made): %s",
            details.get("wait", 0.0),
            details["tries"],
            self.tries,
            details.get("exception"),
        )


def _waits(base_seconds: float, max_seconds: float) -> Generator[float, TransientError, None]:
    error = yield 0  # backoff primes a generator with one empty step
    ceiling = base_seconds
    while True:
        retry_after = error.retry_after
        if retry_after is not None:
            error = yield retry_after
        else:
            error = yield random.uniform(0, ceiling)  # noqa: S311 - jitter is no secret
        ceiling = min(ceiling * 2, max_seconds)
