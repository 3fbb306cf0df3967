"""Polling of jobs until they end: one read of the job list updates all of them.

The calls run in a thread. A caller that waits for a job is never held up by a server that does not
respond, beyond the time-out of the job, and a caller that has other work never waits.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.deadline import Deadline
from demandbase_api.errors import (
    ApiError,
    ConflictError,
    DemandbaseError,
    JobTimeoutError,
    NotFoundError,
    TransientError,
    job_gone,
)
from demandbase_api.jobs.job_reader import JobReader
from demandbase_api.jobs.job_timeline import JobTimeline
from demandbase_api.jobs.poll_times import JobTimes, may_have_ended, seconds_to_next
from demandbase_api.models import JobStatus
from demandbase_api.ports import Job
from demandbase_api.threads import Task, run_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demandbase_api.jobs.job_reader import JobReading
    from demandbase_api.jobs.poll_times import JobSize, PollPolicy
    from demandbase_api.ports import JobSource

logger = logging.getLogger(__name__)

J = TypeVar("J", bound=Job)

PROGRESS_SECONDS = 10.0
"""Maximum time between two log lines about a running job."""
CANCEL_SECONDS = 4.0
"""Maximum time that the end of a run spends on cancelling its jobs."""
YOUNG_SECONDS = 60.0
"""Age up to which an unknown job is not there yet; later it is no longer there."""
PATIENCE_SECONDS = 120.0
"""Time for which polls of a job may fail in a row with an error that seems to be final."""
_SHORTEST_SLEEP = 0.01
_POLL_SECONDS = 60.0
"""Maximum time of one poll: the next one may succeed."""
_SLACK_SECONDS = 0.5
"""Time in which a call whose deadline has passed ends by itself."""
_LAST_POLL_SECONDS = 5.0
"""Time for the poll after the time-out of a job."""


def draw_jitter() -> float:
    """Return a factor that shortens an interval, so that concurrent runs do not poll in step."""
    return random.uniform(0.8, 1.0)  # noqa: S311 - no secret


@dataclass(slots=True)
class _Polled(Generic[J]):
    """A job that is polled.

    Args:
        job: The job as of the last poll that found it.
        entity: Its entity, for messages.
        own: Whether this run created the job and may cancel it.
        since: When it was added.
        deadline: When it times out.
        due: When it is to be polled next.
        begun_at: When the server began to work on it; when it was added if this is not known.
        size: Its size. ``None`` if it is not known, or when the server began to work on it.
        running: Its age when a poll showed for the last time that it had not ended.
        polls: Number of its polls, without those before it might have ended.
        error: Error of the last poll.
        failing_since: When the first of the polls failed that have failed in a row.
        is_gone: Whether the server no longer knows the job.
    """

    job: J
    entity: str
    own: bool
    since: float
    deadline: Deadline
    due: float
    begun_at: float
    size: JobSize | None = None
    running: float | None = None
    polls: int = 0
    error: ApiError | None = None
    failing_since: float = 0.0
    is_gone: bool = False

    @property
    def has_ended(self) -> bool:
        return self.job.status.is_terminal

    @property
    def is_open(self) -> bool:
        return not self.is_gone and not self.has_ended


class _Poll(NamedTuple, Generic[J]):
    """A poll in progress: its call, the jobs that it reads, and when it began."""

    task: Task[JobReading[J]]
    asked: Sequence[_Polled[J]]
    began: float


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
        self._reader = JobReader(kind, source, self._clock)
        self.timeline = JobTimeline(self._clock)
        """What was seen of each job, and when."""
        self._jobs: dict[str, _Polled[J]] = {}
        self._gone: list[_Polled[J]] = []
        """Own jobs that the server did not know, and that may run nevertheless."""
        self._poll: _Poll[J] | None = None
        """The poll in progress."""
        self._times = JobTimes()
        self._paused_until = 0.0
        """When the next poll may be made, whatever is due."""
        self._last_log = 0.0

    def add(
        self, job: J, entity: str, *, own: bool = True, deadline: Deadline | None = None
    ) -> None:
        """Start to poll a job; the first poll is due at once.

        Args:
            job: The job.
            entity: Its entity, for messages.
            own: Whether this run created the job and may cancel it.
            deadline: Moment at which it times out. Default: after the time-out from now.
        """
        now = self._clock.now()
        if deadline is None:
            deadline = Deadline(self._clock, now + self._policy.timeout_seconds)
        if not self._open():
            self._last_log = now
        self._jobs[job.id] = _Polled(job, entity, own, now, deadline, due=now, begun_at=now)
        self.timeline.add(job, entity)

    def begin(self, job_id: str, size: JobSize, at: float | None = None) -> None:
        """Record that the server begins to work on a job: the first poll waits as long as it may.

        Args:
            job_id: The job.
            size: Its size.
            at: When it began. Default: now.
        """
        polled = self._jobs[job_id]
        polled.begun_at, polled.size = self._clock.now() if at is None else at, size
        polled.polls = 0
        polled.due = self._next_due(polled)

    def update(self, job: J) -> None:
        """Replace the known state of a job by a newer one."""
        self._jobs[job.id].job = job
        self.timeline.saw(job)

    def forget(self, job_id: str) -> None:
        """Stop polling a job."""
        self.timeline.stop(job_id)
        polled = self._jobs.pop(job_id, None)
        if polled is not None and polled.is_gone and polled.own:
            self._gone.append(polled)

    def latest(self, job_id: str) -> J:
        """Return a job as of the last poll."""
        return self._jobs[job_id].job

    def is_young(self, job_id: str) -> bool:
        """Return whether the server may not show a job yet."""
        return self._clock.now() - self._jobs[job_id].since < YOUNG_SECONDS

    def deadline(self, job_id: str) -> Deadline:
        """Return the moment at which a job times out."""
        return self._jobs[job_id].deadline

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
            ApiError: The job cannot be polled.
        """
        polled = self._jobs[job_id]
        deadline = self.deadline(job_id)
        while polled.is_open:
            self._sleep(min(self._next_poll() - self._clock.now(), deadline.left()))
            # The job may have ended since the last poll, however long ago that was.
            last = Deadline.after(self._clock, _LAST_POLL_SECONDS)
            self.poll(last if deadline.has_passed else deadline)
            on_poll()
            self._check(polled, is_last=deadline.has_passed)
        if polled.is_gone:
            assert isinstance(polled.error, NotFoundError)  # noqa: S101 - is_gone says so
            raise job_gone(self._kind, polled.entity, job_id, polled.error)
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
        """Poll in the background if the interval is over; never waits.

        Returns:
            Whether a poll has ended.
        """
        now = self._clock.now()
        if self.open_jobs and now - self._last_log >= PROGRESS_SECONDS:
            self.log_progress()
        if self._poll is None:
            if self.open_jobs and now >= self._next_poll():
                self._poll = self._start(Deadline.after(self._clock, _POLL_SECONDS))
            return False
        if not self._poll.task.done:
            return False
        try:
            self._finish(self._poll)
        except ApiError as error:
            # The caller has other work: a wait for one of the jobs raises the error.
            logger.warning("Cannot poll the %s jobs: %s", self._kind, error)
        return True

    def poll(self, deadline: Deadline) -> None:
        """Update all open jobs.

        Args:
            deadline: Moment until which the poll must end; after that, it changes nothing.

        Raises:
            QuotaExceededError: The daily calls are used up.
        """
        poll = self._poll = self._poll or self._start(deadline)
        while not poll.task.wait(min(PROGRESS_SECONDS, deadline.left() + _SLACK_SECONDS)):
            if deadline.has_passed:
                self._poll = None  # its thread ends with its call
                return
            self.log_progress()
        self._finish(poll)

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
        """Cancel the jobs that this run created and that may still run, and name the others.

        Returns:
            Ids of the cancelled jobs.
        """
        gone, self._gone = self._gone, []
        return self._cancel_all([*self._pop(list(self._jobs)), *gone])

    def cancel(self, job_ids: Sequence[str]) -> frozenset[str]:
        """Stop polling jobs, and cancel those that this run created and that may still run.

        Args:
            job_ids: The jobs. Those that are not polled are left as they are.

        Returns:
            Ids of the cancelled jobs.
        """
        return self._cancel_all(self._pop(job_ids))

    def _pop(self, job_ids: Sequence[str]) -> list[_Polled[J]]:
        return [self._jobs.pop(job_id) for job_id in job_ids if job_id in self._jobs]

    def _open(self) -> list[str]:
        return [job_id for job_id, polled in tuple(self._jobs.items()) if polled.is_open]

    def _sleep(self, seconds: float) -> None:
        until = self._clock.now() + seconds
        while (left := until - (now := self._clock.now())) > 0:
            if now - self._last_log >= PROGRESS_SECONDS:
                self.log_progress()
            to_log = self._last_log + PROGRESS_SECONDS - now
            self._clock.sleep(min(left, max(to_log, _SHORTEST_SLEEP)))

    def _next_poll(self) -> float:
        """Return when the next poll of any job is due."""
        due = [polled.due for polled in tuple(self._jobs.values()) if polled.is_open]
        # At the end of the run there are no jobs left, though another thread may wait for one.
        none_open = self._clock.now() + self._policy.interval_seconds
        return max(self._paused_until, min(due, default=none_open))

    def _next_due(self, polled: _Polled[J]) -> float:
        """Return when a job is to be polled next, judging by what is known now."""
        now = self._clock.now()
        age, shortest = now - polled.begun_at, self._shortest(polled)
        return now + seconds_to_next(self._policy, age, shortest, polled.polls, self._jitter())

    def _shortest(self, polled: _Polled[J]) -> float | None:
        """Return the shortest time that jobs of a job's size took, if it is of use."""
        return None if polled.size is None else self._times.shortest(polled.size)

    def _start(self, deadline: Deadline) -> _Poll[J]:
        asked = [polled for polled in self._jobs.values() if polled.is_open]
        read = partial(
            self._reader.read, [polled.job for polled in asked], deadline.within(_POLL_SECONDS)
        )
        return _Poll(Task(read, "poll"), asked, self._clock.now())

    def _finish(self, poll: _Poll[J]) -> None:
        self._poll = None
        try:
            reading = poll.task.result()
            self._paused_until = self._clock.now() + reading.pause
            self._apply(reading, poll.began)
        finally:
            for polled in poll.asked:
                self._plan(polled, poll.began)

    def _plan(self, polled: _Polled[J], polled_at: float) -> None:
        """Decide when a job that was polled is polled again."""
        if may_have_ended(polled_at - polled.begun_at, self._shortest(polled)):
            polled.polls += 1
        polled.due = self._next_due(polled)

    def _apply(self, reading: JobReading[J], began: float) -> None:
        for job_id in self._open():
            polled = self._jobs[job_id]
            job, error = reading.jobs.get(job_id), reading.errors.get(job_id)
            if job is not None:
                polled.job, polled.error = job, None
                self.timeline.saw(job)
                self._learn(polled, began)
            elif error is not None:
                if polled.error is None:
                    polled.failing_since = self._clock.now()
                polled.error = error
                polled.is_gone = isinstance(error, NotFoundError) and not self.is_young(job_id)
                if not polled.is_gone:
                    logger.warning("Cannot poll the %s job %s: %s", self._kind, job_id, error)

    def _learn(self, polled: _Polled[J], began: float) -> None:
        """Record how long a job has run, and how long one took that has completed."""
        if polled.size is None:
            return
        if not polled.has_ended:
            polled.running = began - polled.begun_at
        elif polled.job.status is JobStatus.COMPLETED:
            ended = self._clock.now() - polled.begun_at
            self._times.add(polled.size, polled.running, ended)

    def _check(self, polled: _Polled[J], *, is_last: bool) -> None:
        """Raise an error if it makes no sense to poll a job again."""
        if polled.is_open and polled.error is not None and not _may_pass(polled.error):
            failing = self._clock.now() - polled.failing_since
            if is_last or failing >= PATIENCE_SECONDS:
                raise polled.error
        if polled.is_open and is_last:
            raise self._timed_out(polled)

    def _timed_out(self, polled: _Polled[J]) -> JobTimeoutError:
        trouble = "" if polled.error is None else f" It could not be polled last: {polled.error}"
        return JobTimeoutError(
            f"The {self._kind} job {polled.job.id} for {polled.entity} was still "
            f"{polled.job.status_text} after {self._clock.now() - polled.since:.0f} s.{trouble} "
            "Raise the setting job_timeout_seconds or try again when Demandbase is less busy.",
            kind=self._kind,
            job_id=polled.job.id,
            entity=polled.entity,
            status=polled.job.status,
        )

    def _cancel_all(self, jobs: Sequence[_Polled[J]]) -> frozenset[str]:
        still_open = [polled for polled in jobs if not polled.has_ended]
        own = [polled for polled in still_open if polled.own]
        for polled in still_open:
            if not polled.own:
                logger.warning(
                    "The %s job %s for %s may still run: it is not cancelled, since it is not "
                    "proven that this run created it",
                    self._kind,
                    polled.job.id,
                    polled.entity,
                )
        cancelled: set[str] = set()
        # A server that does not respond must not keep the run from ending.
        ended = run_with_timeout(
            CANCEL_SECONDS, [partial(self._cancel, polled, cancelled) for polled in own]
        )
        for polled, has_ended in zip(own, ended, strict=True):
            if not has_ended:
                logger.warning("%s job %s may still run", self._kind.capitalize(), polled.job.id)
        return frozenset(cancelled)

    def _cancel(self, polled: _Polled[J], cancelled: set[str]) -> None:
        job_id, kind, entity = polled.job.id, self._kind, polled.entity
        deadline = Deadline.after(self._clock, CANCEL_SECONDS)
        try:
            if polled.is_gone and self._source.get(job_id, deadline).status.is_terminal:
                return
            is_cancelled = self._source.cancel(job_id, deadline)
        except NotFoundError:
            logger.info("The %s job %s for %s is no longer there", kind, job_id, entity)
        except ConflictError:
            logger.warning("The %s job %s for %s can no longer be cancelled", kind, job_id, entity)
        except DemandbaseError as error:
            # Logged only: the error that ended the run is the one to report.
            logger.warning("The %s job %s was not cancelled: %s", kind, job_id, error)
        else:
            if is_cancelled:
                cancelled.add(job_id)
                self.timeline.saw_status(job_id, JobStatus.CANCELLED, JobStatus.CANCELLED.value)
                logger.info("Cancelled the %s job %s for %s", kind, job_id, entity)
            else:
                logger.warning(
                    "The %s job %s for %s continues, since this API cannot cancel it; the next run "
                    "resumes it",
                    kind,
                    job_id,
                    entity,
                )


def _may_pass(error: ApiError) -> bool:
    """Return whether a poll may succeed at any later time.

    An unknown job may not be there yet.
    """
    return isinstance(error, (TransientError, NotFoundError))
