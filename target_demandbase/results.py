"""Accounts for rows by batch: read, imported, rejected; and decides when rejects end the run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import InvalidRecord, MissingKeyPropertiesError

from target_demandbase.errors import RejectedRowsError
from target_demandbase.rejects import DeadLetters, Reject
from target_demandbase.report import OUTCOMES_UNKNOWN
from target_demandbase.row_errors import Outcome, check_accepted, import_outcome, read_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_api.models import ImportJob, RowError
    from demandbase_api.ports import ImportApi
    from target_demandbase.config import RejectPolicy
    from target_demandbase.import_queue import EndedImport, ImportBatch
    from target_demandbase.plan import StreamPlan
    from target_demandbase.report import RunReport


logger = logging.getLogger("target-demandbase")

INVALID = "invalid_record"

MISSING_KEY = "missing_key"

TOO_LARGE = "too_large"

ROWS_SHOWN = 10

KINDS_SHOWN = 20


class Results:
    """Accounts for rows, by batch: those read, imported, and rejected.

    Args:
        api: Lists row errors.
        dead_letters: Gets rejected rows.
        report: The run's report.
        policy: When rejected rows end the run.
        is_dry: Whether nothing is sent.
    """

    def __init__(
        self,
        api: ImportApi,
        dead_letters: DeadLetters,
        report: RunReport,
        policy: RejectPolicy,
        *,
        is_dry: bool,
    ) -> None:
        self._api = api
        self._dead_letters = dead_letters
        self._report = report
        self._policy = policy
        self._is_dry = is_dry
        self._batches: dict[int, _BatchCount] = {}
        self._read = 0
        self._is_all_read = False
        self._rejected = 0

    def count_read(self, stream: str, batch: int, records: int = 1) -> None:
        """Count records of a batch."""
        self._batches.setdefault(batch, _BatchCount(stream)).rows += records
        self._read += records
        self._report.add_read(stream, records)

    def end_input(self) -> None:
        """Record that no more records follow."""
        self._is_all_read = True

    def reject(
        self, plan: StreamPlan, batch: int, record: Mapping[str, Any], reject: Reject
    ) -> None:
        """Write a record that cannot be sent to the dead letters."""
        self._reject(plan, batch, record, reject, self._batches[batch].rows)

    def account(self, done: EndedImport) -> Outcome:
        """Account for the rows of an import that has ended.

        Raises:
            JobFailedError: The job failed and nothing is known of its rows.
            JobCancelledError: The job was cancelled.
            ReconciliationError: The job's counts differ from what was sent.
        """
        plan, staged = done.batch.plan, done.batch.staged
        if done.job is None:
            reject = Reject("the row alone is larger than Demandbase takes", None, TOO_LARGE)
            self._reject(plan, done.batch.number, staged.record(0), reject, 1)
            return Outcome(staged.rows, 0)
        self._report_job(done.batch, done.job)
        if not self._api.capabilities.row_errors:
            return self._accept(done.batch, done.job)
        outcome = self._outcome(done.batch, done.job)
        for row, why in sorted(outcome.kept.items()):
            reject = Reject(why.reason, why.field, why.type, done.job.id)
            self._reject(plan, done.batch.number, staged.record(row), reject, row + 1)
        if outcome.problem is not None:
            raise outcome.problem
        self._report.add_succeeded(plan.stream, outcome.succeeded)
        logger.info(
            "Demandbase imported %d of %d rows of stream %s in job %s",
            outcome.succeeded,
            staged.rows,
            plan.stream,
            done.job.id,
        )
        return outcome

    def check_batch(self, batch: int) -> None:
        """Make the rejected rows of a batch durable and check their number.

        Raises:
            RejectedRowsError: The run has to end.
            RejectsError: The rejected rows cannot be written.
        """
        self._dead_letters.flush()
        count = self._batches.pop(batch, None)
        if count is None or not count.digest.rows:
            return
        breach = self._policy.breach(self._rejected, self._read, is_all=self._is_all_read)
        if breach is not None:
            raise self._error(count, breach)
        logger.warning(
            "%d of %d rows of stream %s were rejected and are kept in %s: %s",
            count.digest.rows,
            count.rows,
            count.stream,
            ", ".join(map(str, self._dead_letters.paths.values())),
            "; ".join(count.digest.lines()),
        )

    def check_run(self) -> None:
        """Check the rejected rows of the whole run.

        Raises:
            RejectedRowsError: There are too many.
        """
        breach = self._policy.breach(self._rejected, self._read)
        if breach is not None:
            raise RejectedRowsError(
                f"{self._rejected} of {self._read} rows of the run were rejected and are kept in "
                f"{', '.join(map(str, self._dead_letters.paths.values()))}. The run fails "
                f"because {breach}."
            )

    def _outcome(self, batch: ImportBatch, job: ImportJob) -> Outcome:
        plan, staged = batch.plan, batch.staged
        errors: tuple[RowError, ...] = ()
        if job.error_count != 0:
            errors = read_errors(lambda: tuple(self._api.row_errors(job.id)), job.error_count)

        def value(row: int, field: str) -> str | None:
            column = plan.column_of(field)
            return None if column is None else staged.value(row, column)

        return import_outcome(job, errors, staged.rows, value, plan.stream)

    def _accept(self, batch: ImportBatch, job: ImportJob) -> Outcome:
        """Account for a job of an API that reports the outcome of jobs, but not of rows."""
        stream, rows = batch.plan.stream, batch.staged.rows
        check_accepted(job, stream)
        self._report.add_accepted(stream, rows)
        logger.info(
            "Demandbase accepted %d rows of stream %s in job %s; %s",
            rows,
            stream,
            job.id,
            OUTCOMES_UNKNOWN,
        )
        return Outcome(rows, rows)

    def _report_job(self, batch: ImportBatch, job: ImportJob) -> None:
        stream, rows = batch.plan.stream, batch.staged.rows
        self._report.add_sent(stream, rows)
        self._report.add_job(
            stream, job.id, seconds=_seconds(job), rows=rows, status=job.status.value
        )

    def _reject(
        self,
        plan: StreamPlan,
        batch: int,
        record: Mapping[str, Any],
        reject: Reject,
        row: int,
    ) -> None:
        source = plan.source
        self._dead_letters.reject(
            source.stream, source.schema, source.key_properties, record, reject
        )
        kind = reject.type or "unknown"
        count = self._batches[batch]
        # The target's own reasons hold no value; Demandbase's may.
        shown = f"{reject.field or '(no field)'}, {kind}" if reject.job_id else reject.reason
        count.digest.add(shown, row)
        count.kinds.add(kind)
        self._rejected += 1
        self._report.add_rejected(plan.stream, field=reject.field, error_type=kind)

    def _error(self, count: _BatchCount, breach: str) -> RejectedRowsError:
        sentence = rejected_sentence(
            stream=count.stream,
            rejected=count.digest.rows,
            rows=count.rows,
            digest=count.digest.lines(),
            breach=breach,
            kept=[str(path) for path in self._dead_letters.paths.values()],
            is_dry=self._is_dry,
        )
        match sorted(count.kinds):
            case [kind] if kind == INVALID:
                error: type[RejectedRowsError] = InvalidRowsError
            case [kind] if kind == MISSING_KEY:
                error = MissingKeyRowsError
            case _:
                error = RejectedRowsError
        return error(sentence, stream=count.stream)


@dataclass
class RejectDigest:
    """Counts rejected rows by kind of error; its memory does not grow with their number."""

    rows: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _first: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, row: int) -> None:
        """Count a row.

        Args:
            kind: Kind of error.
            row: Number of the row, from 1.
        """
        self.rows += 1
        self._counts[kind] = self._counts.get(kind, 0) + 1
        first = self._first.setdefault(kind, [])
        if len(first) < ROWS_SHOWN:
            first.append(row)

    def lines(self) -> list[str]:
        """Return a clause for each of the most frequent kinds."""
        ordered = sorted(self._counts.items(), key=lambda item: -item[1])
        lines = [f"{kind}: {count} ({self._shown(kind, count)})" for kind, count in ordered]
        more = len(lines) - KINDS_SHOWN
        return lines if more <= 0 else [*lines[:KINDS_SHOWN], f"{more} other kinds"]

    def _shown(self, kind: str, count: int) -> str:
        numbers = ", ".join(map(str, self._first[kind]))
        return ("row " if count == 1 else "rows ") + numbers + (", …" if count > ROWS_SHOWN else "")


@dataclass
class _BatchCount:
    stream: str
    rows: int = 0
    digest: RejectDigest = field(default_factory=RejectDigest)
    kinds: set[str] = field(default_factory=set)


def rejected_sentence(  # noqa: PLR0913
    *,
    stream: str,
    rejected: int,
    rows: int,
    digest: Sequence[str],
    breach: str,
    kept: Sequence[str],
    is_dry: bool = False,
) -> str:
    """Return the message of the error that ends the run; it contains no values.

    Args:
        stream: Name of the stream.
        rejected: Number of rejected rows of the batch.
        rows: Number of rows of the batch.
        digest: Clauses that count the errors by field and type.
        breach: Why the run ends.
        kept: Files that hold the rejected rows.
        is_dry: Whether nothing is sent.
    """
    others = "Nothing was sent" if is_dry else "The other rows of the batch were imported"
    return (
        f"{rejected} of {rows} rows of stream {stream} were rejected: {'; '.join(digest)}. "
        f"{others}. The rejected ones are in {', '.join(kept)}: "
        f"correct that file and send it with “cat FILE | target-demandbase”. The run ends "
        f"because {breach}."
    )


class InvalidRowsError(RejectedRowsError, InvalidRecord):
    """Records broke their schema; also an error of the SDK."""

    def __init__(self, sentence: str, *, stream: str | None = None) -> None:
        Exception.__init__(self, sentence)
        self.stream = stream
        self.error_message = sentence
        self.record = {}


class MissingKeyRowsError(RejectedRowsError, MissingKeyPropertiesError):
    """Records lacked a key property; also an error of the SDK."""


def _seconds(job: ImportJob) -> float:
    """Return the duration of a job by the server's clock; 0 if it is unknown."""
    if job.created_at is None or job.completed_at is None:
        return 0.0
    return (job.completed_at - job.created_at).total_seconds()
