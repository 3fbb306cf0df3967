"""What the APIs deal in: entities, jobs, mappings and row errors.

Members that can hold a tenant's data or a signed link stay out of ``repr``, so that a
model may stand in any log or message.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as member
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime


def has_expired(job: ExportJob, now: datetime) -> bool:
    """Return whether a job's file can no longer be downloaded."""
    return job.expires_at is not None and job.expires_at <= now


@dataclass(frozen=True, slots=True)
class EntityField:
    """A field of an exportable entity.

    Args:
        name: What it is called as a property: unique within the entity, whatever the case.
        type: The API's own word.
        description: What it means.
        api_name: What jobs call it, where that differs from ``name``.
        label: What people call it; files may have it in their headers.
    """

    name: str
    type: str
    description: str = ""
    api_name: str | None = None
    label: str | None = None

    @property
    def job_name(self) -> str:
        """What jobs call it."""
        return self.api_name or self.name


@dataclass(frozen=True, slots=True)
class ParentIds:
    """An entity whose jobs must name ids of another one.

    Args:
        entity: The other entity.
        field: The field that holds its id, as jobs call it.
        size: How many ids one job takes.
        label: What people call the field, where it is known.
    """

    entity: str
    field: str
    size: int
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity that can be exported.

    Args:
        name: What it is called.
        description: What it means.
        fields: What it has.
        max_days: How many days from the first to the last one job takes; ``None`` for any.
        date_field: The field by which its jobs are scoped, where there is but one.
        id_pages: Whose ids its jobs must name.
        key: The fields that identify a record, where the API leaves no doubt; an empty tuple
            where it is known that none do, ``None`` where it says nothing.
        takes_account_lists: Whether its jobs can be narrowed by account lists.
        is_list: Whether its records are the members of lists that a job names.
    """

    name: str
    description: str
    fields: tuple[EntityField, ...]
    max_days: int | None = None
    date_field: str | None = None
    id_pages: ParentIds | None = None
    key: tuple[str, ...] | None = None
    takes_account_lists: bool = True
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class DateRange:
    """A window of days on a date field, from the very first where ``start`` is ``None``."""

    field: str
    start: date | None
    end: date


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What an export job is asked for.

    Args:
        entity: What to export.
        fields: Which fields, as jobs call them; all where there are none.
        date_range: Only records of these days.
        account_lists: Only accounts of these lists, by their ids.
        person_lists: Only people of these lists, by their ids.
        ids: Only what belongs to these ids, as :class:`ParentIds` has it.
        report_type: Which report of advertising.
        sources: Where the advertising ran.
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
    """An export job as the server describes it; what it left out is ``None``."""

    id: str
    status: JobStatus
    name: str | None = None
    entity: str | None = None
    fields: tuple[str, ...] | None = None
    filters: Mapping[str, Any] | None = None
    record_count: int | None = None
    file_size_bytes: int | None = None
    file_parts: int | None = None
    download_url: str | None = member(default=None, repr=False)
    created_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    error_message: str | None = member(default=None, repr=False)


class ImportOperation(StrEnum):
    """What an import does with its rows."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"


class ListAction(StrEnum):
    """What an import does to the members of its job's account list."""

    NOOP = "noop"
    INSERT = "insert"
    REPLACE = "replace"
    DELETE = "delete"


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
        is_complete: Whether ``fields`` are all fields of the tenant. If not, imports may fill
            others, too.
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
    """

    entity: str
    operation: ImportOperation
    match_key: str | None
    mappings: tuple[ColumnMapping, ...]
    activity_type: int | None = None
    list_action: ListAction = ListAction.NOOP


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import job as the server describes it; missing members are ``None``."""

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
    """A field that can be imported; ``type`` is the API's own name."""

    entity: str
    name: str
    type: str = "string"
    required: bool = False
    description: str = ""


class JobStatus(StrEnum):
    """A job's state; adapters translate their API's own words into these."""

    PENDING = "pending"
    VALIDATING = "validating"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended and will not change any more."""
        match self:
            case JobStatus.PENDING | JobStatus.VALIDATING | JobStatus.PROCESSING:
                return False
            case JobStatus.COMPLETED | JobStatus.FAILED | JobStatus.CANCELLED:
                return True
            case _:
                assert_never(self)
