"""The ports: interfaces that the adapters of each Demandbase API implement."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as member
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.models import ListAction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from typing import Any, BinaryIO

    from demandbase_api.deadline import Deadline
    from demandbase_api.errors import ApiOperation, DemandbaseError
    from demandbase_api.models import (
        ActivityType,
        Entity,
        EntityField,
        ExportJob,
        ExportRequest,
        FieldMapping,
        ImportEntity,
        ImportJob,
        ImportOperation,
        ImportRequest,
        JobStatus,
        ReferenceObject,
        RowError,
        SourceField,
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
        known: Fields by entity that are known already. An API whose calls are few does not list
            them again, unless they lack a field that the entity needs.
    """

    entities: frozenset[str] | None = None
    report_types: Mapping[str, str] = member(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = member(default_factory=dict)
    known: Mapping[str, tuple[EntityField, ...]] = member(default_factory=dict)

    def report_type(self, entity: str) -> str | None:
        """Return the advertising report type of an entity."""
        return self.report_types.get(entity)


EVERYTHING = DiscoveryScope()

OnEntityError: TypeAlias = "Callable[[str, DemandbaseError], None]"
"""Called with the name of an entity and the error."""


def raise_error(_entity: str, error: DemandbaseError) -> None:
    """Raise the error of an entity.

    Raises:
        DemandbaseError: The given error.
    """
    raise error


@dataclass(frozen=True, slots=True)
class ExportCapabilities:
    """Features of an export API. Using an unsupported feature is a configuration error.

    Args:
        concurrent_jobs: Default of the number of jobs that run at a time.
        daily_calls: Whether the number of calls a day is limited, so that they are budgeted.
        filters: Filters of a job in addition to its fields and dates.
        needs: The option of a stream without which an entity is not exported, by entity.
        references: Whether the API lists reference objects.
    """

    concurrent_jobs: int
    daily_calls: bool
    filters: frozenset[ExportFilter]
    needs: Mapping[str, str] = member(default_factory=dict)
    references: bool = False


@dataclass(frozen=True, slots=True)
class ImportCapabilities:
    """What an import API can do. Settings that ask for more are a configuration error.

    Args:
        entities: Entities that can be imported.
        operations: Operations that can be chosen.
        match_key: Whether the field that rows are matched on can be chosen.
        mappings: Whether the API lists the tenant's fields, and jobs name the field of each column.
        row_errors: Whether the API lists rejected rows. If not, row outcomes are unknown.
        activity_types: Whether imports of activities must name their type.
        list_actions: Whether imports can change the members of an account list.
        sources: Whether imports name the source of their rows.
        max_file_bytes: Maximum size of a file, if it is known.
        find_created: Whether a job can be found by its file name before it has its file.
    """

    entities: frozenset[str]
    operations: frozenset[ImportOperation]
    match_key: bool
    mappings: bool
    row_errors: bool
    activity_types: bool = False
    list_actions: bool = False
    sources: bool = False
    max_file_bytes: int | None = None
    find_created: bool = False


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

    def entities(
        self, scope: DiscoveryScope = EVERYTHING, on_error: OnEntityError = raise_error
    ) -> tuple[Entity, ...]:
        """Return the entities that can be exported, at least those of the scope.

        Args:
            scope: The part of the tenant to discover.
            on_error: Called with each entity that cannot be read, which is left out.

        Raises:
            ApiError: No entity can be read.
        """

    def references(self, deadline: Deadline = NO_DEADLINE) -> tuple[ReferenceObject, ...]:
        """Return the reference objects, whose values need no job; none if the API has none."""

    def reference_values(self, name: str) -> tuple[dict[str, Any], ...]:
        """Return the values of a reference object. Their members depend on the object.

        Raises:
            InvalidRequestError: The tenant does not have the object.
        """

    def submit(self, request: ExportRequest, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        """Create a job. The request is not retried once it may have been received.

        Raises:
            BusyError: The maximum number of jobs runs already; none was created.
        """

    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        """Return the current state of a job."""

    def with_details(self, job: ExportJob, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        """Return an ended job of the list with the members that the list does not have."""

    def jobs(
        self, deadline: Deadline = NO_DEADLINE, *, complete: bool = False
    ) -> Iterator[ExportJob]:
        """Yield the jobs in the order of the API, each once even if jobs are created meanwhile.

        Jobs that cannot be read are left out with a warning.

        Args:
            deadline: Moment until which the jobs must be there.
            complete: Whether to raise if the API does not give all pages, in place of a warning.
        """

    def server_time(self) -> datetime | None:
        """Return the server's time as of now; ``None`` if its responses do not say."""

    def poll_pause(self) -> float:
        """Return the minimum number of seconds until the list of jobs may be read again."""

    def check_budget(self, jobs: int) -> None:
        """Check that the daily calls are enough for some jobs, from creation to download.

        Args:
            jobs: Number of jobs to create.

        Raises:
            CallBudgetError: The calls are not enough.
        """

    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        """Cancel a job; return ``False`` if the API cannot cancel jobs.

        Raises:
            ConflictError: The job has ended.
        """

    def is_for(self, job: ExportJob, request: ExportRequest) -> bool:
        """Return whether a listed job was created by an equal request."""

    def is_own(self, job: ExportJob) -> bool | None:
        """Return whether a listed job was created by this client; ``None`` if jobs do not say."""

    def open_part(
        self, job_id: str, part: int, resume: Resume | None = None
    ) -> AbstractContextManager[PartBody]:
        """Request a new link to a part, counted from 1, and open it.

        Raises:
            ChangedFileError: The file has changed, so the download cannot resume.
        """


class ImportApi(Protocol):
    """Bulk import: entities, and jobs that take a file."""

    @property
    def capabilities(self) -> ImportCapabilities:
        """What this API can do."""

    def entity(self, name: str, activity_type: int | None = None) -> ImportEntity:
        """Return what can be imported into an entity.

        Args:
            name: One of the entities that the capabilities name.
            activity_type: Id of the type, for activities of an API that asks for it.

        Raises:
            NotFoundError: The activity type does not exist.
        """

    def mappings(self, entity: str | None = None) -> tuple[FieldMapping, ...]:
        """Return the fields that can be imported, of one entity or of all.

        If the API does not list the tenant's own, these are the documented ones.
        """

    def tenant_fields(self, entity: str) -> tuple[EntityField, ...]:
        """Return an entity's own fields that the tenant exports; none if ``mappings`` has all.

        The result is that of discovery: one call a day for all plugins, and only fields of the
        tenant's Export Collection. That a field is exported does not say that it can be imported.

        Raises:
            ApiError: The tenant may not export the entity, or the call failed.
        """

    def activity_types(self) -> tuple[ActivityType, ...]:
        """Return the activity types that imports can name; none if they name none."""

    def sources(self, entity: str) -> tuple[str, ...]:
        """Return the sources that imports into an entity can name; none if they name none."""

    def source_fields(self, entity: str, source: str) -> tuple[SourceField, ...]:
        """Return the field mappings of a custom source; none if it has none for the entity.

        An administrator makes them in Demandbase. They are read, and never changed.

        Raises:
            ApiError: The credentials do not permit it, or the call failed.
        """

    def submit(self, request: ImportRequest, file_name: str) -> ImportJob:
        """Create a job; never repeated once the request may have arrived.

        Args:
            request: What the job does with its file.
            file_name: Name of the file that will follow.
        """

    def find_created(self, file_name: str, since: datetime) -> ImportJob | None:
        """Return the newest job that was created for a file, by the name of the file.

        Always ``None`` if the API does not name jobs before they have their file; see
        ``possibly_created``.
        """

    def possibly_created(self, request: ImportRequest, since: datetime) -> Iterator[ImportJob]:
        """Yield jobs without a file, one of which may have been created for a request.

        None if ``find_created`` tells the job from others.
        """

    def waits_for_file(self, job: ImportJob) -> bool:
        """Return whether a job does not have its file yet."""

    def upload(
        self,
        job_id: str,
        file: BinaryIO,
        file_name: str,
        list_action: ListAction = ListAction.NOOP,
    ) -> ImportJob:
        """Send a job its file, streamed from the current position of ``file``."""

    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        """Return the current state of a job."""

    def with_details(self, job: ImportJob, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        """Return an ended job of the list with the members that the list may lack."""

    def jobs(
        self, deadline: Deadline = NO_DEADLINE, *, complete: bool = False
    ) -> Iterator[ImportJob]:
        """Yield the jobs in the order of the API, each once even if jobs are created meanwhile.

        Jobs that cannot be read are left out with a warning.

        Args:
            deadline: Moment until which the jobs must be there.
            complete: Whether to raise if the API does not give all pages, in place of a warning.
        """

    def server_time(self) -> datetime | None:
        """Return the server's time as of now; ``None`` if its responses do not say."""

    def poll_pause(self) -> float:
        """Return the minimum number of seconds until the job list is read again."""

    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        """Cancel the job; return ``False`` if this API cannot cancel.

        Raises:
            ConflictError: The job is past the point where it can be cancelled.
        """

    def row_errors(self, job_id: str, *, complete: bool = False) -> Iterator[RowError]:
        """Yield the rejected rows of a job, from all pages.

        Args:
            job_id: The job.
            complete: Whether to raise if the API does not give all pages, in place of a warning.

        Raises:
            NotFoundError: The job, or a list of its errors, is not there.
        """


class CallsToday(NamedTuple):
    """The calls of an operation on one day, by the count of this machine.

    Args:
        used: Calls that were made.
        limit: Calls that the API allows.
    """

    used: int
    limit: int

    @property
    def left(self) -> int:
        """Calls that are left."""
        return max(0, self.limit - self.used)


class DailyCalls(Protocol):
    """The daily limits of an API's calls."""

    def today(self) -> dict[ApiOperation, CallsToday]:
        """Return the calls of each operation that has a limit."""

    def for_exports(self, jobs: int) -> dict[ApiOperation, int]:
        """Return the calls that a number of export jobs need at least."""


class ResponseObserver(Protocol):
    """Receives what the models leave out of responses."""

    def headers(self, operation: ApiOperation, headers: Mapping[str, str]) -> None:
        """Receive the headers of a response, also of a file's."""

    def document(self, operation: ApiOperation, document: object) -> None:
        """Receive the JSON of a response, as it came."""


class Apis(NamedTuple):
    """The two ports of one API.

    Args:
        exports: Bulk export.
        imports: Bulk import.
        calls: Requests that both have sent, by operation.
        observers: Receive each response; more can be added.
        daily: The daily limits; ``None`` if the API has none.
    """

    exports: ExportApi
    imports: ImportApi
    calls: Mapping[ApiOperation, int]
    observers: list[ResponseObserver]
    daily: DailyCalls | None = None


class Job(Protocol):
    """The members of a job that both directions share."""

    @property
    def id(self) -> str:
        """Id of the job."""

    @property
    def status(self) -> JobStatus:
        """Status of the job."""

    @property
    def status_text(self) -> str:
        """The status for messages and records; if it is unknown, the API's word for it."""

    @property
    def status_word(self) -> str:
        """The status in the API's terms."""

    @property
    def created_at(self) -> datetime | None:
        """Time of its creation."""

    @property
    def error_message(self) -> str | None:
        """Reason of its failure."""


J_co = TypeVar("J_co", bound=Job, covariant=True)


class JobSource(Protocol[J_co]):
    """The operations on jobs that both ports share."""

    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> J_co:
        """Return the current state of a job."""

    def jobs(self, deadline: Deadline = NO_DEADLINE) -> Iterator[J_co]:
        """Yield the jobs in the order of the API."""

    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        """Cancel a job; return ``False`` if the API cannot cancel jobs."""

    def poll_pause(self) -> float:
        """Return the minimum number of seconds until the list of jobs may be read again."""
