"""The life cycle that the export and import jobs of both APIs share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from demandbase_sandbox.faults import NO_FAULTS, JobFaults, replace_members

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.exceptions import ApiError
    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.store import Store

TERMINAL = frozenset({"completed", "finished", "failed", "cancelled"})

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(kw_only=True)
class Job:
    """A job of either API."""

    id: str
    entity_type: str
    status: str
    created_at: datetime
    faults: JobFaults = NO_FAULTS
    first_document: dict[str, Any] | None = None

    def alter(self, document: dict[str, Any], now: datetime) -> None:
        """Apply the job's faults to its object in a response."""
        faults = self.faults
        if self.first_document is None:
            self.first_document = dict(document)
        if faults.unseen_for is not None and now < _after(self.queued_at, faults.unseen_for):
            document.clear()
            document.update(self.first_document)
            replace_members(document, faults.first_members)
        if self.ended_at is not None and now < _after(self.ended_at, faults.lags_for):
            replace_members(document, faults.last_members)
        replace_members(document, faults.members, faults.nulls)

    @property
    def ended_at(self) -> datetime | None:
        """When an import ended; ``None`` before, and of exports."""
        return None

    @property
    def queued_at(self) -> datetime | None:
        """Start of the wait for processing; ``None`` before an import's upload."""
        return self.created_at

    @property
    def has_ended(self) -> bool:
        """Whether the status is terminal."""
        return self.status in TERMINAL


AnyJob = TypeVar("AnyJob", bound=Job)


class SimulatedJobs(ABC, Generic[AnyJob]):
    """Jobs of one kind, which the clock drives. Callers hold the store's lock."""

    def __init__(
        self, store: Store, folder: Path, clock: SandboxClock, options: SandboxOptions
    ) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._options = options
        self._jobs: dict[str, AnyJob] = {}

    def clear(self) -> None:
        """Remove all jobs."""
        self._jobs.clear()

    def add(self, job: AnyJob) -> AnyJob:
        """Add a job and return it."""
        job.created_at -= timedelta(seconds=job.faults.age)
        self._jobs[job.id] = job
        return job

    def find(self, job_id: str) -> AnyJob | None:
        """Return a job; ``None`` if it is unknown."""
        return self._jobs.get(job_id)

    def get(self, job_id: str) -> AnyJob:
        """Return a job.

        Raises:
            ApiError: It is unknown.
        """
        job = self.find(job_id)
        if job is None or not self._is_known(job):
            raise self._unknown()
        return job

    def known(self) -> list[AnyJob]:
        """Return the jobs that the API shows, newest first."""
        return [job for job in self.all() if self._is_known(job)]

    def _is_known(self, job: AnyJob) -> bool:
        return self._clock.now() >= _after(job.created_at, job.faults.unknown_for)

    def all(self) -> list[AnyJob]:
        """Return the jobs, newest first."""
        newest_added = reversed(self._jobs.values())
        return sorted(newest_added, key=lambda job: job.created_at, reverse=True)

    def changing(self) -> list[AnyJob]:
        """Return the jobs that can still change with time."""
        return [job for job in self.all() if not job.has_ended or job.faults.gone_after is not None]

    def starts(self, job: AnyJob) -> datetime:
        """Return when the job's processing begins."""
        return _after(job.queued_at, self._options.pending_seconds)

    def due(self, job: AnyJob) -> datetime:
        """Return when the job's processing ends."""
        seconds = self._options.pending_seconds + self._options.processing_seconds
        return _after(job.queued_at, seconds)

    def advance(self, job: AnyJob) -> None:
        """Advance a job to the current time.

        Its times are those at which it was due, not those at which it was polled.
        """
        now = self._clock.now()
        gone_after = job.faults.gone_after
        if gone_after is not None and now >= _after(job.created_at, gone_after):
            del self._jobs[job.id]
        elif not job.has_ended and now >= self.starts(job):
            self._process(job, now)
            if now >= self.due(job) and not job.faults.never_ends:
                self._end(job, self.due(job))

    @abstractmethod
    def document(self, job: AnyJob) -> dict[str, Any]:
        """Return a job as ``Sandbox.export_jobs`` and ``import_jobs`` return it."""

    @abstractmethod
    def _unknown(self) -> ApiError:
        """Return the error of an unknown job."""

    @abstractmethod
    def _process(self, job: AnyJob, now: datetime) -> None:
        """Set status and progress of a job that is being processed."""

    @abstractmethod
    def _end(self, job: AnyJob, end: datetime) -> None:
        """Export or import the rows and set the terminal status."""


def _after(moment: datetime | None, seconds: float) -> datetime:
    return NEVER if moment is None else moment + timedelta(seconds=seconds)
