"""What the APIs deal in: entities, jobs, mappings and row errors.

Members that can hold a tenant's data or a signed link stay out of ``repr``, so that a
model may stand in any log or message.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as member
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from demandbase_api.status import JobStatus


@dataclass(frozen=True, slots=True)
class EntityField:
    """A field of an exportable entity; ``type`` is the API's own word."""

    name: str
    type: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity that can be exported."""

    name: str
    description: str
    fields: tuple[EntityField, ...]


@dataclass(frozen=True, slots=True)
class DateRange:
    """A window of days on a date field, from the very first where ``start`` is ``None``."""

    field: str
    start: date | None
    end: date


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What an export job is asked for. No ``fields`` means all of them."""

    entity: str
    fields: tuple[str, ...] = ()
    date_range: DateRange | None = None
    account_list_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExportJob:
    """An export job as the server describes it; what it left out is ``None``."""

    id: str
    status: JobStatus
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


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """A CSV column and the Demandbase field that it fills."""

    column: str
    field: str


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What an import job is asked to do with the file that follows."""

    entity: str
    operation: ImportOperation
    match_key: str | None
    mappings: tuple[ColumnMapping, ...]


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import job as the server describes it; what it left out is ``None``."""

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
    """A row that Demandbase did not take."""

    row_number: int | None = None
    field: str | None = None
    error_type: str | None = None
    value: str | None = member(default=None, repr=False)
    message: str | None = member(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A field that can be imported; ``type`` is the API's own word."""

    entity: str
    name: str
    type: str = "string"
    required: bool = False
    description: str = ""
