"""The life of a job, the same for exports and imports: submit, wait, take the outcome."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.errors import (
    ConflictError,
    DemandbaseError,
    JobCancelledError,
    JobFailedError,
    JobTimeoutError,
)
from demandbase_api.scrub import mask_values, scrub
from demandbase_api.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0
_GROWTH = 1.5


class Job(Protocol):
    """What the wait needs of a job."""

    @property
    def id(self) -> str:
        """The job's id."""

    @property
    def status(self) -> JobStatus:
        """The job's state."""

    @property
    def error_message(self) -> str | None:
        """Why the job failed."""


J = TypeVar("J", bound=Job)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class JobTask(Protocol[J, R_co]):
    """One job to be run, as the direction in question does it."""

    @property
    def kind(self) -> str:
        """Either "export" or "import"."""

    @property
    def entity(self) -> str:
        """What the job is about, for messages."""

    def submit(self, created: Callable[[J], None]) -> J:
        """Create the job, tell ``created`` at once, and bring it to where it runs by itself."""

    def get(self, job_id: str) -> J:
        """Return the job as it is now."""

    def cancel(self, job_id: str) -> None:
        """Cancel the job."""

    def outcome(self, job: J) -> R_co:
        """Turn a job that ended as completed or failed into the result, or raise."""

    def progress(self, job: J) -> str:
        """Return what there is to say of a running job beside its state; may be empty."""


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How a job is waited for.

    Args:
        interval_seconds: The first wait between two looks.
        interval_max_seconds: The longest one; waits grow by half each time.
        timeout_seconds: After how long the job is cancelled.
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


class JobLife:
    """Runs jobs from their creation to their outcome.

    Args:
        policy: How to wait.
        clock: Time; tests pass one of their own.
        jitter: Draws the factor by which a wait is shortened, from 0.8 to 1.
    """

    def __init__(
        self,
        policy: PollPolicy,
        clock: Clock | None = None,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.0),  # noqa: S311
    ) -> None:
        self._policy = policy
        self._clock = clock or SystemClock()
        self._jitter = jitter

    def run(self, task: JobTask[J, R]) -> R:
        """Run one job.

        An error, a time-out or a signal's exception cancels a job that is still running.

        Raises:
            JobTimeoutError: The job ran for longer than the policy allows.
            JobCancelledError: Somebody else cancelled it.
            DemandbaseError: What ``task`` raises.
        """
        created: list[J] = []
        ended = False
        try:
            job = task.submit(created.append)
            job = self._wait(task, job)
            ended = True
        finally:
            if created and not ended:
                self._cancel(task, created[0].id)
        if job.status is JobStatus.CANCELLED:
            raise JobCancelledError(
                f"The {task.kind} job {job.id} for {task.entity} was cancelled in Demandbase. "
                "Run again to create a new one.",
                kind=task.kind,
                job_id=job.id,
                entity=task.entity,
                status=job.status,
            )
        return task.outcome(job)

    def _wait(self, task: JobTask[J, R], job: J) -> J:
        started = self._clock.now()
        look = 0
        while not job.status.is_terminal:
            waited = self._clock.now() - started
            if waited >= self._policy.timeout_seconds:
                raise JobTimeoutError(
                    f"The {task.kind} job {job.id} for {task.entity} was still {job.status.value} "
                    f"after {waited:.0f} s. Raise the setting job_timeout_seconds or try again "
                    "when Demandbase is less busy.",
                    kind=task.kind,
                    job_id=job.id,
                    entity=task.entity,
                    status=job.status,
                )
            pause = self._policy.wait_before(look) * self._jitter()
            self._pause(min(pause, self._policy.timeout_seconds - waited), task, job, started)
            job = task.get(job.id)
            look += 1
        logger.info(
            "%s job %s for %s is %s after %.0f s",
            task.kind.capitalize(),
            job.id,
            task.entity,
            job.status.value,
            self._clock.now() - started,
        )
        return job

    def _pause(self, seconds: float, task: JobTask[J, R], job: J, started: float) -> None:
        """Sleep, with a sign of life at least every 10 seconds."""
        until = self._clock.now() + seconds
        while (left := until - self._clock.now()) > 0:
            detail = task.progress(job)
            logger.info(
                "%s job %s for %s: %s for %.0f s%s",
                task.kind.capitalize(),
                job.id,
                task.entity,
                job.status.value,
                self._clock.now() - started,
                f", {detail}" if detail else "",
            )
            self._clock.sleep(min(left, PROGRESS_SECONDS))

    def _cancel(self, task: JobTask[J, R], job_id: str) -> None:
        try:
            task.cancel(job_id)
        except ConflictError:
            logger.warning(
                "%s job %s for %s can no longer be cancelled",
                task.kind.capitalize(),
                job_id,
                task.entity,
            )
        except DemandbaseError as error:
            # The first error is the one to report; this one is a note beside it.
            logger.warning("%s job %s was not cancelled: %s", task.kind, job_id, error)
        else:
            logger.info("Cancelled the %s job %s for %s", task.kind, job_id, task.entity)


def job_failed(kind: str, entity: str, job: Job, *, may_quote_rows: bool) -> JobFailedError:
    """Return the error for a job that ended as failed, with the server's words, scrubbed."""
    words = scrub(job.error_message or "Demandbase gave no reason")
    if may_quote_rows:
        words = mask_values(words)
    return JobFailedError(
        f"The {kind} job {job.id} for {entity} failed: {words.rstrip('.')}.",
        kind=kind,
        job_id=job.id,
        entity=entity,
        status=job.status,
    )
