"""What can go wrong with the APIs, each as one sentence that says what to do.

No message holds a token, a header, a signed link or a record value.
"""

from __future__ import annotations

import errno
import math
from enum import StrEnum
from typing import TYPE_CHECKING

from demandbase_api.redaction import mask_values, scrub

if TYPE_CHECKING:
    from demandbase_api.models import JobStatus
    from demandbase_api.ports import Job


def spool_error(error: OSError) -> SpoolError:
    """Return the error for a spool folder that does not take a file."""
    reason = (
        "it has no room left" if error.errno == errno.ENOSPC else (error.strerror or "it failed")
    )
    return SpoolError(
        f"The folder for intermediate files cannot be written: {reason}. "
        "Free some room, or point the setting spool_dir at a larger or writable folder."
    )


EXIT_FAILURE = 1

EXIT_TRY_LATER = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong here, the same run may work later."""


class DemandbaseError(Exception):
    """Any failure that a user can meet; ``str()`` is the sentence to show."""

    exit_code = EXIT_FAILURE


class ConfigurationError(DemandbaseError):
    """The settings ask for something that cannot be done."""


class ApiError(DemandbaseError):
    """A call that did not give what it should.

    Args:
        operation: The call.
        problem: What happened, as a clause that follows "Demandbase".
        advice: What the user should do, as a sentence; may be empty.
        status: HTTP status, where there was an answer.
        server_message: The server's own words, already scrubbed.
        retry_after: Seconds that the server asked to wait.
        code: The API's own number for the failure, where it gives one.
        diagnostic: What Demandbase's support finds the call by, where the API gives it.
    """

    def __init__(  # noqa: PLR0913
        self,
        operation: ApiOperation,
        problem: str,
        *,
        advice: str = "",
        status: int | None = None,
        server_message: str = "",
        retry_after: float | None = None,
        code: str | None = None,
        diagnostic: str | None = None,
    ) -> None:
        self.operation = operation
        self.problem = problem
        self.advice = advice
        self.status = status
        self.server_message = server_message
        self.retry_after = retry_after
        self.code = code
        self.diagnostic = diagnostic
        super().__init__(operation, problem)

    @property
    def marks(self) -> str:
        """What Demandbase's support knows the failure by, in brackets behind a blank; or nothing.

        The status, the API's own code and the diagnostic code.
        """
        marks = [
            f"HTTP {self.status}" if self.status is not None else "",
            f"code {self.code}" if self.code else "",
            f"diagnostic code {self.diagnostic}" if self.diagnostic else "",
        ]
        return f" ({', '.join(filter(None, marks))})" if any(marks) else ""

    def __str__(self) -> str:
        """Return the sentence for the user."""
        words = f": {self.server_message}" if self.server_message else ""
        advice = f" {self.advice}" if self.advice else ""
        if self.retry_after:
            advice = f" It asks to try again in {math.ceil(self.retry_after)} seconds.{advice}"
        said = f"{self.marks}{words}"
        sentence = f"Demandbase {self.problem} when asked to {self.operation.value}{said}"
        return sentence.rstrip(".") + "." + advice


class AuthenticationError(ApiError):
    """401: the credentials are missing, wrong or expired."""


class PermissionDeniedError(ApiError):
    """403: the credentials are good, but may not do this."""


class InvalidRequestError(ApiError):
    """400: the server does not accept what was asked."""


class NotFoundError(ApiError):
    """404 or 410: there is no such job, file or API."""


class ConflictError(ApiError):
    """409: the job's state does not allow it."""


class FileTooLargeError(ApiError):
    """413: the file to upload is larger than the server takes."""


class QuotaExceededError(ApiError):
    """429 on a call that creates a job: the day's quota is used up."""

    exit_code = EXIT_TRY_LATER


class CallBudgetError(QuotaExceededError):
    """The day's calls of one kind are used up, or too few are left for what is to be done."""


class BusyError(ApiError):
    """429 on a call that creates a job: as many jobs run already as may run at a time."""

    exit_code = EXIT_TRY_LATER


class UnexpectedAnswerError(ApiError):
    """An answer that the contract does not know: another status, shape or word."""


class TransientError(ApiError):
    """A failure that may pass: asking again later can help."""


class RateLimitedError(TransientError):
    """429: too many calls for now; nothing was done."""

    exit_code = EXIT_TRY_LATER


class ServerError(TransientError):
    """5xx: the server's own trouble."""


class UnreachableError(TransientError):
    """There was no answer: the connection failed, broke or timed out.

    Args:
        operation: The call.
        problem: What happened.
        nothing_sent: True where the request cannot have reached the server.
        advice: What the user should do.
    """

    def __init__(
        self,
        operation: ApiOperation,
        problem: str,
        *,
        nothing_sent: bool,
        advice: str = "",
    ) -> None:
        super().__init__(operation, problem, advice=advice)
        self.nothing_sent = nothing_sent


class InterruptedDownloadError(TransientError):
    """A file's body ended before it was whole."""


class ChangedFileError(InterruptedDownloadError):
    """What has been received so far is not the beginning of what there is now."""


class SpoolError(DemandbaseError):
    """The folder for intermediate files cannot be used."""


class JobError(DemandbaseError):
    """A job that did not come to a good end.

    Args:
        sentence: What happened and what to do.
        kind: "export" or "import".
        job_id: The job.
        entity: What the job was about.
        status: The job's last known state.
        part: The part of the job's file, counted from 1, where it matters.
    """

    def __init__(  # noqa: PLR0913
        self,
        sentence: str,
        *,
        kind: str,
        job_id: str,
        entity: str,
        status: JobStatus | None = None,
        part: int | None = None,
    ) -> None:
        self.kind = kind
        self.job_id = job_id
        self.entity = entity
        self.status = status
        self.part = part
        super().__init__(sentence)


class JobFailedError(JobError):
    """The job ended as failed."""


class JobCancelledError(JobError):
    """Somebody cancelled the job."""


class JobGoneError(JobError):
    """The job or its file is no longer there: unknown to the server, or expired."""


class JobTimeoutError(JobError):
    """The job was still running when its time was up."""


class UnsettledInsertError(DemandbaseError):
    """Rows may have been inserted by an earlier run, and inserting them again would double them."""


class StoppedError(DemandbaseError):
    """The run ends: nothing is sent any more."""


class DownloadError(JobError):
    """A part of an export could not be downloaded."""


def job_cancelled(kind: str, entity: str, job: Job) -> JobCancelledError:
    """Return the error for a job that somebody cancelled."""
    return JobCancelledError(
        f"The {kind} job {job.id} for {entity} was cancelled in Demandbase. "
        "Run again to create a new one.",
        kind=kind,
        job_id=job.id,
        entity=entity,
        status=job.status,
    )


def job_gone(kind: str, entity: str, job_id: str, error: NotFoundError) -> JobGoneError:
    """Return the error for a job that the server no longer knows, as it said by an error."""
    return JobGoneError(
        f"Demandbase no longer knows the {kind} job {job_id} for {entity}{error.marks}.",
        kind=kind,
        job_id=job_id,
        entity=entity,
    )


def job_failed(kind: str, entity: str, job: Job, *, may_quote_rows: bool) -> JobFailedError:
    """Return the error for a job that ended as failed, with the server's words, scrubbed."""
    words = scrub(job.error_message or "Demandbase gave no reason")
    if may_quote_rows:
        words = mask_values(words)
    return JobFailedError(
        f"The {kind} job {job.id} for {entity} failed: {words.rstrip('.')}.",
        kind=kind,
        job_id=job.id,
        entity=entity,
        status=job.status,
    )


class ApiOperation(StrEnum):
    """A call; its value completes the sentence "Demandbase … when asked to …"."""

    ISSUE_TOKEN = "issue an access token"  # noqa: S105 - no token
    LIST_ENTITIES = "list the exportable entities"
    LIST_FIELDS = "list the fields of an entity"
    CREATE_EXPORT = "create an export job"
    LIST_EXPORTS = "list the export jobs"
    GET_EXPORT = "describe an export job"
    CANCEL_EXPORT = "cancel an export job"
    DOWNLOAD_PART = "hand out an exported file"
    FETCH_LINK = "serve an exported file from its signed link"
    CREATE_IMPORT = "create an import job"
    LIST_IMPORTS = "list the import jobs"
    GET_IMPORT = "describe an import job"
    CANCEL_IMPORT = "cancel an import job"
    UPLOAD_FILE = "take an import file"
    LIST_ROW_ERRORS = "list the row errors of an import job"
    LIST_MAPPINGS = "list the field mappings"
    LIST_ACTIVITY_TYPES = "list the activity types"
    GET_ACTIVITY_TYPE = "describe an activity type"

    @property
    def creates_a_job(self) -> bool:
        """Whether a repetition could leave a second job behind."""
        return self in {ApiOperation.CREATE_EXPORT, ApiOperation.CREATE_IMPORT}

    @property
    def carries_record_values(self) -> bool:
        """Whether the server's answer to it may quote a tenant's data."""
        return self in {
            ApiOperation.UPLOAD_FILE,
            ApiOperation.GET_IMPORT,
            ApiOperation.LIST_ROW_ERRORS,
            ApiOperation.FETCH_LINK,
        }
