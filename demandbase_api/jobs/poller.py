"""Polling of jobs until they end: one read of the job list updates all of them."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from demandbase_api.clock import Clock, SystemClock, sleep_in_pieces
from demandbase_api.errors import (
    ConflictError,
    DemandbaseError,
    JobTimeoutError,
    NotFoundError,
    TransientError,
    job_gone,
)
from demandbase_api.ports import Job
from demandbase_api.threads import run_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from demandbase_api.ports import JobSource

logger = logging.getLogger(__name__)

J = TypeVar("J", bound=Job)

PROGRESS_SECONDS = 10.0
"""Maximum time between two log lines about a running job."""
CANCEL_SECONDS = 4.0
"""Maximum time that the end of a run spends on cancelling its jobs."""
_INTERVAL_GROWTH = 1.5
_LIST_MARGIN = timedelta(hours=1)
"""How far beyond the oldest polled job the list is read, in case creation times are inexact."""


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How often to poll jobs, and for how long.

    Args:
        interval_seconds: First interval between two polls. Each is 1.5 times the previous one.
        interval_max_seconds: Longest interval.
        timeout_seconds: Maximum time to wait for a job.
    """

    interval_seconds: float = 2
    interval_max_seconds: float = 60
    timeout_seconds: float = 21600

    def seconds_before(self, poll: int) -> float:
        """Return the seconds to wait before a poll; the first, number 0, is immediate."""
        if poll == 0:
            return 0.0
        longest = max(self.interval_seconds, self.interval_max_seconds)
        # The exponent is bounded: a float must not overflow during a wait of many hours.
        return min(longest, self.interval_seconds * _INTERVAL_GROWTH ** min(poll - 1, 64))


def draw_jitter() -> float:
    """Return a factor that shortens an interval, so that concurrent runs do not poll in step."""
    return random.uniform(0.8, 1.0)  # noqa: S311 - no secret


@dataclass(slots=True)
class _Polled(Generic[J]):
    job: J
    entity: str
    own: bool
    since: float
    gone: NotFoundError | None = None

    @property
    def is_open(self) -> bool:
        return self.gone is None and not self.job.status.is_terminal


class JobPoller(Generic[J]):
    """Polls a set of jobs.

    Args:
        kind: "export" or "import", for messages.
        source: API of the jobs.
        policy: How often to poll, and for how long.
        clock: Time.
        jitter: Draws the factor that shortens an interval, from 0.8 to 1.
        progress: Describes the progress of a running job, for the log.
    """

    def __init__(  # noqa: PLR0913 - the last two have defaults
        self,
        kind: str,
        source: JobSource[J],
        policy: PollPolicy,
        clock: Clock | None = None,
        *,
        jitter: Callable[[], float] = draw_jitter,
        progress: Callable[[J], str] = lambda _job: "",
    ) -> None:
        self._kind = kind
        self._source = source
        self._policy = policy
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self._progress = progress
        self._jobs: dict[str, _Polled[J]] = {}
        self._polls = 0
        self._next_poll = 0.0
        self._last_log = 0.0

    def add(self, job: J, entity: str, *, own: bool = True) -> None:
        """Start to poll a job; the next poll is due at once.

        Args:
            job: The job.
            entity: Its entity, for messages.
            own: Whether this run created the job and may cancel it.
        """
        now = self._clock.now()
        self._jobs[job.id] = _Polled(job, entity, own, now)
        self._polls = 0
        self._next_poll = self._last_log = now

    def update(self, job: J) -> None:
        """Replace the known state of a job by a newer one."""
        self._jobs[job.id].job = job

    def forget(self, job_id: str) -> None:
        """Stop polling a job."""
        self._jobs.pop(job_id, None)

    def latest(self, job_id: str) -> J:
        """Return a job as of the last poll."""
        return self._jobs[job_id].job

    @property
    def open_jobs(self) -> int:
        """Number of jobs that have not ended."""
        return len(self._open())

    def wait(self, job_id: str, on_poll: Callable[[], None] = lambda: None) -> J:
        """Wait for the end of a job and return the job.

        Args:
            job_id: The job.
            on_poll: Called after each poll.

        Raises:
            JobTimeoutError: The job did not end within the time-out.
            JobGoneError: The server no longer knows the job.
        """
        polled = self._jobs[job_id]
        while polled.is_open:
            waited = self._clock.now() - polled.since
            left = self._policy.timeout_seconds - waited
            if left > 0:
                self._sleep(min(self._next_poll - self._clock.now(), left))
            self.poll()  # after the time-out, too: the last poll may have been long ago
            on_poll()
            if left <= 0 and polled.is_open:
                raise self._timed_out(polled, waited)
        if polled.gone is not None:
            raise job_gone(self._kind, polled.entity, job_id, polled.gone)
        logger.info(
            "%s job %s for %s is %s after %.0f s",
            self._kind.capitalize(),
            job_id,
            polled.entity,
            polled.job.status_text,
            self._clock.now() - polled.since,
        )
        return polled.job

    def poll_if_due(self) -> bool:
        """Poll if the interval is over; return whether it was. Never waits."""
        now = self._clock.now()
        if not self.open_jobs:
            return False
        if now - self._last_log >= PROGRESS_SECONDS:
            self.log_progress()
        if now < self._next_poll:
            return False
        self.poll()
        return True

    def poll(self) -> None:
        """Update all open jobs. A transient error is logged and changes nothing."""
        job_ids = self._open()
        if job_ids:
            try:
                self._update(job_ids)
            except TransientError as error:
                logger.warning("Cannot poll the %s jobs: %s", self._kind, error)
        self._polls += 1
        interval = self._policy.seconds_before(self._polls) * self._jitter()
        self._next_poll = self._clock.now() + max(interval, self._source.poll_pause())

    def log_progress(self) -> None:
        """Log the state of each open job."""
        self._last_log = self._clock.now()
        for polled in tuple(self._jobs.values()):
            if polled.is_open:
                detail = self._progress(polled.job)
                logger.info(
                    "%s job %s for %s: %s for %.0f s%s",
                    self._kind.capitalize(),
                    polled.job.id,
                    polled.entity,
                    polled.job.status_text,
                    self._last_log - polled.since,
                    f", {detail}" if detail else "",
                )

    def close(self) -> frozenset[str]:
        """Cancel the open jobs that this run created, within 4 seconds.

        Returns:
            Ids of the cancelled jobs.
        """
        own = [polled for polled in self._jobs.values() if polled.own and polled.is_open]
        self._jobs.clear()
        cancelled: set[str] = set()
        # A server that does not respond must not keep the run from ending.
        ended = run_with_timeout(
            CANCEL_SECONDS, [partial(self._cancel, polled, cancelled) for polled in own]
        )
        for polled, has_ended in zip(own, ended, strict=True):
            if not has_ended:
                logger.warning("%s job %s may still run", self._kind.capitalize(), polled.job.id)
        return frozenset(cancelled)

    def _open(self) -> set[str]:
        return {job_id for job_id, polled in self._jobs.items() if polled.is_open}

    def _sleep(self, seconds: float) -> None:
        for _ in sleep_in_pieces(self._clock, seconds, PROGRESS_SECONDS):
            self.log_progress()

    def _update(self, job_ids: set[str]) -> None:
        missing = set(job_ids)
        for job in self._listed(job_ids):
            if job.id in missing:
                self._jobs[job.id].job = job
                missing.discard(job.id)
                if not missing:
                    return
        for job_id in missing:  # not in the list yet, or no longer
            try:
                self._jobs[job_id].job = self._source.get(job_id)
            except NotFoundError as error:
                self._jobs[job_id].gone = error

    def _listed(self, job_ids: set[str]) -> Iterator[J]:
        """Yield the jobs of the list, back to the oldest of the given ones."""
        created = [self._jobs[job_id].job.created_at for job_id in job_ids]
        known = [created_at for created_at in created if created_at is not None]
        if len(known) < len(created):
            return self._source.jobs()
        return recent(self._source.jobs(), min(known) - _LIST_MARGIN)

    def _timed_out(self, polled: _Polled[J], waited: float) -> JobTimeoutError:
        return JobTimeoutError(
            f"The {self._kind} job {polled.job.id} for {polled.entity} was still "
            f"{polled.job.status_text} after {waited:.0f} s. Raise the setting "
            "job_timeout_seconds or try again when Demandbase is less busy.",
            kind=self._kind,
            job_id=polled.job.id,
            entity=polled.entity,
            status=polled.job.status,
        )

    def _cancel(self, polled: _Polled[J], cancelled: set[str]) -> None:
        job_id, kind, entity = polled.job.id, self._kind, polled.entity
        try:
            is_cancelled = self._source.cancel(job_id)
        except ConflictError:
            logger.warning("The %s job %s for %s can no longer be cancelled", kind, job_id, entity)
        except DemandbaseError as error:
            # Logged only: the error that ended the run is the one to report.
            logger.warning("The %s job %s was not cancelled: %s", kind, job_id, error)
        else:
            if is_cancelled:
                cancelled.add(job_id)
                logger.info("Cancelled the %s job %s for %s", kind, job_id, entity)
            else:
                logger.warning(
                    "The %s job %s for %s continues, since this API cannot cancel it; the next run "
                    "resumes it",
                    kind,
                    job_id,
                    entity,
                )


class _Created(Protocol):
    @property
    def created_at(self) -> datetime | None: ...


CreatedJob = TypeVar("CreatedJob", bound=_Created)


def recent(jobs: Iterable[CreatedJob], since: datetime) -> Iterator[CreatedJob]:
    """Yield the jobs that were created at or after ``since``, or whose creation time is unknown.

    The v1 contract does not say how the list is sorted. As long as the jobs come newest first,
    reading stops at the first older one; otherwise all of the list is read.
    """
    last: datetime | None = None
    is_sorted = True
    for job in jobs:
        created = job.created_at
        if created is not None:
            is_sorted = is_sorted and (last is None or created <= last)
            last = created
            if created < since:
                if is_sorted:
                    return
                continue
        yield job
