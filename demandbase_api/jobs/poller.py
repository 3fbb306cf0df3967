"""Watches jobs until they end: one look at the job list tells the state of all of them."""

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


class _Created(Protocol):
    @property
    def created_at(self) -> datetime | None: ...


CreatedJob = TypeVar("CreatedJob", bound=_Created)


def recent(jobs: Iterable[CreatedJob], since: datetime) -> Iterator[CreatedJob]:
    """Yield the jobs that are not older than ``since``.

    The list is read to its first older job where it comes newest first. The contract does not
    say how it is sorted: where it does not, all of it is read.
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


logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0

CANCEL_SECONDS = 4.0

_GROWTH = 1.5

_LIST_MARGIN = timedelta(hours=1)


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How jobs are waited for.

    Args:
        interval_seconds: The first wait between two looks.
        interval_max_seconds: The longest one; waits grow by half each time.
        timeout_seconds: After how long a job is given up and cancelled.
    """

    interval_seconds: float = 2
    interval_max_seconds: float = 60
    timeout_seconds: float = 21600

    def wait_before(self, look: int) -> float:
        """Return the seconds before the given look, counted from 0: the first is at once."""
        if look == 0:
            return 0.0
        longest = max(self.interval_seconds, self.interval_max_seconds)
        # The exponent is bounded: a float must not overflow in a wait of many hours.
        return min(longest, self.interval_seconds * _GROWTH ** min(look - 1, 64))


def draw_jitter() -> float:
    """Return the factor by which a wait is shortened, so that runs do not march in step."""
    return random.uniform(0.8, 1.0)  # noqa: S311 - no secret


@dataclass(slots=True)
class _Watched(Generic[J]):
    job: J
    entity: str
    own: bool
    since: float
    gone: NotFoundError | None = None

    @property
    def is_open(self) -> bool:
        return self.gone is None and not self.job.status.is_terminal


class JobPoller(Generic[J]):
    """Knows the state of some jobs.

    Args:
        kind: Either "export" or "import", for messages.
        source: Where the jobs are.
        policy: How to wait.
        clock: Time; tests pass one of their own.
        jitter: Draws the factor by which a wait is shortened, from 0.8 to 1.
        progress: Says what there is to say of a running job beside its state.
        can_cancel: Whether the API can cancel jobs.
    """

    def __init__(  # noqa: PLR0913 - the last three have their defaults
        self,
        kind: str,
        source: JobSource[J],
        policy: PollPolicy,
        clock: Clock | None = None,
        *,
        jitter: Callable[[], float] = draw_jitter,
        progress: Callable[[J], str] = lambda _job: "",
        can_cancel: bool = True,
    ) -> None:
        self._kind = kind
        self._source = source
        self._policy = policy
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self._progress = progress
        self._can_cancel = can_cancel
        self._watched: dict[str, _Watched[J]] = {}
        self._looks = 0
        self._due = 0.0
        self._told = 0.0

    def add(self, job: J, entity: str, *, own: bool = True) -> None:
        """Watch a job from now on.

        Args:
            job: The job.
            entity: What it is about, for messages.
            own: Whether this run created it, and so may cancel it.
        """
        now = self._clock.now()
        self._watched[job.id] = _Watched(job, entity, own, now)
        self._looks = 0
        self._due = self._told = now

    def update(self, job: J) -> None:
        """Note a newer state of a watched job."""
        self._watched[job.id].job = job

    def forget(self, job_id: str) -> None:
        """Watch a job no longer."""
        self._watched.pop(job_id, None)

    def latest(self, job_id: str) -> J:
        """Return the job as it was at the last look."""
        return self._watched[job_id].job

    @property
    def open_jobs(self) -> int:
        """How many of the jobs have not ended."""
        return len(self._open())

    def _open(self) -> set[str]:
        return {id_ for id_, watched in self._watched.items() if watched.is_open}

    def look(self) -> None:
        """Look at all jobs that have not ended; trouble that may pass counts as no news."""
        waiting = self._open()
        if waiting:
            try:
                self._look_for(waiting)
            except TransientError as error:
                logger.warning("The state of the %s jobs is not known: %s", self._kind, error)
        self._looks += 1
        wait = self._policy.wait_before(self._looks) * self._jitter()
        self._due = self._clock.now() + max(wait, self._source.poll_pause())

    def _look_for(self, waiting: set[str]) -> None:
        for job in self._listed(waiting):
            if job.id in waiting:
                self._watched[job.id].job = job
                waiting.discard(job.id)
                if not waiting:
                    return
        for job_id in waiting:  # not in the list (yet, or any more)
            try:
                self._watched[job_id].job = self._source.get(job_id)
            except NotFoundError as error:
                self._watched[job_id].gone = error

    def _listed(self, waiting: set[str]) -> Iterator[J]:
        """Yield the jobs of the list, as far back as those that are waited for."""
        created = [self._watched[job_id].job.created_at for job_id in waiting]
        known = [moment for moment in created if moment is not None]
        if len(known) < len(created):
            return self._source.jobs()
        return recent(self._source.jobs(), min(known) - _LIST_MARGIN)

    def look_if_due(self) -> bool:
        """Look unless the last look was a moment ago; return whether it did."""
        now = self._clock.now()
        if not self.open_jobs:
            return False
        if now - self._told >= PROGRESS_SECONDS:
            self.tell()
        if now < self._due:
            return False
        self.look()
        return True

    def wait(self, job_id: str, looked: Callable[[], None] = lambda: None) -> J:
        """Return a job that has ended.

        Args:
            job_id: The job.
            looked: Called after each look.

        Raises:
            JobTimeoutError: It ran for longer than the policy allows.
            JobGoneError: Demandbase no longer knows it.
        """
        watched = self._watched[job_id]
        while watched.is_open:
            waited = self._clock.now() - watched.since
            if waited >= self._policy.timeout_seconds:
                # Nobody may have looked for long: what was read meanwhile took its time.
                self.look()
                looked()
                if job_id in self._open():
                    raise self._timed_out(watched, waited)
                break
            self._pause(min(self._due - self._clock.now(), self._policy.timeout_seconds - waited))
            self.look()
            looked()
        if watched.gone is not None:
            raise job_gone(self._kind, watched.entity, job_id, watched.gone)
        logger.info(
            "%s job %s for %s is %s after %.0f s",
            self._kind.capitalize(),
            job_id,
            watched.entity,
            watched.job.status.value,
            self._clock.now() - watched.since,
        )
        return watched.job

    def _timed_out(self, watched: _Watched[J], waited: float) -> JobTimeoutError:
        return JobTimeoutError(
            f"The {self._kind} job {watched.job.id} for {watched.entity} was still "
            f"{watched.job.status.value} after {waited:.0f} s. Raise the setting "
            "job_timeout_seconds or try again when Demandbase is less busy.",
            kind=self._kind,
            job_id=watched.job.id,
            entity=watched.entity,
            status=watched.job.status,
        )

    def _pause(self, seconds: float) -> None:
        """Sleep and log progress every 10 seconds."""
        for _ in sleep_in_pieces(self._clock, seconds, PROGRESS_SECONDS):
            self.tell()

    def tell(self) -> None:
        """Say how the jobs are getting on."""
        self._told = self._clock.now()
        for watched in tuple(self._watched.values()):
            if watched.is_open:
                detail = self._progress(watched.job)
                logger.info(
                    "%s job %s for %s: %s for %.0f s%s",
                    self._kind.capitalize(),
                    watched.job.id,
                    watched.entity,
                    watched.job.status.value,
                    self._told - watched.since,
                    f", {detail}" if detail else "",
                )

    def close(self) -> frozenset[str]:
        """Cancel the jobs that this run created and that have not ended, within 4 seconds.

        Returns:
            The jobs that are cancelled.
        """
        own = [watched for watched in self._watched.values() if watched.own and watched.is_open]
        self._watched.clear()
        if not self._can_cancel:
            for watched in own:
                logger.warning(
                    "The %s job %s for %s goes on, since this API cannot cancel it; the next run "
                    "takes it up",
                    self._kind,
                    watched.job.id,
                    watched.entity,
                )
            return frozenset()
        cancelled: set[str] = set()
        # A server that stays silent must not keep a run from ending that is told to.
        ended = run_with_timeout(
            CANCEL_SECONDS, [partial(self._cancel, watched, cancelled) for watched in own]
        )
        for watched, has_ended in zip(own, ended, strict=True):
            if not has_ended:
                logger.warning("%s job %s may still run", self._kind, watched.job.id)
        return frozenset(cancelled)

    def _cancel(self, watched: _Watched[J], cancelled: set[str]) -> None:
        job_id = watched.job.id
        try:
            self._source.cancel(job_id)
        except ConflictError:
            logger.warning(
                "%s job %s for %s can no longer be cancelled",
                self._kind.capitalize(),
                job_id,
                watched.entity,
            )
        except DemandbaseError as error:
            # The first error is the one to report; this one is a note beside it.
            logger.warning("%s job %s was not cancelled: %s", self._kind, job_id, error)
        else:
            cancelled.add(job_id)
            logger.info("Cancelled the %s job %s for %s", self._kind, job_id, watched.entity)
