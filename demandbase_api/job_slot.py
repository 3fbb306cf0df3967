"""Waits for its turn where somebody else's job holds the place of the next one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from demandbase_api.errors import BusyError, TransientError
from demandbase_api.job_list import recent

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.clock import Clock
    from demandbase_api.job_watch import PollPolicy
    from demandbase_api.ports import ExportApi

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NOTE_SECONDS = 10.0
_OLDEST = timedelta(days=1)
_UNSEEN_SECONDS, _UNSEEN_SECONDS_MAX = 60.0, 900.0
"""How long to wait where the list does not show the job that is in the way: each try is a call of
which a day has few."""


@dataclass(slots=True)
class _Wait:
    """How often the list was looked at, and how long the next look has to wait at least."""

    looks: int = 1
    unseen_seconds: float = 0.0

    def ended(self, *, is_seen: bool) -> None:
        """Note that no job runs any more; whether one was seen to."""
        longer = max(_UNSEEN_SECONDS, 2 * self.unseen_seconds)
        self.unseen_seconds = 0.0 if is_seen else min(longer, _UNSEEN_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class JobSlot:
    """The place that a job needs to be created.

    Args:
        api: Where the jobs are.
        poll: How often to look and for how long.
        clock: Time.
    """

    api: ExportApi
    poll: PollPolicy
    clock: Clock

    def waiting(self, create: Callable[[], T]) -> Callable[[], T]:
        """Return a function that creates a job once there is a place for it.

        Raises:
            BusyError: From the function: there is none in time.
        """

        def patient() -> T:
            until = self.clock.now() + self.poll.timeout_seconds
            wait = _Wait()
            while True:
                try:
                    return create()
                except BusyError as error:
                    logger.warning("%s It is waited for.", error)
                    self._await_free(wait, until, error)

        return patient

    def _await_free(self, wait: _Wait, until: float, error: BusyError) -> None:
        """Return once no job runs, having looked at the list, which costs less than to try."""
        is_seen = False
        while True:
            if self.clock.now() >= until:
                raise error
            seconds = max(
                self.poll.wait_before(wait.looks), self.api.poll_pause(), wait.unseen_seconds
            )
            self._sleep(min(seconds, until - self.clock.now()))
            wait.looks += 1
            try:
                since = self.clock.utc() - _OLDEST
                if all(job.status.is_terminal for job in recent(self.api.jobs(), since)):
                    wait.ended(is_seen=is_seen)
                    return
                is_seen, wait.unseen_seconds = True, 0.0
            except TransientError as trouble:
                logger.warning("Whether the job still runs is not known: %s", trouble)

    def _sleep(self, seconds: float) -> None:
        end = self.clock.now() + seconds
        while (left := end - self.clock.now()) > 0:
            logger.info("Waiting for somebody else's export job: next look in %.0f s", left)
            self.clock.sleep(min(left, _NOTE_SECONDS))
