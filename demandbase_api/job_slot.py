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
            began = self.clock.now()
            looks = 1
            while True:
                try:
                    return create()
                except BusyError as error:
                    logger.warning("%s It is waited for.", error)
                    looks = self._await_free(looks, began + self.poll.timeout_seconds, error)

        return patient

    def _await_free(self, looks: int, until: float, error: BusyError) -> int:
        """Return once no job runs, having looked at the list, which costs less than to try."""
        while True:
            if self.clock.now() >= until:
                raise error
            wait = max(self.poll.wait_before(looks), self.api.poll_pause())
            self._sleep(min(wait, until - self.clock.now()))
            looks += 1
            try:
                since = self.clock.utc() - _OLDEST
                if all(job.status.is_terminal for job in recent(self.api.jobs(), since)):
                    return looks
            except TransientError as trouble:
                logger.warning("Whether the job still runs is not known: %s", trouble)

    def _sleep(self, seconds: float) -> None:
        end = self.clock.now() + seconds
        while (left := end - self.clock.now()) > 0:
            logger.info("Waiting for somebody else's export job: next look in %.0f s", left)
            self.clock.sleep(min(left, _NOTE_SECONDS))
