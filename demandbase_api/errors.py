"""Errors of the APIs and their jobs.

Every ``str()`` is a sentence that says what happened and what to do. None contains a token, a
header, a signed link or a record value.

* DemandbaseError
  * ConfigurationError
  * ApiError
    * AuthenticationError
    * PermissionDeniedError
    * InvalidRequestError
    * NotFoundError
    * ConflictError
    * FileTooLargeError
    * QuotaExceededError
      * CallBudgetError
    * BusyError
    * UnexpectedResponseError
    * TransientError
      * NotReadyError
      * RateLimitedError
      * ServerError
      * UnreachableError
      * InterruptedDownloadError
        * ChangedFileError
  * JobError
    * JobFailedError
    * JobCancelledError
    * JobGoneError
      * LinkRejectedError
    * JobTimeoutError
    * DownloadError
  * PossibleDuplicatesError
  * OtherRunError
  * JournalError
  * StoppedError
  * SpoolError
    * StateError
"""

from __future__ import annotations

import errno
import math
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from demandbase_api.redaction import mask_values, redact

if TYPE_CHECKING:
    from demandbase_api.models import JobStatus
    from demandbase_api.ports import Job

EXIT_FAILURE = 1
EXIT_TRY_LATER = 75
"""EX_TEMPFAIL of sysexits.h: the same run may succeed later."""


class ApiOperation(StrEnum):
    """An operation of the APIs; its value completes "Demandbase … when asked to …"."""

    ISSUE_TOKEN = "issue an access token"  # noqa: S105 - no token
    LIST_ENTITIES = "list the exportable entities"
    LIST_FIELDS = "list the fields of an entity"
    CREATE_EXPORT = "create an export job"
    LIST_EXPORTS = "list the export jobs"
    GET_EXPORT = "describe an export job"
    CANCEL_EXPORT = "cancel an export job"
    DOWNLOAD_PART = "provide an exported file"
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
    LIST_SOURCES = "list the sources of imports"
    LIST_CUSTOM_SOURCES = "list the custom sources"
    LIST_SOURCE_FIELDS = "list the field mappings of a source"
    LIST_REFERENCES = "list the reference objects"
    GET_REFERENCE = "list the values of a reference object"

    @property
    def creates_a_job(self) -> bool:
        """Whether a repeated request may create a second job."""
        return self in {ApiOperation.CREATE_EXPORT, ApiOperation.CREATE_IMPORT}

    @property
    def gives_files(self) -> bool:
        """Whether a response is an exported file, or leads to one."""
        return self in {ApiOperation.DOWNLOAD_PART, ApiOperation.FETCH_LINK}

    @property
    def carries_record_values(self) -> bool:
        """Whether an error response may quote record values."""
        return self in {
            ApiOperation.UPLOAD_FILE,
            ApiOperation.GET_IMPORT,
            ApiOperation.LIST_ROW_ERRORS,
            ApiOperation.FETCH_LINK,
        }


E = TypeVar("E", bound="ApiError")


class DemandbaseError(Exception):
    """Base of all errors that a user may see; ``str()`` is the sentence to show."""

    exit_code = EXIT_FAILURE

    @property
    def ends_run(self) -> bool:
        """Whether every other job of the run would fail as well.

        Errors for which the same run may succeed later are of this kind: they are about the quota
        or the calls of the whole tenant.
        """
        return self.exit_code == EXIT_TRY_LATER


class ConfigurationError(DemandbaseError):
    """The settings are invalid or request something impossible."""


class ApiError(DemandbaseError):
    """A call to an API failed.

    Args:
        operation: The operation that was called.
        problem: What happened, as a clause that follows "Demandbase".
        advice: What the user should do, as a sentence; may be empty.
        status: HTTP status, if there was a response.
        server_message: The server's message, redacted.
        retry_after: Seconds that the server asked to wait.
        code: Error code of the API.
        diagnostic: Code by which Demandbase's support finds the call.
    """

    may_pass = False
    """Whether the same call may succeed a little later."""

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

    def as_a(self, kind: type[E], **changes: Any) -> E:  # noqa: ANN401
        """Return the same failure as an error of another type.

        Args:
            kind: The type.
            changes: Arguments that differ.
        """
        arguments = {
            "operation": self.operation,
            "problem": self.problem,
            "advice": self.advice,
            "status": self.status,
            "server_message": self.server_message,
            "retry_after": self.retry_after,
            "code": self.code,
            "diagnostic": self.diagnostic,
        }
        return kind(**{**arguments, **changes})

    @property
    @override
    def ends_run(self) -> bool:
        return super().ends_run or self.operation is ApiOperation.ISSUE_TOKEN

    @property
    def codes(self) -> str:
        """Status, error code and diagnostic code in parentheses after a space; or nothing."""
        codes = [
            f"HTTP {self.status}" if self.status is not None else "",
            f"code {self.code}" if self.code else "",
            f"diagnostic code {self.diagnostic}" if self.diagnostic else "",
        ]
        return f" ({', '.join(filter(None, codes))})" if any(codes) else ""

    def __str__(self) -> str:
        """Return what happened, what the server said, and the advice."""
        message = f": {self.server_message}" if self.server_message else ""
        advice = f" {self.advice}" if self.advice else ""
        # Without a response the pause is the client's own.
        if self.retry_after and self.status is not None:
            advice = f" It asks to try again in {math.ceil(self.retry_after)} seconds.{advice}"
        details = f"{self.codes}{message}"
        sentence = f"Demandbase {self.problem} when asked to {self.operation.value}{details}"
        return sentence.rstrip(".") + "." + advice


class AuthenticationError(ApiError):
    """401: the credentials are missing, wrong or expired."""

    ends_run = True


class PermissionDeniedError(ApiError):
    """403: the credentials are valid, but do not permit the operation."""


class InvalidRequestError(ApiError):
    """400: the server rejected the request."""


class NotFoundError(ApiError):
    """404 or 410: the job, the file or the API does not exist."""


class ConflictError(ApiError):
    """409: the state of the job does not allow the operation."""


class FileTooLargeError(ApiError):
    """413: the file to upload exceeds the server's limit."""


class QuotaExceededError(ApiError):
    """429 on the creation of a job: the quota is used up."""

    exit_code = EXIT_TRY_LATER


class CallBudgetError(QuotaExceededError):
    """Too few of the day's calls of one kind are left."""


class BusyError(ApiError):
    """429 on the creation of a job: the maximum number of concurrent jobs is reached."""

    exit_code = EXIT_TRY_LATER


class UnexpectedResponseError(ApiError):
    """The status or the body of a response does not conform to the API's contract."""


class TransientError(ApiError):
    """A failure that a retry may overcome."""

    may_pass = True


class NotReadyError(TransientError):
    """What was requested is not there yet: a file, or the link to it."""


class RateLimitedError(TransientError):
    """429: too many calls in a short time. The operation had no effect."""

    exit_code = EXIT_TRY_LATER


class ServerError(TransientError):
    """5xx, 408 or 425: the server did not complete the request."""


class UnreachableError(TransientError):
    """No response: the connection failed, broke or timed out.

    Args:
        operation: The operation that was called.
        problem: What happened, as a clause that follows "Demandbase".
        nothing_sent: Whether the request surely did not reach the server.
        advice: What the user should do, as a sentence; may be empty.
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

    @property
    @override
    def ends_run(self) -> bool:
        # The host of the API cannot be reached. Links may lead to other hosts.
        is_link = self.operation is ApiOperation.FETCH_LINK
        return super().ends_run or (self.nothing_sent and not is_link)


class InterruptedDownloadError(TransientError):
    """The body of a file ended early."""


class ChangedFileError(InterruptedDownloadError):
    """The file has changed since its first bytes were downloaded."""


class JobError(DemandbaseError):
    """A job did not succeed.

    Args:
        sentence: What happened and what to do.
        kind: "export" or "import".
        job_id: The job.
        entity: Entity of the job.
        status: Last known status of the job.
        part: Part of the job's file, counted from 1, if the error is about one.
        exit_code: Exit code of the run that it ends.
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
        exit_code: int = EXIT_FAILURE,
    ) -> None:
        self.exit_code = exit_code
        self.kind = kind
        self.job_id = job_id
        self.entity = entity
        self.status = status
        self.part = part
        super().__init__(sentence)


class JobFailedError(JobError):
    """The job ended as failed."""


class JobCancelledError(JobError):
    """The job was cancelled by another client or in Demandbase."""


class JobGoneError(JobError):
    """The job or its file no longer exists: unknown to the server, or expired."""


class LinkRejectedError(JobGoneError):
    """Each new link to the job's file was rejected. The file has expired, or comes later."""


class JobTimeoutError(JobError):
    """The job did not end within its time-out."""


class DownloadError(JobError):
    """A part of an export could not be downloaded."""


class PossibleDuplicatesError(DemandbaseError):
    """An earlier run may have inserted rows that would be duplicated by another insert."""


class OtherRunError(DemandbaseError):
    """Another run, whose rows come first, did not end in time."""

    exit_code = EXIT_TRY_LATER


class JournalError(DemandbaseError):
    """An entry of a journal cannot be read, so it is unknown what an earlier run did."""

    ends_run = True


class StoppedError(DemandbaseError):
    """The run is ending; nothing more is sent."""

    ends_run = True


class SpoolError(DemandbaseError):
    """The folder for intermediate files, or the one for what outlives the run, is unusable."""

    ends_run = True


class StateError(SpoolError):
    """The folder or bucket of what outlives the run is unusable.

    Args:
        message: What happened, and what to do.
        reason: What happened, in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        self.reason = reason
        super().__init__(message)


def job_cancelled(kind: str, entity: str, job: Job) -> JobCancelledError:
    """Return the error for a cancelled job."""
    return JobCancelledError(
        f"The {kind} job {job.id} for {entity} was cancelled in Demandbase. "
        "Run again to create a new one.",
        kind=kind,
        job_id=job.id,
        entity=entity,
        status=job.status,
    )


def job_gone(kind: str, entity: str, job_id: str, error: NotFoundError) -> JobGoneError:
    """Return the error for a job that the server no longer knows."""
    return JobGoneError(
        f"Demandbase no longer knows the {kind} job {job_id} for {entity}{error.codes}.",
        kind=kind,
        job_id=job_id,
        entity=entity,
    )


def job_failed(
    kind: str, entity: str, job: Job, *, may_quote_rows: bool, more: str = ""
) -> JobFailedError:
    """Return the error for a failed job, with the server's redacted message.

    Args:
        kind: "export" or "import".
        entity: Entity or stream of the job.
        job: The job.
        may_quote_rows: Whether the message may quote values of records.
        more: What follows the message.
    """
    message = redact(job.error_message or "Demandbase gave no reason")
    if may_quote_rows:
        message = mask_values(message)
    return JobFailedError(
        f"The {kind} job {job.id} for {entity} failed: {message.rstrip('.')}.{more and f' {more}'}",
        kind=kind,
        job_id=job.id,
        entity=entity,
        status=job.status,
    )


def spool_error(error: OSError) -> SpoolError:
    """Return the error for an operation on the spool folder that failed."""
    return SpoolError(
        f"Cannot write to the folder for intermediate files: {_reason(error)}. "
        "Free some space, or set spool_dir to a larger or writable folder."
    )


def state_error(error: OSError) -> StateError:
    """Return the error for an operation on the state folder that failed."""
    reason = _reason(error)
    return StateError(
        f"Cannot use the folder for what outlives a run: {reason}. "
        "Free some space, or set state_dir to a folder that this user can write to.",
        reason,
    )


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "no space is left"
    return error.strerror or "the operation failed"
