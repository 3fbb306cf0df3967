"""The report of a run: names, counts and times by stream, no record values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from demandbase_api.run_files import write_report
from demandbase_api.run_report import (
    ImportRun,
    RejectedRows,
    ReportedImport,
    ReportedImports,
    RowSamples,
    RunClock,
    phases,
)
from target_demandbase.rejects import rejects_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from demandbase_api.clock import Clock
    from demandbase_api.jobs.job_timeline import TrackedJob
    from demandbase_api.run_report import ReportedPhase, RunFacts
    from demandbase_api.state.ports import StateStore


MAX_KINDS = 50
"""Maximum number of kinds of errors that are counted one by one; the others are counted as one."""

OTHER_KINDS = "other"

OUTCOMES_UNKNOWN = "row outcomes unknown: see the import audit in Demandbase"


@dataclass(frozen=True)
class JobLine:
    """An import job whose rows are accounted for.

    Args:
        id: The job's id.
        seconds: Time from its creation to its end.
        rows: Number of rows in its file.
        status: Its last known state.
    """

    id: str
    seconds: float
    rows: int
    status: str


@dataclass
class _Figures:
    """The counters of one stream."""

    read: int = 0
    staged: int = 0
    deduplicated: int = 0
    sent: int = 0
    succeeded: int = 0
    accepted: int = 0
    deletions_skipped: int = 0
    rejected: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    jobs: list[JobLine] = field(default_factory=list)

    def reported(
        self, tracked: Sequence[TrackedJob], began: float, *, are_outcomes_known: bool
    ) -> ReportedImports:
        return ReportedImports(
            records_read=self.read,
            rows_staged=self.staged,
            rows_deduplicated=self.deduplicated,
            rows_sent=self.sent,
            rows_succeeded=self.succeeded if are_outcomes_known else None,
            rows_accepted=None if are_outcomes_known else self.accepted,
            rows_rejected=self.rejected.total(),
            rejected_by=tuple(
                RejectedRows(field=name, type=kind, rows=count)
                for (name, kind), count in self.rejected.most_common()
            ),
            deletions_skipped=self.deletions_skipped,
            jobs=self._jobs(tracked, began),
        )

    def _jobs(self, tracked: Sequence[TrackedJob], began: float) -> tuple[ReportedImport, ...]:
        """Return the jobs that are accounted for, and then those that are not."""
        seen = {job.id: job for job in tracked}
        known = tuple(
            ReportedImport(
                id=line.id,
                status=line.status,
                seconds=line.seconds,
                rows=line.rows,
                **_times(seen.pop(line.id, None), began),
            )
            for line in self.jobs
        )
        others = tuple(
            ReportedImport(
                id=job.id, status=job.status, seconds=None, rows=job.rows, **_times(job, began)
            )
            for job in seen.values()
        )
        return known + others


class _Times(TypedDict, total=False):
    adopted: bool
    phases: tuple[ReportedPhase, ...]


def _times(job: TrackedJob | None, began: float) -> _Times:
    if job is None:
        return {}
    return {"adopted": job.is_adopted, "phases": phases(job.spans, began)}


class RunRecorder:
    """Counts rows and jobs during a run.

    Args:
        run: Unique name of the run, a part of the file's name.
        clock: Time.
        list_action: The setting list_action, if the API has account lists.
        unknown: What the report says of row outcomes, if the API does not report them.
        is_dry: Whether nothing is sent.
    """

    def __init__(
        self,
        run: str,
        clock: Clock,
        *,
        list_action: str | None = None,
        unknown: str | None = None,
        is_dry: bool = False,
    ) -> None:
        self._times = RunClock(run, clock)
        self._rows = RowSamples(clock)
        self._list_action = list_action
        self._unknown = unknown
        self._is_dry = is_dry
        self._streams: dict[str, _Figures] = {}

    def add_read(self, stream: str, records: int = 1) -> None:
        """Count records that were read."""
        self._figures(stream).read += records

    def add_staged(self, stream: str, rows: int = 1) -> None:
        """Count rows that were staged."""
        self._figures(stream).staged += rows

    def add_deduplicated(self, stream: str, rows: int = 1) -> None:
        """Count rows that a later row of the same key superseded."""
        self._figures(stream).deduplicated += rows

    def add_sent(self, stream: str, rows: int) -> None:
        """Count rows that were uploaded."""
        self._figures(stream).sent += rows

    def add_succeeded(self, stream: str, rows: int) -> None:
        """Count rows that Demandbase imported."""
        self._figures(stream).succeeded += rows

    def add_accepted(self, stream: str, rows: int) -> None:
        """Count rows that Demandbase accepted without reporting the outcome of each."""
        self._figures(stream).accepted += rows

    def add_rejected(
        self, stream: str, *, field: str | None, error_type: str | None, rows: int = 1
    ) -> None:
        """Count rejected rows, each once however many errors it has."""
        rejected = self._figures(stream).rejected
        kind = (field, error_type)
        if kind not in rejected and len(rejected) >= MAX_KINDS - 1:
            kind = (None, OTHER_KINDS)
        rejected[kind] += rows

    def add_deletions_skipped(self, stream: str, records: int = 1) -> None:
        """Count deletions, which the API does not support."""
        self._figures(stream).deletions_skipped += records

    def add_job(self, stream: str, job_id: str, *, seconds: float, rows: int, status: str) -> None:
        """Add an import job that has ended."""
        self._figures(stream).jobs.append(JobLine(job_id, round(seconds, 3), rows, status))

    def sample(self) -> None:
        """Record how many records have been read until now."""
        self._rows.add(sum(figures.read for figures in self._streams.values()))

    def rejected(self, stream: str) -> int:
        """Return how many rows of a stream were rejected so far."""
        return self._figures(stream).rejected.total()

    def report(
        self, facts: RunFacts | None = None, tracked: Sequence[TrackedJob] = ()
    ) -> ImportRun:
        """Return the report.

        Args:
            facts: What is known at the end of the run.
            tracked: All jobs of the run, with their phases.
        """
        self.sample()
        for job in tracked:
            self._figures(job.stream)
        return ImportRun(
            **self._times.header(facts, self._rows),
            list_action=self._list_action,
            rows_accepted_means=self._unknown,
            dry_run=self._is_dry,
            streams={
                name: figures.reported(
                    [job for job in tracked if job.stream == name],
                    self._times.began,
                    are_outcomes_known=self._unknown is None,
                )
                for name, figures in self._streams.items()
            },
        )

    def _figures(self, stream: str) -> _Figures:
        return self._streams.setdefault(stream, _Figures())


def write_run(folder: Path, report: ImportRun, copies: StateStore | None = None) -> None:
    """Write a report to a file.

    Args:
        folder: Created if it does not exist.
        report: The report.
        copies: Gets the report in place of the folder, if there is one.

    Raises:
        RejectsError: The file cannot be written.
    """
    try:
        write_report(folder, report.run, report.as_json(), copies)
    except OSError as error:
        raise rejects_error(error) from error
