"""What both kinds of jobs, and where they are, have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from demandbase_api.status import JobStatus


class Job(Protocol):
    """What the watch needs of a job."""

    @property
    def id(self) -> str:
        """The job's id."""

    @property
    def status(self) -> JobStatus:
        """The job's state."""

    @property
    def created_at(self) -> datetime | None:
        """When the job was created."""

    @property
    def error_message(self) -> str | None:
        """Why the job failed."""


J_co = TypeVar("J_co", bound=Job, covariant=True)


class JobSource(Protocol[J_co]):
    """What the watch needs of an API; both ports have it."""

    def get(self, job_id: str) -> J_co:
        """Return the job as it is now."""

    def jobs(self) -> Iterator[J_co]:
        """Yield the jobs, newest first."""

    def cancel(self, job_id: str) -> None:
        """Cancel the job."""

    def poll_pause(self) -> float:
        """Return the seconds that must pass before the jobs are read again, at least."""
