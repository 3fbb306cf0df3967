"""Accounts for rows by batch: read, imported, rejected; and decides when rejects end the run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import InvalidRecord, MissingKeyPropertiesError

from demandbase_api.clock import SystemClock
from demandbase_api.deadline import Deadline
from demandbase_api.errors import DemandbaseError, NotFoundError, job_cancelled
from demandbase_api.models import JobStatus
from demandbase_api.redaction import mask_name, mask_values, redact
from demandbase_api.words import counted
from target_demandbase.errors import RejectedRowsError
from target_demandbase.invocation import sending_command
from target_demandbase.rejects import INVALID, MISSING_KEY, TOO_LARGE, DeadLetters, Reject
from target_demandbase.report import MAX_KINDS, OTHER_KINDS, OUTCOMES_UNKNOWN
from target_demandbase.row_errors import (
    UNCORRELATED,
    Outcome,
    Rejections,
    RowReject,
    SentRows,
    count_rows,
    read_errors,
    rejected_rows,
)
from target_demandbase.row_values import plain_name
from target_demandbase.verdict import (
    SentFile,
    Verdict,
    contradiction,
    contradictory,
    failed,
    imported_rows,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_api.clock import Clock
    from demandbase_api.models import ImportJob, RowError
    from demandbase_api.ports import ImportApi
    from target_demandbase.config import RejectPolicy
    from target_demandbase.import_queue import EndedImport, ImportBatch
    from target_demandbase.plan import StreamPlan
    from target_demandbase.report import RunRecorder


logger = logging.getLogger("target-demandbase")

ROWS_SHOWN = 10

KINDS_SHOWN = 20

_OPEN = "Demandbase does not say which row it rejected, and it may be this one: "

_MAY_BE_IN = "This row may be in already, since Demandbase does not say which row it rejected: "

_DETAILS_SECONDS = 30.0
"""Time in which the end of a job is read alone. The list of jobs may have all of it."""

_PAUSES = (1.0, 2.0, 3.0, 4.0)
"""Seconds before each further reading of figures that disagree: they may lag behind the status."""


class Results:
    """Accounts for rows, by batch: those read, imported, and rejected.

    Args:
        api: Lists row errors.
        dead_letters: Gets rejected rows.
        report: The run's report.
        policy: When rejected rows end the run.
        is_dry: Whether nothing is sent.
        clock: Time, for figures that lag behind.
    """

    def __init__(  # noqa: PLR0913 - the last one has a default
        self,
        api: ImportApi,
        dead_letters: DeadLetters,
        report: RunRecorder,
        policy: RejectPolicy,
        *,
        is_dry: bool,
        clock: Clock | None = None,
    ) -> None:
        self._api = api
        self._dead_letters = dead_letters
        self._report = report
        self._policy = policy
        self._is_dry = is_dry
        self._clock = clock or SystemClock()
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
        self._write(plan, record, reject)
        self._count(plan, batch, reject, self._batches[batch].rows)

    def account(self, done: EndedImport) -> Outcome:
        """Account for the rows of an import that has ended.

        Raises:
            JobFailedError: The job failed.
            JobCancelledError: The job was cancelled.
            ReconciliationError: The job's figures disagree with each other or with what was sent.
        """
        plan, staged = done.batch.plan, done.batch.staged
        if done.job is None:
            reject = Reject("the row alone is larger than Demandbase takes", None, TOO_LARGE)
            self._write(plan, staged.record(0), reject)
            self._count(plan, done.batch.number, reject, 1)
            return Outcome(staged.rows, 0)
        sent = SentFile(
            done.job_id,
            plan.stream,
            plan.entity,
            plan.operation,
            staged.rows,
            is_add_only=plan.is_add_only,
        )
        end = self._read_end(done.job, sent)
        self._report_job(sent, end.job)
        self._warn_of_message(sent, end.job)
        match end.verdict:
            case Verdict.SUCCEEDED:
                return self._account_for_rows(done, sent, end)
            case Verdict.FAILED:
                imported = imported_rows(end.job, sent, end.listed) or 0
                self._report.add_succeeded(plan.stream, imported)
                kept = self._keep_certain(done.batch, sent, end)
                raise failed(end.job, sent, end.listed, kept)
            case Verdict.CANCELLED:
                raise job_cancelled("import", plan.stream, end.job)
            case Verdict.CONTRADICTORY:
                self._keep_certain(done.batch, sent, end)
                found = contradiction(end.job, sent, end.listed)
                assert found is not None  # noqa: S101 - the verdict says so
                raise contradictory(sent, found)

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
            "%d of %d rows of stream %s were rejected and are kept in %s: %s.%s",
            count.digest.rows,
            count.rows,
            count.stream,
            ", ".join(self._dead_letters.places),
            "; ".join(count.digest.lines()),
            count.remark,
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
                f"{', '.join(self._dead_letters.places)}. The run fails "
                f"because {breach}."
            )

    def _read_end(self, job: ImportJob, sent: SentFile) -> _End:
        """Return the end of a job; figures that disagree are read again for some seconds."""
        end = self._judge(self._with_details(job), sent)
        for pause in _PAUSES:
            if end.verdict is not Verdict.CONTRADICTORY:
                break
            self._clock.sleep(pause)
            try:
                end = self._judge(self._api.get(sent.job_id), sent)
            except DemandbaseError as error:
                logger.warning("Cannot read the import job %s again: %s", sent.job_id, error)
        return end

    def _with_details(self, job: ImportJob) -> ImportJob:
        """Return an ended job with all of its figures; without them if they cannot be read."""
        try:
            return self._api.with_details(job, Deadline.after(self._clock, _DETAILS_SECONDS))
        except DemandbaseError as error:
            logger.warning(
                "The import job %s is judged by the list of jobs, since it cannot be read: %s",
                job.id,
                error,
            )
            return job

    def _judge(self, job: ImportJob, sent: SentFile) -> _End:
        if not self._api.capabilities.row_errors:
            return _End(job, verdict(job, sent, None), (), None)
        try:
            # The list is read even if the job counts no errors.
            errors = read_errors(lambda: self._row_errors(sent.job_id), job.error_count)
        except DemandbaseError as error:
            if job.status is JobStatus.COMPLETED:
                raise
            logger.warning("Cannot read the row errors of job %s: %s", sent.job_id, error)
            errors = ()
        listed = count_rows(errors)
        return _End(job, verdict(job, sent, listed), errors, listed)

    def _row_errors(self, job_id: str) -> list[RowError]:
        """Return the row errors of a job; none if the API knows no list of them."""
        errors: list[RowError] = []
        try:
            for error in self._api.row_errors(job_id):
                errors.append(error)  # noqa: PERF402 - those before an error count
        except NotFoundError:
            # No list, or no page after the last one. The job's figures say whether that is so.
            pass
        return errors

    def _warn_of_message(self, sent: SentFile, job: ImportJob) -> None:
        """Show the message of a job; that of a failed job is in the error that ends the run."""
        if job.error_message and job.error_message.strip() and job.status is not JobStatus.FAILED:
            logger.warning(
                "The import job %s of stream %s is %s with a message: %s",
                sent.job_id,
                sent.stream,
                job.status_text,
                mask_values(redact(job.error_message)),
            )

    def _account_for_rows(self, done: EndedImport, sent: SentFile, end: _End) -> Outcome:
        if end.listed is None:
            return self._accept(sent)
        if end.job.file_name not in {None, "", done.file_name}:
            logger.warning(
                "The import job %s of stream %s names another file than %s, which was sent; its "
                "figures agree with what was sent",
                sent.job_id,
                sent.stream,
                done.file_name,
            )
        found = rejected_rows(end.errors, _sent_rows(done.batch))
        self._keep(done.batch, sent, found)
        succeeded = sent.rows - end.listed
        self._report.add_succeeded(sent.stream, succeeded)
        logger.info(
            "Demandbase imported %s of %s of stream %s in job %s",
            f"{succeeded:,}",
            counted(sent.rows, "row"),
            sent.stream,
            sent.job_id,
        )
        return Outcome(sent.rows, succeeded, found.kept)

    def _keep_certain(self, batch: ImportBatch, sent: SentFile, end: _End) -> tuple[str, ...]:
        """Keep the rows that were certainly rejected; return the files with them.

        The run ends without its state, so that the other rows come again.
        """
        found = rejected_rows(end.errors, _sent_rows(batch)).without_uncertain()
        self._keep(batch, sent, found)
        return tuple(self._dead_letters.places) if found.kept else ()

    def _keep(self, batch: ImportBatch, sent: SentFile, found: Rejections) -> None:
        """Keep rows that were rejected, or may have been, and count those that were."""
        plan, count = batch.plan, self._batches[batch.number]
        for row, why in sorted(found.kept.items()):
            reason = why.reason
            if why.type == UNCORRELATED:
                count.uncorrelated += 1
                count.may_be_in = sent.is_add_only
                reason = f"{_MAY_BE_IN if sent.is_add_only else _OPEN}{reason}"
            reject = Reject(reason, why.field, why.type, sent.job_id)
            self._write(plan, batch.staged.record(row), reject)
        for index, why in found.counted:
            number = None if index is None else index + 1
            self._count(plan, batch.number, why, number, is_named=True)

    def _accept(self, sent: SentFile) -> Outcome:
        """Account for a job of an API that reports the outcome of jobs, but not of rows."""
        self._report.add_accepted(sent.stream, sent.rows)
        logger.info(
            "Demandbase accepted %s of stream %s in job %s; %s",
            counted(sent.rows, "row"),
            sent.stream,
            sent.job_id,
            OUTCOMES_UNKNOWN,
        )
        return Outcome(sent.rows, sent.rows)

    def _report_job(self, sent: SentFile, job: ImportJob) -> None:
        self._report.add_sent(sent.stream, sent.rows)
        self._report.add_job(
            sent.stream,
            sent.job_id,
            seconds=_seconds(job),
            rows=sent.rows,
            status=job.status.value,
        )

    def _write(self, plan: StreamPlan, record: Mapping[str, Any], reject: Reject) -> None:
        source = plan.source
        self._dead_letters.reject(
            source.stream, source.schema, source.key_properties, record, reject
        )

    def _count(
        self,
        plan: StreamPlan,
        batch: int,
        reject: Reject | RowReject,
        row: int | None,
        *,
        is_named: bool = False,
    ) -> None:
        """Count a rejected row.

        Args:
            plan: Plan of its stream.
            batch: Number of its batch.
            reject: Why it was rejected.
            row: Its number, from 1. ``None`` if it is not certain.
            is_named: Whether Demandbase named the field and the kind of error.
        """
        kind, field = reject.type or "unknown", reject.field
        count = self._batches[batch]
        shown = reject.reason
        if is_named:
            # The target's own words show no value. Those of Demandbase may.
            kind = mask_name(kind)
            if field is not None and plan.column_of(field) is None:
                field = mask_name(field)
            shown = f"{field or '(no field)'}, {kind}"
        count.digest.add(shown, row)
        count.add_kind(kind)
        self._rejected += 1
        self._report.add_rejected(plan.stream, field=field, error_type=kind)

    def _error(self, count: _BatchCount, breach: str) -> RejectedRowsError:
        sentence = rejected_sentence(
            stream=count.stream,
            rejected=count.digest.rows,
            rows=count.rows,
            digest=count.digest.lines(),
            breach=breach,
            kept=self._dead_letters.places,
            remark=count.remark,
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


@dataclass(frozen=True)
class _End:
    """The end of a job as it was read last.

    Args:
        job: The job.
        verdict: Whether it succeeded.
        errors: Its row errors.
        listed: Number of rows that they are about. ``None`` if the API has no list of them.
    """

    job: ImportJob
    verdict: Verdict
    errors: tuple[RowError, ...]
    listed: int | None


def _sent_rows(batch: ImportBatch) -> SentRows:
    plan, staged = batch.plan, batch.staged
    positions = {column: position for position, column in enumerate(staged.columns)}
    positions |= {
        field: positions[column] for column, field in plan.fields.items() if column in positions
    }
    names = {plain_name(name): position for name, position in positions.items()}
    return SentRows(staged.rows, names, staged.cells)


@dataclass
class RejectDigest:
    """Counts rejected rows by kind of error; its memory does not grow with their number."""

    rows: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _first: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, row: int | None) -> None:
        """Count a row.

        Args:
            kind: Kind of error.
            row: Number of the row, from 1. ``None`` if it is not certain.
        """
        self.rows += 1
        if kind not in self._counts and len(self._counts) >= MAX_KINDS - 1:
            kind = OTHER_KINDS
        self._counts[kind] = self._counts.get(kind, 0) + 1
        first = self._first.setdefault(kind, [])
        if row is not None and len(first) < ROWS_SHOWN:
            first.append(row)

    def lines(self) -> list[str]:
        """Return a clause for each of the most frequent kinds."""
        ordered = sorted(self._counts.items(), key=lambda item: -item[1])
        lines = [f"{kind}: {count}{self._shown(kind, count)}" for kind, count in ordered]
        more = len(lines) - KINDS_SHOWN
        return lines if more <= 0 else [*lines[:KINDS_SHOWN], f"{more} other kinds"]

    def _shown(self, kind: str, count: int) -> str:
        numbers = self._first[kind]
        if not numbers:
            return ""
        more = ", …" if count > len(numbers) else ""
        return f" ({'row' if count == 1 else 'rows'} {', '.join(map(str, numbers))}{more})"


@dataclass
class _BatchCount:
    stream: str
    rows: int = 0
    digest: RejectDigest = field(default_factory=RejectDigest)
    kinds: set[str] = field(default_factory=set)
    uncorrelated: int = 0
    may_be_in: bool = False

    @property
    def remark(self) -> str:
        """What to know about rows that are kept without certainty; begins with a space."""
        if not self.uncorrelated:
            return ""
        remark = (
            f" Demandbase does not say which rows it rejected: {self.uncorrelated} rows that may "
            "be among them are kept as uncorrelated."
        )
        if self.may_be_in:
            remark += (
                " Each of them may be in already: look it up in Demandbase and remove those that "
                "are before you send the file."
            )
        return remark

    def add_kind(self, kind: str) -> None:
        """Add a kind; more than two need not be known."""
        if len(self.kinds) <= 1:
            self.kinds.add(kind)


def rejected_sentence(  # noqa: PLR0913
    *,
    stream: str,
    rejected: int,
    rows: int,
    digest: Sequence[str],
    breach: str,
    kept: Sequence[str],
    remark: str = "",
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
        remark: What to know about them; begins with a space.
        is_dry: Whether nothing is sent.
    """
    others = "Nothing was sent" if is_dry else "The other rows of the batch were imported"
    advice = (
        "correct them where they come from, before a run sends them"
        if is_dry
        else f"correct that file and send it with “{sending_command()}”"
    )
    return (
        f"{rejected} of {rows} rows of stream {stream} were rejected: {'; '.join(digest)}. "
        f"{others}. The rejected ones are in {', '.join(kept)}: {advice}.{remark} The run ends "
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
