"""The life of one job: submit, wait, take the outcome; and what its end means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from demandbase_api.errors import JobCancelledError, JobFailedError
from demandbase_api.job_watch import Job, JobSource, JobWatch, PollPolicy, draw_jitter
from demandbase_api.scrub import mask_values, scrub
from demandbase_api.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.clock import Clock

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

    @property
    def source(self) -> JobSource[J]:
        """Where the job is."""

    def submit(self, created: Callable[[J], None]) -> J:
        """Create the job, tell ``created`` at once, and bring it to where it runs by itself."""

    def outcome(self, job: J) -> R_co:
        """Turn a job that ended as completed or failed into the result, or raise."""

    def progress(self, job: J) -> str:
        """Return what there is to say of a running job beside its state; may be empty."""


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
        jitter: Callable[[], float] = draw_jitter,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._jitter = jitter

    def run(self, task: JobTask[J, R]) -> R:
        """Run one job.

        An error, a time-out or a signal's exception cancels a job that is still running.

        Raises:
            JobTimeoutError: The job ran for longer than the policy allows.
            JobCancelledError: Somebody else cancelled it.
            DemandbaseError: What ``task`` raises.
        """
        watch = JobWatch(
            task.kind,
            task.source,
            self._policy,
            self._clock,
            jitter=self._jitter,
            progress=task.progress,
        )
        try:
            job = task.submit(lambda job: watch.add(job, task.entity))
            watch.update(job)
            job = watch.wait(job.id)
        finally:
            watch.close()
        if job.status is JobStatus.CANCELLED:
            raise job_cancelled(task.kind, task.entity, job)
        return task.outcome(job)


def job_cancelled(kind: str, entity: str, job: Job) -> JobCancelledError:
    """Return the error for a job that somebody cancelled."""
    return JobCancelledError(
        f"The {kind} job {job.id} for {entity} was cancelled in Demandbase. "
        "Run again to create a new one.",
        kind=kind,
        job_id=job.id,
        entity=entity,
        status=job.status,
    )


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
