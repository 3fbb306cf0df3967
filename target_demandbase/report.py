"""The report of a run: names, counts and times by stream, no record values."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from demandbase_api.clock import iso_time
from demandbase_api.run_files import write_report
from target_demandbase.rejects import rejects_error

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_api.clock import Clock


MAX_KINDS = 50
"""Maximum number of kinds of errors that are counted one by one; the others are counted as one."""

OTHER_KINDS = "other"

OUTCOMES_UNKNOWN = "row outcomes unknown: see the import audit in Demandbase"


@dataclass(frozen=True)
class JobLine:
    """An import job in the report.

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

    def as_dict(self, *, are_outcomes_known: bool) -> dict[str, Any]:
        imported = (
            {"rows_succeeded": self.succeeded}
            if are_outcomes_known
            else {"rows_succeeded": None, "rows_accepted": self.accepted}
        )
        return {
            "records_read": self.read,
            "rows_staged": self.staged,
            "rows_deduplicated": self.deduplicated,
            "rows_sent": self.sent,
            **imported,
            "rows_rejected": self.rejected.total(),
            "rejected_by": [
                {"field": name, "type": kind, "rows": count}
                for (name, kind), count in self.rejected.most_common()
            ],
            "deletions_skipped": self.deletions_skipped,
            "jobs": [asdict(job) for job in self.jobs],
        }


class RunReport:
    """Counts rows and jobs during a run.

    Args:
        run: Unique name of the run, a part of the file's name.
        clock: Time.
        list_action: The setting list_action, if the API has account lists.
        unknown: What the report says of row outcomes, if the API does not report them.
    """

    def __init__(
        self,
        run: str,
        clock: Clock,
        *,
        list_action: str | None = None,
        unknown: str | None = None,
    ) -> None:
        self._run = run
        self._clock = clock
        self._remarks = {"list_action": list_action, "rows_accepted_means": unknown}
        self._began = clock.now()
        self._started_at = clock.utc()
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

    def rejected(self, stream: str) -> int:
        """Return how many rows of a stream were rejected so far."""
        return self._figures(stream).rejected.total()

    def as_json(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps(
            {
                "run": self._run,
                "started_at": iso_time(self._started_at),
                "seconds": round(self._clock.now() - self._began, 3),
                **{name: remark for name, remark in self._remarks.items() if remark is not None},
                "streams": {
                    name: figures.as_dict(
                        are_outcomes_known=self._remarks["rows_accepted_means"] is None
                    )
                    for name, figures in self._streams.items()
                },
            },
            separators=(",", ":"),
        )

    def write(self, folder: Path, line: str) -> None:
        """Write the report to a file.

        Args:
            folder: Created if it does not exist.
            line: The report, from ``as_json``.

        Raises:
            RejectsError: The file cannot be written.
        """
        try:
            write_report(folder, self._run, line)
        except OSError as error:
            raise rejects_error(error) from error

    def _figures(self, stream: str) -> _Figures:
        return self._streams.setdefault(stream, _Figures())
