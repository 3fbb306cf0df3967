"""When each job of a run waited, ran and was transferred, for the run's report.

The times are those at which the run noticed a change: a job that is polled every minute may have
begun to run up to a minute earlier or later.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from demandbase_api.models import JobStatus

if TYPE_CHECKING:
    from demandbase_api.clock import Clock
    from demandbase_api.ports import Job

SHORTEST_SECONDS = 0.001
"""What takes less time is no phase."""
MAX_SPANS = 40
"""Number of phases of a job from which the last one takes the time of all that follow."""


class JobPhase(StrEnum):
    """What a run does with a job, or waits for."""

    WAITING = "waiting"
    """The job waits in Demandbase."""
    RUNNING = "running"
    """Demandbase works on the job."""
    UPLOADING = "uploading"
    """The file of an import is sent."""
    DOWNLOADING = "downloading"
    """The run waits for a file of an export."""
    READING = "reading"
    """The rows of an export are read and sent on."""


_OF_STATUS = {
    JobStatus.PENDING: JobPhase.WAITING,
    JobStatus.VALIDATING: JobPhase.RUNNING,
    JobStatus.PROCESSING: JobPhase.RUNNING,
}
_IN_DEMANDBASE = (JobPhase.WAITING, JobPhase.RUNNING)


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A phase of a job, between two moments of the run's clock."""

    phase: JobPhase
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class TrackedJob:
    """A job of a run.

    Args:
        id: The job's id.
        stream: Its stream; its entity if no stream is known.
        status: Its last known status.
        is_adopted: Whether it existed before the run.
        rows: Number of rows in its file, if it is an import.
        spans: Its phases.
    """

    id: str
    stream: str
    status: str
    is_adopted: bool
    rows: int | None
    spans: tuple[PhaseSpan, ...]


@dataclass(slots=True)
class _Track:
    stream: str
    status: JobStatus
    status_text: str
    seen: float
    """When the status was seen last."""
    is_adopted: bool = False
    rows: int | None = None
    spans: list[PhaseSpan] = field(default_factory=list)
    phase: JobPhase | None = None
    since: float = 0.0

    def turn(self, phase: JobPhase | None, now: float) -> None:
        """Begin a phase, which ends the one before."""
        if phase is self.phase:
            return
        if self.phase is not None:
            self.spans = [*self.spans, PhaseSpan(self.phase, self.since, now)]
            self._shorten()
        self.phase, self.since = phase, now

    def _shorten(self) -> None:
        """Drop or join the last phase if it is too short, or one too many."""
        last = self.spans.pop()
        before = self.spans[-1] if self.spans else None
        if before is not None and (
            len(self.spans) >= MAX_SPANS
            or (before.phase is last.phase and last.begin - before.end < SHORTEST_SECONDS)
        ):
            self.spans[-1] = PhaseSpan(before.phase, before.begin, last.end)
        elif last.end - last.begin >= SHORTEST_SECONDS:
            self.spans.append(last)


class JobTimeline:
    """Records the phases of the jobs of one run. Any thread may call it.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tracks: dict[str, _Track] = {}
        self._lock = threading.Lock()

    def add(self, job: Job, stream: str) -> None:
        """Add a job of the run as it was seen first; one that is known stays as it is."""
        with self._lock:
            now = self._clock.now()
            if job.id not in self._tracks:
                self._tracks[job.id] = _Track(stream, job.status, job.status_text, now)
                self._tracks[job.id].turn(_OF_STATUS.get(job.status), now)

    def describe(
        self, job_id: str, stream: str, *, is_adopted: bool, rows: int | None = None
    ) -> None:
        """Record what a job is for, and whether it existed before the run."""
        with self._lock:
            track = self._tracks[job_id]
            track.stream, track.is_adopted, track.rows = stream, is_adopted, rows

    def saw(self, job: Job) -> None:
        """Record the status of a job as the server gives it now."""
        self.saw_status(job.id, job.status, job.status_text)

    def saw_status(self, job_id: str, status: JobStatus, text: str) -> None:
        """Record the status of a job."""
        with self._lock:
            now, track = self._clock.now(), self._tracks.get(job_id)
            if track is None:
                return
            if track.phase is None or track.phase in _IN_DEMANDBASE:
                has_run = status in {JobStatus.COMPLETED, JobStatus.FAILED}
                phase = JobPhase.RUNNING if has_run else _OF_STATUS.get(status)
                if track.phase is JobPhase.WAITING and phase is JobPhase.RUNNING:
                    # It ran at some time since then.
                    track.turn(phase, track.seen)
                if status.is_terminal:
                    track.turn(None, now)
                elif phase is not None:
                    track.turn(phase, now)
            track.status, track.status_text, track.seen = status, text, now

    def enter(self, job_id: str, phase: JobPhase) -> None:
        """Begin to transfer a job's file, or to read it."""
        with self._lock:
            if (track := self._tracks.get(job_id)) is not None:
                track.turn(phase, self._clock.now())

    def leave(self, job_id: str) -> None:
        """End the transfer or the reading of a job's file: the job goes on in Demandbase."""
        with self._lock:
            if (track := self._tracks.get(job_id)) is not None:
                track.seen = self._clock.now()
                track.turn(_OF_STATUS.get(track.status), track.seen)

    def stop(self, job_id: str) -> None:
        """End the phase of a job that is no longer polled."""
        with self._lock:
            track = self._tracks.get(job_id)
            if track is not None and track.phase in _IN_DEMANDBASE:
                track.turn(None, self._clock.now())

    def jobs(self) -> list[TrackedJob]:
        """Return the jobs; a phase that goes on ends now."""
        with self._lock:
            now = self._clock.now()
            for track in self._tracks.values():
                track.turn(None, now)
            return [
                TrackedJob(
                    job_id,
                    track.stream,
                    track.status_text,
                    track.is_adopted,
                    track.rows,
                    tuple(track.spans),
                )
                for job_id, track in self._tracks.items()
            ]
