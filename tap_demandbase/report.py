"""The report of a run: counts, jobs and times by stream, no record values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demandbase_api.clock import iso_time
from demandbase_api.errors import ApiOperation
from demandbase_api.run_report import (
    ExportRun,
    Outcome,
    ReportedExport,
    ReportedExports,
    phases,
)

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import datetime

    from demandbase_api.jobs.job_timeline import PhaseSpan
    from demandbase_api.models import DateRange, ExportJob
    from demandbase_api.run_report import RowSamples, RunClock, RunFacts

EXPORT_OPERATIONS = (
    ApiOperation.CREATE_EXPORT,
    ApiOperation.LIST_EXPORTS,
    ApiOperation.GET_EXPORT,
    ApiOperation.LIST_FIELDS,
)
"""Operations whose calls a run of the tap needs."""


@dataclass(slots=True)
class JobFigures:
    """An export job of a stream.

    Args:
        id: The job's id.
        adopted: Whether the job existed before, instead of being created by this run.
        created_at: When it was created, if it is known.
        completed_at: When it completed, if the server says so.
        dates: Days that were requested; ``None`` for all rows.
        waited_seconds: Time that the stream waited for it.
        read_seconds: Time from its completion until its rows had been read.
        bytes: Size of its files as downloaded.
        rows: Number of its rows.
        status: Its last known status.
        spans: Its phases.
    """

    id: str
    adopted: bool
    created_at: datetime | None = None
    completed_at: datetime | None = None
    dates: DateRange | None = None
    waited_seconds: float = 0.0
    read_seconds: float = 0.0
    bytes: int = 0
    rows: int = 0
    status: str | None = None
    spans: tuple[PhaseSpan, ...] = ()

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

    def reported(self, began: float) -> ReportedExport:
        """Return the job for the report of a run that began at a moment of its clock."""
        days = self.dates
        return ReportedExport(
            id=self.id,
            status=self.status,
            adopted=self.adopted,
            phases=phases(self.spans, began),
            created_at=iso_time(self.created_at),
            completed_at=iso_time(self.completed_at),
            days=None if days is None else (_day(days.start), _day(days.end)),
            waited_seconds=round(self.waited_seconds, 3),
            read_seconds=round(self.read_seconds, 3),
            bytes=self.bytes,
            rows_read=self.rows,
        )


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

    def reported(self, began: float) -> ReportedExports:
        """Return the stream for the report of a run that began at a moment of its clock."""
        return ReportedExports(
            outcome=self.outcome.value,
            error=self.error,
            started_at=iso_time(self.began_at),
            seconds=round(self.seconds, 3),
            rows_sent=self.rows,
            windows=self.windows,
            bytes=self.bytes,
            jobs=tuple(job.reported(began) for job in self.jobs),
        )

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


def run_report(
    times: RunClock,
    facts: RunFacts,
    rows: RowSamples | None,
    streams: Mapping[str, StreamFigures],
    calls_left: Mapping[ApiOperation, int],
) -> ExportRun:
    """Return the report of a run.

    Args:
        times: The times of the run.
        facts: What is known at its end.
        rows: Rows that have been read.
        streams: The figures of its streams.
        calls_left: Calls that are left today, by operation, if the API limits them.
    """
    return ExportRun(
        **times.header(facts, rows),
        calls_left={operation.name.lower(): calls for operation, calls in calls_left.items()},
        streams={name: figures.reported(times.began) for name, figures in streams.items()},
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
            "Calls that are left today, as counted in state_dir: %s",
            ", ".join(f"{left:,} to {operation}" for operation, left in calls_left.items()),
        )


def _day(day: object) -> str | None:
    return None if day is None else str(day)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
