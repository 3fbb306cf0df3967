"""The two ports behind which every Demandbase API stands."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as member
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from typing import BinaryIO

    from demandbase_api.models import (
        ActivityType,
        Entity,
        ExportJob,
        ExportRequest,
        FieldMapping,
        ImportJob,
        ImportOperation,
        ImportRequest,
        JobStatus,
        RowError,
    )


class ExportFilter(StrEnum):
    """Filters of export jobs."""

    ACCOUNT_LISTS = "several account lists"
    PERSON_LISTS = "person lists"
    REPORT_TYPE = "an advertising report type"
    SOURCES = "advertising sources"


@dataclass(frozen=True, slots=True)
class DiscoveryScope:
    """The part of a tenant to discover.

    Args:
        entities: Only these entities. Default: all.
        report_types: Advertising report type by entity, if the fields depend on it.
        columns: Columns by entity, for entities whose fields the API does not list.
    """

    entities: frozenset[str] | None = None
    report_types: Mapping[str, str] = member(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = member(default_factory=dict)


EVERYTHING = DiscoveryScope()


@dataclass(frozen=True, slots=True)
class ExportCapabilities:
    """Features of an export API. To use another one is a configuration error.

    Args:
        concurrent_jobs: Default of the number of jobs that run at a time.
        daily_calls: Whether the number of calls a day is limited, so that they are budgeted.
        filters: Filters of a job in addition to its fields and dates.
    """

    concurrent_jobs: int
    daily_calls: bool
    filters: frozenset[ExportFilter]


@dataclass(frozen=True, slots=True)
class ImportCapabilities:
    """What an import API can do; asking for more is a configuration error.

    Args:
        entities: Entities that can be imported.
        operations: Operations that can be chosen.
        match_key: The field that rows are matched on can be chosen.
        mappings: The fields that can be imported are listed, and a job says which column fills
            which; without it the headers of its file say so.
        cancel: Jobs can be cancelled.
        named_jobs: A job bears its file's name from its creation on.
        row_errors: Rejected rows are listed; without it row outcomes are unknown.
        activity_types: Imports of activities must name their type.
        list_actions: Imports can change the members of an account list.
        adds_only: Entities whose rows are added whatever is there already.
        identities: By entity, the fields by any of which Demandbase may match rows, where no
            field can be chosen.
        max_file_bytes: The largest file that it takes, where it is known beforehand.
    """

    entities: frozenset[str]
    operations: frozenset[ImportOperation]
    match_key: bool
    mappings: bool
    cancel: bool
    named_jobs: bool
    row_errors: bool
    activity_types: bool = False
    list_actions: bool = False
    adds_only: frozenset[str] = frozenset()
    identities: Mapping[str, tuple[str, ...]] = member(default_factory=dict)
    max_file_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """The position at which an interrupted download resumes.

    Args:
        offset: Number of bytes that have been received.
        validator: ETag or date by which the server recognizes the unchanged file.
    """

    offset: int
    validator: str


class PartBody(Protocol):
    """The body of a response with a part of an export."""

    @property
    def start(self) -> int:
        """Offset of the body in the part: 0, or the offset at which the download resumes."""

    @property
    def size(self) -> int | None:
        """Size of the whole part in bytes, if known."""

    @property
    def is_framed(self) -> bool:
        """Whether a truncated body can be recognized as such."""

    @property
    def validator(self) -> str | None:
        """ETag or date of the file, if known."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            InterruptedDownloadError: The body is truncated.
        """


class ExportApi(Protocol):
    """Bulk export: entities, and jobs that write files."""

    @property
    def capabilities(self) -> ExportCapabilities:
        """Features of this API."""

    def entities(self, scope: DiscoveryScope = EVERYTHING) -> tuple[Entity, ...]:
        """Return the entities that can be exported, at least those of the scope."""

    def submit(self, request: ExportRequest) -> ExportJob:
        """Create a job. The request is not retried once it may have been received.

        Raises:
            BusyError: The maximum number of jobs runs already; none was created.
        """

    def get(self, job_id: str) -> ExportJob:
        """Return the current state of a job."""

    def with_details(self, job: ExportJob) -> ExportJob:
        """Return an ended job of the list with the members that the list does not have."""

    def jobs(self) -> Iterator[ExportJob]:
        """Yield the jobs, newest first, each once even if jobs are created meanwhile."""

    def poll_pause(self) -> float:
        """Return the minimum number of seconds until the list of jobs may be read again."""

    def check_budget(self, jobs: int) -> None:
        """Check that the daily calls are enough for some jobs, from creation to download.

        Args:
            jobs: Number of jobs to create.

        Raises:
            CallBudgetError: The calls are not enough.
        """

    def cancel(self, job_id: str) -> None:
        """Cancel a job.

        Raises:
            ConflictError: The job has ended.
            ConfigurationError: The API cannot cancel jobs.
        """

    def is_for(self, job: ExportJob, request: ExportRequest) -> bool:
        """Return whether a listed job was created by an equal request."""

    def open_part(
        self, job_id: str, part: int, resume: Resume | None = None
    ) -> AbstractContextManager[PartBody]:
        """Request a new link to a part, counted from 1, and open it.

        Raises:
            ChangedFileError: The file has changed, so the download cannot resume.
        """


class ImportApi(Protocol):
    """Bulk import: mappings, and jobs that take a file."""

    @property
    def capabilities(self) -> ImportCapabilities:
        """What this API can do."""

    def mappings(self, entity: str | None = None) -> tuple[FieldMapping, ...]:
        """Return the fields that can be imported, of one entity or of all.

        Those that are documented, where the API does not list the tenant's own.
        """

    def activity_types(self) -> tuple[ActivityType, ...]:
        """Return the kinds of activity that imports can name; none where they name none."""

    def activity_fields(self, activity_type: int) -> tuple[FieldMapping, ...]:
        """Return the fields that imports of one kind of activity can fill.

        Raises:
            NotFoundError: There is no such kind.
        """

    def submit(self, request: ImportRequest, file_name: str) -> ImportJob:
        """Create a job; never repeated by itself once the request may have arrived.

        Args:
            request: What to do with the file.
            file_name: Name of the file that will follow; a job bears it from now on where the
                capabilities say so, else once it has the file.
        """

    def waits_for_file(self, job: ImportJob) -> bool:
        """Return whether a job has been given no file yet."""

    def upload(self, job_id: str, file: BinaryIO, file_name: str) -> ImportJob:
        """Send the job its file, streamed from where ``file`` stands."""

    def get(self, job_id: str) -> ImportJob:
        """Return the job as it is now."""

    def jobs(self, status: JobStatus | None = None) -> Iterator[ImportJob]:
        """Yield the jobs, newest first, each once, whatever is created meanwhile."""

    def poll_pause(self) -> float:
        """Return the seconds that must pass before the job list is read again, at least."""

    def cancel(self, job_id: str) -> None:
        """Cancel the job.

        Raises:
            ConflictError: It is past the point where it can be cancelled.
        """

    def row_errors(self, job_id: str) -> Iterator[RowError]:
        """Yield the rows that were not taken, all pages."""


class Apis(NamedTuple):
    """The two ports of one API."""

    exports: ExportApi
    imports: ImportApi


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
