"""The report of a run: counts, jobs and times by stream, no record values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from demandbase_api.clock import iso_time
from demandbase_api.errors import ApiOperation

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.models import DateRange, ExportJob

EXPORT_OPERATIONS = (
    ApiOperation.CREATE_EXPORT,
    ApiOperation.LIST_EXPORTS,
    ApiOperation.GET_EXPORT,
    ApiOperation.LIST_FIELDS,
)
"""Operations whose calls a run of the tap needs."""


class Outcome(StrEnum):
    """How far a stream has come."""

    NOT_BEGUN = "not begun"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    COMPLETE = "complete"


@dataclass(slots=True)
class JobFigures:
    """An export job that a stream has waited for.

    Args:
        id: The job's id.
        adopted: Whether the job existed before, instead of being created by this run.
        created_at: When it was created.
        completed_at: When it completed, if the server says so.
        dates: Days that were requested; ``None`` for all rows.
        waited_seconds: Time that the stream waited for it.
        read_seconds: Time from its completion until its rows had been read.
        bytes: Size of its files as downloaded.
        rows: Number of its rows.
    """

    id: str
    adopted: bool
    created_at: datetime
    completed_at: datetime | None
    dates: DateRange | None
    waited_seconds: float
    read_seconds: float = 0.0
    bytes: int = 0
    rows: int = 0

    @classmethod
    def of(
        cls,
        job: ExportJob,
        created_at: datetime,
        dates: DateRange | None,
        *,
        adopted: bool,
        waited_seconds: float,
    ) -> JobFigures:
        """Return the figures of a job that has completed."""
        return cls(job.id, adopted, created_at, job.completed_at, dates, waited_seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return the job as an object of the report."""
        days = self.dates
        return {
            "id": self.id,
            "adopted": self.adopted,
            "created_at": iso_time(self.created_at),
            "completed_at": iso_time(self.completed_at),
            "days": None if days is None else [_day(days.start), _day(days.end)],
            "waited_seconds": round(self.waited_seconds, 3),
            "read_seconds": round(self.read_seconds, 3),
            "bytes": self.bytes,
            "rows_read": self.rows,
        }


@dataclass(slots=True)
class StreamFigures:
    """The counters of one stream.

    Args:
        rows: Number of records that were sent, after stream maps.
        windows: Number of windows that were delivered.
        jobs: Its jobs.
        outcome: How far it has come.
        error: Why it failed.
        began_at: When its turn began.
        seconds: Duration of its turn.
    """

    rows: int = 0
    windows: int = 0
    jobs: list[JobFigures] = field(default_factory=list)
    outcome: Outcome = Outcome.NOT_BEGUN
    error: str | None = None
    began_at: datetime | None = None
    seconds: float = 0.0

    @property
    def bytes(self) -> int:
        """Size of the files of all jobs."""
        return sum(job.bytes for job in self.jobs)

    def as_dict(self) -> dict[str, Any]:
        """Return the stream as an object of the report."""
        return {
            "outcome": self.outcome.value,
            **({} if self.error is None else {"error": self.error}),
            "started_at": iso_time(self.began_at),
            "seconds": round(self.seconds, 3),
            "rows_sent": self.rows,
            "windows": self.windows,
            "bytes": self.bytes,
            "jobs": [job.as_dict() for job in self.jobs],
        }

    def in_words(self) -> str:
        """Return the figures as a clause."""
        adopted = sum(job.adopted for job in self.jobs)
        jobs = {"new": len(self.jobs) - adopted, "adopted": adopted}
        parts = [
            f"{_count(self.rows, 'row')} sent",
            *(f"{_count(count, f'{kind} job')}" for kind, count in jobs.items() if count),
            *([_count(self.windows, "window")] if self.windows else []),
            *([f"{self.bytes:,} bytes"] if self.jobs else []),
            f"{self.seconds:.1f} s",
        ]
        outcome = "" if self.outcome is Outcome.COMPLETE else f"{self.outcome} after "
        return outcome + ", ".join(parts)


class RunReport:
    """The report of one run.

    Args:
        run: Unique name of the run.
        clock: Time.
    """

    def __init__(self, run: str, clock: Clock) -> None:
        self.run = run
        self._clock = clock
        self._began = clock.now()
        self._started_at = clock.utc()

    def as_json(
        self, streams: Mapping[str, StreamFigures], calls_left: Mapping[ApiOperation, int]
    ) -> str:
        """Return the report as one line of JSON.

        Args:
            streams: The figures of the run's streams.
            calls_left: Calls that are left today, by operation, if the API limits them.
        """
        left = {operation.name.lower(): calls for operation, calls in calls_left.items()}
        return json.dumps(
            {
                "run": self.run,
                "started_at": iso_time(self._started_at),
                "seconds": round(self._clock.now() - self._began, 3),
                **({"calls_left": left} if left else {}),
                "streams": {name: figures.as_dict() for name, figures in streams.items()},
            },
            separators=(",", ":"),
        )


def log_summary(
    streams: Mapping[str, StreamFigures],
    calls_left: Mapping[ApiOperation, int],
    logger: logging.Logger,
) -> None:
    """Log what each stream has delivered, and the calls that are left."""
    for name, figures in streams.items():
        if figures.outcome is Outcome.NOT_BEGUN:
            logger.info("Stream %s: not begun", name)
        else:
            logger.info("Stream %s: %s", name, figures.in_words())
    if calls_left:
        logger.info(
            "Calls that are left today, by this machine's count: %s",
            ", ".join(f"{left:,} to {operation}" for operation, left in calls_left.items()),
        )


def _day(day: object) -> str | None:
    return None if day is None else str(day)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
