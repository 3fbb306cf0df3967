"""Models of the APIs: entities, jobs, mappings and row errors.

Members that can hold a tenant's data or a signed link are not in ``repr``, so that models can be
logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as member
from datetime import timedelta, timezone
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

if TYPE_CHECKING:
    from datetime import date, datetime


NO_ZONE = timezone(timedelta(0), "unknown zone")
"""Zone of a time that the server gave without one. It is read as UTC, and may be a local time:
it can be compared with other such times of the server, but not with a clock."""


CREATION_MARGIN = timedelta(minutes=1)
"""How much earlier than its request a job may seem to be created."""


def has_expired(job: ExportJob, server_time: datetime | None) -> bool:
    """Return whether a job's file has surely expired, by the clock of the server."""
    expires_at = job.expires_at
    if expires_at is None or expires_at.tzinfo is NO_ZONE or server_time is None:
        return False
    return expires_at <= server_time


def was_created_since(job: ExportJob, time: datetime) -> bool | None:
    """Return whether a job was created at a time of the server or later, with a margin.

    Args:
        job: The job.
        time: The server's time.

    Returns:
        ``None`` if the job's creation time is unknown, or has no zone.
    """
    if job.created_at is None or job.created_at.tzinfo is NO_ZONE:
        return None
    return job.created_at >= time - CREATION_MARGIN


@dataclass(frozen=True, slots=True)
class EntityField:
    """A field of an exportable entity.

    Args:
        name: Name of the property: unique within the entity, regardless of case.
        type: Type in the API's terms.
        description: Description for users.
        api_name: Name in jobs, if it differs from ``name``.
        label: Name in Demandbase's user interface; files may have it in their header.
    """

    name: str
    type: str
    description: str = ""
    api_name: str | None = None
    label: str | None = None

    @property
    def job_name(self) -> str:
        """Name in jobs."""
        return self.api_name or self.name


@dataclass(frozen=True, slots=True)
class ParentIds:
    """The ids of a parent entity, which the jobs of another entity must name.

    Args:
        entity: The parent entity.
        field: Name of its id field in jobs.
        size: Maximum number of ids in one job.
        label: Label of the id field, if known.
    """

    entity: str
    field: str
    size: int
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity that can be exported.

    Args:
        name: Name in the API.
        description: Description for users.
        fields: Its fields.
        max_days: Maximum number of days from the first to the last day of a job; ``None`` for no
            limit.
        date_field: The field that bounds its jobs, if there is only one.
        parent_ids: Ids of another entity that its jobs must name.
        key: Fields that identify a record; an empty tuple if none do, ``None`` if the API does not
            say.
        takes_account_lists: Whether its jobs can be filtered by account lists.
        is_list: Whether its records are the members of the lists that a job names.
    """

    name: str
    description: str
    fields: tuple[EntityField, ...]
    max_days: int | None = None
    date_field: str | None = None
    parent_ids: ParentIds | None = None
    key: tuple[str, ...] | None = None
    takes_account_lists: bool = True
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class DateRange:
    """A range of days of a date field; without a lower bound if ``start`` is ``None``."""

    field: str
    start: date | None
    end: date

    @property
    def days(self) -> int | None:
        """Number of days. ``None`` if there is no lower bound."""
        return None if self.start is None else (self.end - self.start).days + 1


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The request that creates an export job.

    Args:
        entity: Name of the entity.
        fields: Names of fields in jobs; all fields if empty.
        date_range: Only records of these days.
        account_lists: Only records of these account lists, by id.
        person_lists: Only people of these lists, by id.
        ids: Only records that belong to these ids of :class:`ParentIds`.
        report_type: Type of the advertising report.
        sources: Advertising sources.
    """

    entity: str
    fields: tuple[str, ...] = ()
    date_range: DateRange | None = None
    account_lists: tuple[str, ...] = ()
    person_lists: tuple[str, ...] = ()
    ids: tuple[str, ...] = member(default=(), repr=False)
    report_type: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportJob:
    """An export job in the API's response; missing members are ``None``.

    Args:
        id: Id of the job.
        status: Its status.
        filters: Filters as the API gave them, of any type.
        status_word: The status in the API's terms.
    """

    id: str
    status: JobStatus
    name: str | None = None
    entity: str | None = None
    fields: tuple[str, ...] | None = None
    filters: Any = None
    record_count: int | None = None
    file_size_bytes: int | None = None
    file_parts: int | None = None
    download_url: str | None = member(default=None, repr=False)
    created_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    error_message: str | None = member(default=None, repr=False)
    status_word: str = ""

    @property
    def status_text(self) -> str:
        """The status for messages and records; if it is unknown, the API's word for it."""
        return _status_text(self.status, self.status_word)


class ImportOperation(StrEnum):
    """What an import does with its rows."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"


ACTIVITIES = "activities"


def adds_rows(entity: str, operation: str) -> bool:
    """Return whether an import always adds its rows, so that they must not be sent twice.

    Activities have no key that the documents promise to match, whatever the operation.
    """
    return operation == ImportOperation.INSERT.value or entity == ACTIVITIES


class ListAction(StrEnum):
    """What an import does to the members of its job's account list."""

    NOOP = "noop"
    INSERT = "insert"
    REPLACE = "replace"
    DELETE = "delete"


DEFAULT_SOURCE = "CSV"
"""Source of an import that names none."""


@dataclass(frozen=True, slots=True)
class SourceField:
    """A field mapping of a custom source.

    Args:
        label: Label of the source, as in the header of a file.
        field: Name of Demandbase's field, without its entity.
    """

    label: str
    field: str


@dataclass(frozen=True, slots=True)
class ReferenceObject:
    """An object whose values other data name, such as the personas of a tenant."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class ActivityType:
    """A type of activity that can be imported."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """A CSV column and the Demandbase field that it fills."""

    column: str
    field: str


@dataclass(frozen=True, slots=True)
class ImportEntity:
    """What can be imported into an entity, and how.

    Args:
        name: Name of the entity.
        fields: The fields that can be filled.
        kind: Name of the activity type that has these fields; empty for other entities.
        is_complete: Whether ``fields`` are all fields of the tenant. If not, settings may name
            others, too.
        account_fields: Fields by any of which a row finds the account that it belongs to.
        fact: What to know before rows are sent, and no setting changes: a sentence.
        others: Fields of the tenant that can be filled only if settings name them, as far as known.
        fixed_operation: The operation of all imports. ``None`` if it can be chosen.
        matched_on: Fields by any of which Demandbase may match rows. ``None`` if a match key must
            be chosen.
        headed_by_label: Whether the header of a file names the fields, in place of the mappings of
            its job.
        must_fill: Whether a row whose required field is empty is lost without an error.
        takes_list_action: Whether imports can change account lists.
    """

    name: str
    fields: tuple[FieldMapping, ...]
    is_complete: bool = True
    fixed_operation: ImportOperation | None = None
    matched_on: tuple[str, ...] | None = None
    headed_by_label: bool = False
    must_fill: bool = False
    takes_list_action: bool = False
    kind: str = ""
    account_fields: tuple[str, ...] = ()
    fact: str = ""
    others: tuple[str, ...] = ()

    @property
    def field_names(self) -> list[str]:
        """The fields' names, in their order."""
        return [field.name for field in self.fields]

    @property
    def required(self) -> list[str]:
        """Names of the fields that a new record must have."""
        return [field.name for field in self.fields if field.required]


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What an import job does with its file.

    Args:
        entity: Entity that the rows are imported into.
        operation: What is done with them.
        match_key: The field that they are matched on. ``None`` if the API has its own rules.
        mappings: Which column fills which field.
        activity_type: Id of the activities' type.
        list_action: What is done to the members of the job's account list.
        source: Name of the source that the rows come from.
    """

    entity: str
    operation: ImportOperation
    match_key: str | None
    mappings: tuple[ColumnMapping, ...]
    activity_type: int | None = None
    list_action: ListAction = ListAction.NOOP
    source: str = DEFAULT_SOURCE

    @property
    def adds(self) -> bool:
        """Whether its rows must not be sent twice."""
        return adds_rows(self.entity, self.operation)


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import job in the API's response; missing members are ``None``.

    Args:
        id: Id of the job.
        status: Its status.
        status_word: The status in the API's terms.
    """

    id: str
    status: JobStatus
    entity: str | None = None
    operation: str | None = None
    total_rows: int | None = None
    processed_rows: int | None = None
    success_count: int | None = None
    error_count: int | None = None
    file_name: str | None = None
    file_size_bytes: int | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = member(default=None, repr=False)
    status_word: str = ""

    @property
    def status_text(self) -> str:
        """The status for messages and records; if it is unknown, the API's word for it."""
        return _status_text(self.status, self.status_word)


@dataclass(frozen=True, slots=True)
class RowError:
    """An error of a rejected row."""

    row_number: int | None = None
    field: str | None = None
    error_type: str | None = None
    value: str | None = member(default=None, repr=False)
    message: str | None = member(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A field that can be imported.

    Args:
        type: Type in the API's terms; empty if it is unknown.
        is_custom: Whether only the settings name it: Demandbase neither documents nor lists it.
    """

    entity: str
    name: str
    type: str = "string"
    required: bool = False
    description: str = ""
    is_custom: bool = False


class JobStatus(StrEnum):
    """Status of a job; adapters translate the terms of their API."""

    PENDING = "pending"
    VALIDATING = "validating"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """A status that the API does not document: the job is waited for as if it had not ended."""

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended and its status is final."""
        match self:
            case JobStatus.PENDING | JobStatus.VALIDATING | JobStatus.PROCESSING:
                return False
            case JobStatus.COMPLETED | JobStatus.FAILED | JobStatus.CANCELLED:
                return True
            case JobStatus.UNKNOWN:
                return False
            case _:
                assert_never(self)

    @property
    def is_running(self) -> bool:
        """Whether it is certain that the job has not ended."""
        return not self.is_terminal and self is not JobStatus.UNKNOWN


def _status_text(status: JobStatus, word: str) -> str:
    return word if status is JobStatus.UNKNOWN and word else status.value
