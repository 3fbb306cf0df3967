"""What one run did, in figures by stream: names, counts and times, no record values."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from demandbase_api.files import PRIVATE, make_private_folder, write_atomically
from target_demandbase.rejects import rejects_error

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_api.clock import Clock


OUTCOMES_UNKNOWN = "row outcomes unknown: see the import audit in Demandbase"


@dataclass(frozen=True)
class JobLine:
    """An import job in the report.

    Args:
        id: The job.
        seconds: From its creation to its end.
        rows: How many rows were sent in it.
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
        taken = (
            {"rows_succeeded": self.succeeded}
            if are_outcomes_known
            else {"rows_succeeded": None, "rows_accepted": self.accepted}
        )
        return {
            "records_read": self.read,
            "rows_staged": self.staged,
            "rows_deduplicated": self.deduplicated,
            "rows_sent": self.sent,
            **taken,
            "rows_rejected": self.rejected.total(),
            "rejected_by": [
                {"field": name, "type": kind, "rows": count}
                for (name, kind), count in self.rejected.most_common()
            ],
            "deletions_skipped": self.deletions_skipped,
            "jobs": [asdict(job) for job in self.jobs],
        }


class RunReport:
    """Counts while a run goes on; every count adds to what was counted before.

    Args:
        run: What tells this run from others; it becomes part of the file's name as it is.
        clock: Where the time comes from.
        list_action: What is done to account lists, where the API has any.
        unknown: What to say of rows' outcomes where the API does not tell them.
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
        self._notes = {"list_action": list_action, "rows_accepted_means": unknown}
        self._began = clock.now()
        self._started_at = clock.utc()
        self._streams: dict[str, _Figures] = {}

    def add_read(self, stream: str, records: int = 1) -> None:
        """Count records that were read."""
        self._of(stream).read += records

    def add_staged(self, stream: str, rows: int = 1) -> None:
        """Count rows that were staged."""
        self._of(stream).staged += rows

    def add_deduplicated(self, stream: str, rows: int = 1) -> None:
        """Count rows that a later row of the same key replaced."""
        self._of(stream).deduplicated += rows

    def add_sent(self, stream: str, rows: int) -> None:
        """Count rows that were uploaded."""
        self._of(stream).sent += rows

    def add_succeeded(self, stream: str, rows: int) -> None:
        """Count rows that Demandbase took."""
        self._of(stream).succeeded += rows

    def add_accepted(self, stream: str, rows: int) -> None:
        """Count rows that Demandbase accepted without saying what became of each."""
        self._of(stream).accepted += rows

    def add_rejected(
        self, stream: str, *, field: str | None, error_type: str | None, rows: int = 1
    ) -> None:
        """Count rows that were not taken, each of them once however many errors it has."""
        self._of(stream).rejected[field, error_type] += rows

    def add_deletions_skipped(self, stream: str, records: int = 1) -> None:
        """Count deletions, which the API cannot do."""
        self._of(stream).deletions_skipped += records

    def add_job(self, stream: str, job_id: str, *, seconds: float, rows: int, status: str) -> None:
        """Add an import job that has ended or is given up."""
        self._of(stream).jobs.append(JobLine(job_id, round(seconds, 3), rows, status))

    def rejected(self, stream: str) -> int:
        """Return how many rows of a stream were rejected so far."""
        return self._of(stream).rejected.total()

    def as_json(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps(
            {
                "run": self._run,
                "started_at": self._started_at.isoformat(),
                "seconds": round(self._clock.now() - self._began, 3),
                **{name: note for name, note in self._notes.items() if note is not None},
                "streams": {
                    name: figures.as_dict(
                        are_outcomes_known=self._notes["rows_accepted_means"] is None
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
        path = folder / f"report-{self._run}.json"
        try:
            make_private_folder(folder)
            write_atomically(path, f"{line}\n", durable=True, mode=PRIVATE)
        except OSError as error:
            raise rejects_error(error) from error

    def _of(self, stream: str) -> _Figures:
        return self._streams.setdefault(stream, _Figures())
