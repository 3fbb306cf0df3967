"""Retries: exponential backoff with full jitter, for two minutes after the first failure.

A server's Retry-After of up to 15 minutes is waited for in full. With a longer one, the call fails
at once, and its error says after how many seconds to try again.
"""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import backoff

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import ApiError
from demandbase_api.http.error_mapping import MAX_RETRY_AFTER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from backoff.types import Details

    from demandbase_api.deadline import Deadline


logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_MAX_DOUBLINGS = 64
"""Keeps the upper end of a wait from overflowing."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """For how long a call is retried and how long to wait between the tries.

    Args:
        patience_seconds: Time after the first failure in which the call is tried again. A wait
            that the server asked for may last longer.
        base_seconds: Upper end of the first wait. It doubles with each further try.
        max_seconds: Upper end of every wait that the server did not ask for.
        max_retry_after_seconds: Longest Retry-After to wait for.
        tries: Maximum number of tries, including the first. Default: no limit.
        is_total: Whether the patience counts from the beginning of the first try.
        connect_seconds: Longest wait for a connection.
        silence_seconds: Longest time without data from the server, if that is shorter than the
            setting ``request_timeout_seconds``.
        clock: Time.
    """

    patience_seconds: float = 120.0
    base_seconds: float = 1.0
    max_seconds: float = 30.0
    max_retry_after_seconds: float = MAX_RETRY_AFTER_SECONDS
    tries: int | None = None
    is_total: bool = False
    connect_seconds: float = 10.0
    silence_seconds: float = math.inf
    clock: Clock = field(default_factory=SystemClock)

    def on(self, clock: Clock) -> RetryPolicy:
        """Return the same policy on another clock."""
        return replace(self, clock=clock)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function; on an error that may pass, wait and try again.

        Raises:
            ApiError: The last try failed, or the server asked for too long a wait.
        """
        return self.call_until(NO_DEADLINE, function, *args, **kwargs)

    def call_until(
        self, deadline: Deadline, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function as ``call`` does, without a wait that ends after a deadline.

        Args:
            deadline: Ends the retries; it does not bound the function itself.
            function: Called at least once.
            args: Its arguments.
            kwargs: Its named arguments.

        Raises:
            ApiError: The last try failed, or no time is left to wait.
        """
        waits = _Waits(self, deadline)
        retrying = backoff.on_exception(
            backoff.constant,
            ApiError,
            interval=0,  # backoff would sleep on the clock of the machine: sleep() waits instead
            giveup=waits.is_over,
            on_backoff=waits.sleep,
            jitter=None,
            logger=None,
        )
        return retrying(function)(*args, **kwargs)

    def wait_after(self, tries: int, error: ApiError) -> float:
        """Return the seconds to wait before the next try, no less than the server asked for.

        Args:
            tries: Tries made so far.
            error: Failure of the last one.
        """
        ceiling = min(self.base_seconds * 2 ** min(tries - 1, _MAX_DOUBLINGS), self.max_seconds)
        drawn = random.uniform(0, ceiling)  # noqa: S311 - jitter is no secret
        return max(drawn, error.retry_after or 0.0)


FOR_A_PERSON = RetryPolicy(
    patience_seconds=5,
    max_retry_after_seconds=5,
    tries=3,
    is_total=True,
    connect_seconds=4,
    silence_seconds=15,
)
"""For a command whose user waits: it gives up within seconds."""


class _Waits:
    """The waits between the tries of one call.

    Args:
        policy: How long to wait.
        deadline: Moment after which no wait may end.
    """

    def __init__(self, policy: RetryPolicy, deadline: Deadline) -> None:
        self._policy = policy
        self._deadline = deadline
        self._tries = 0
        self._until: float | None = None
        if policy.is_total:
            self._until = policy.clock.now() + policy.patience_seconds
        self._next = 0.0

    def is_over(self, error: Exception) -> bool:
        """Return whether not to try again after a failure; else draw the wait before the next."""
        assert isinstance(error, ApiError)  # noqa: S101 - nothing else is retried
        policy, now = self._policy, self._policy.clock.now()
        self._tries += 1
        if self._until is None:
            self._until = now + policy.patience_seconds
        asked = error.retry_after or 0.0
        left = self._until - now
        # The last try is at the end of the time, unless the server asked for a longer wait.
        self._next = max(min(policy.wait_after(self._tries, error), left), asked)
        return (
            not error.may_pass
            or not self._deadline.retries
            or self._tries == policy.tries
            or left <= 0
            or asked > policy.max_retry_after_seconds
            or self._next >= self._deadline.left()
        )

    def sleep(self, details: Details) -> None:
        """Log and wait, on the clock of the policy."""
        of = f" of {self._policy.tries}" if self._policy.tries else ""
        logger.warning(
            "Trying again in %.1f s (%d%s tries made): %s",
            self._next,
            details["tries"],
            of,
            details.get("exception"),
        )
        self._policy.clock.sleep(self._next)
