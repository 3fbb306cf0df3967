"""The JSON of the v1 API as structs, and the models of what they say.

The members are those of the OpenAPI documents of the Data Export API and the Data Import API,
version 1.0. No member is required there; here those are that nothing can be done without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.http.json_reader import JobId, Text, check_readable, moment, read
from demandbase_api.http.lists import PAGE_SIZE, Page, read_page
from demandbase_api.models import (
    Entity,
    EntityField,
    ExportJob,
    FieldMapping,
    ImportJob,
    JobStatus,
    RowError,
)

if TYPE_CHECKING:
    from demandbase_api.deadline import Deadline
    from demandbase_api.errors import ApiOperation
    from demandbase_api.http.client import HttpClient
    from demandbase_api.http.lists import FetchPage


JOB_ID = "id"

_WORDS = {status.value: status for status in JobStatus if status is not JobStatus.UNKNOWN}


class EntityList(msgspec.Struct):
    """The response to ``listExportableEntities``."""

    entities: list[Any]


class _Entity(msgspec.Struct):
    name: Text
    description: str | None = None
    fields: list[Any] = []


class _Field(msgspec.Struct):
    name: Text
    type: str | None = None
    description: str | None = None


class _ExportJob(msgspec.Struct):
    id: JobId
    status: str
    entity_type: str | None = None
    fields: tuple[str, ...] | None = None
    filters: Any = None
    record_count: int | None = None
    file_size_bytes: int | None = None
    file_parts: int | None = None
    download_url: str | None = None
    created_at: str | None = None
    completed_at: str | None = None
    expires_at: str | None = None
    error_message: str | None = None


class _ImportJob(msgspec.Struct):
    id: JobId
    status: str
    entity_type: str | None = None
    operation: str | None = None
    total_rows: int | None = None
    processed_rows: int | None = None
    success_count: int | None = None
    error_count: int | None = None
    file_name: str | None = None
    file_size_bytes: int | None = None
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    error_message: str | None = None


_COUNTS = ("total_rows", "processed_rows", "success_count", "error_count")


class _RowError(msgspec.Struct):
    row_number: int | None = None
    field: str | None = None
    error_type: str | None = None
    value: str | None = None
    message: str | None = None


class MappingList(msgspec.Struct):
    """The response to ``listFieldMappings``."""

    mappings: list[Any]


class _FieldMapping(msgspec.Struct):
    entity_type: Text
    field_name: Text
    field_type: str | None = None
    required: bool | None = None
    description: str | None = None


def entity(operation: ApiOperation, data: object) -> Entity:
    """Read an ``ExportableEntity``."""
    found = read(operation, data, _Entity)
    fields = [read(operation, item, _Field) for item in found.fields]
    return Entity(
        name=found.name,
        description=found.description or "",
        fields=tuple(
            EntityField(field.name, field.type or "", field.description or "") for field in fields
        ),
    )


def export_job(operation: ApiOperation, data: object) -> ExportJob:
    """Read an ``ExportJob``."""
    job = read(operation, data, _ExportJob)
    status = _status(job.status)
    if status is JobStatus.COMPLETED:
        check_readable(operation, data, job, "file_parts")
    return ExportJob(
        id=str(job.id),
        status=status,
        status_word=job.status,
        entity=job.entity_type,
        fields=job.fields,
        filters=job.filters,
        record_count=job.record_count,
        file_size_bytes=job.file_size_bytes,
        file_parts=job.file_parts,
        download_url=job.download_url,
        created_at=moment(job.created_at),
        completed_at=moment(job.completed_at),
        expires_at=moment(job.expires_at),
        error_message=job.error_message,
    )


def import_job(operation: ApiOperation, data: object) -> ImportJob:
    """Read an ``ImportJob``."""
    job = read(operation, data, _ImportJob)
    status = _status(job.status)
    if status.is_terminal:
        check_readable(operation, data, job, *_COUNTS)
    return ImportJob(
        id=str(job.id),
        status=status,
        status_word=job.status,
        entity=job.entity_type,
        operation=job.operation,
        total_rows=job.total_rows,
        processed_rows=job.processed_rows,
        success_count=job.success_count,
        error_count=job.error_count,
        file_name=job.file_name,
        file_size_bytes=job.file_size_bytes,
        created_at=moment(job.created_at),
        started_at=moment(job.started_at),
        completed_at=moment(job.completed_at),
        error_message=job.error_message,
    )


def row_error(operation: ApiOperation, data: object) -> RowError:
    """Read an ``ImportError``."""
    error = read(operation, data, _RowError)
    check_readable(operation, data, error, "row_number")
    return RowError(*msgspec.structs.astuple(error))


def field_mapping(operation: ApiOperation, data: object) -> FieldMapping:
    """Read a ``FieldMapping``."""
    mapping = read(operation, data, _FieldMapping)
    check_readable(operation, data, mapping, "required")
    return FieldMapping(
        entity=mapping.entity_type,
        name=mapping.field_name,
        type=mapping.field_type or "string",
        required=bool(mapping.required),
        description=mapping.description or "",
    )


def pages(
    http: HttpClient,
    operation: ApiOperation,
    path: str,
    member: str,
    deadline: Deadline = NO_DEADLINE,
) -> FetchPage:
    """Return what requests a page of a list.

    Each starts after the items received, so that none is skipped if the server caps ``limit``.
    """

    def fetch(_number: int, received: int) -> Page:
        query = {"limit": PAGE_SIZE, "offset": received}
        return read_page(operation, http.read(operation, path, query, deadline), member, "total")

    return fetch


def _status(word: str) -> JobStatus:
    return _WORDS.get(word.lower(), JobStatus.UNKNOWN)
