"""The JSON of the uapi API as structs, and the models of what they say.

The members are those of the published OpenAPI documents; those are required that nothing can be
done without.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import ApiOperation, NotReadyError, UnexpectedResponseError
from demandbase_api.http.json_reader import JobId, Text, check_readable, moment, read
from demandbase_api.http.lists import PAGE_SIZE, Page, read_page
from demandbase_api.models import (
    ActivityType,
    EntityField,
    ExportJob,
    FieldMapping,
    ImportJob,
    JobStatus,
    ReferenceObject,
    SourceField,
)
from demandbase_api.uapi.entities import NAME_BY_TYPE, property_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_api.deadline import Deadline
    from demandbase_api.http.client import HttpClient
    from demandbase_api.http.lists import FetchPage


EXPORT_ID = "jobId"

IMPORT_ID = "id"

EXPORT_WORDS = {
    "accepted": JobStatus.PENDING,
    "processing": JobStatus.PROCESSING,
    "finished": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
}

IMPORT_WORDS = {
    "new": JobStatus.PENDING,
    "processing": JobStatus.PROCESSING,
    "completed": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
}


class Token(msgspec.Struct, rename="camel"):
    """The response to the request of a token."""

    access_token: Text
    expires_in: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None

    def __repr__(self) -> str:
        """Return no token."""
        return "Token(…)"


class Field(msgspec.Struct, rename="camel", omit_defaults=True):
    """A field of an entity."""

    name: Text
    data_type: str | None = None
    label: str | None = None
    description: str | None = None


class _ExportJob(msgspec.Struct, rename="camel"):
    job_id: JobId
    job_status: str
    job_name: str | None = None
    entity_type: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    message: str | None = None


class _ImportJob(msgspec.Struct, rename="camel"):
    id: JobId
    state: str
    entity_type: str | None = None
    data_import_name: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class _ActivityType(msgspec.Struct):
    id: int
    name: Text


class Sources(msgspec.Struct):
    """The response to the request of an entity's sources."""

    data: list[Text]


class CustomSource(msgspec.Struct):
    """A custom source."""

    id: int
    name: Text


class SourceFields(msgspec.Struct, rename="camel"):
    """The response to the request of a source's field mappings."""

    field_mappings: list[Any]


class _SourceField(msgspec.Struct, rename="camel"):
    source_field_label: Text
    demandbase_field_name: Text


class _ActivityTypeName(msgspec.Struct):
    name: Text


class _ActivityTypeFields(msgspec.Struct, rename="camel"):
    activity_type: _ActivityTypeName
    fields: list[Any] | None = None


class _ActivityField(msgspec.Struct, rename="camel"):
    field_name: Text
    field_data_type: str | None = None
    is_required_for_csv_import: bool | None = None


class References(msgspec.Struct, rename="camel"):
    """The response to the request of the reference objects."""

    ref_objects_available: list[Any]


class _ReferenceObject(msgspec.Struct):
    name: Text
    description: str | None = None


class ReferenceData(msgspec.Struct):
    """The response to the request of a reference object's values."""

    data: list[Any]


def fields(described: Sequence[Field], entity_type: str) -> tuple[EntityField, ...]:
    """Return an entity's fields with the names of their properties.

    Args:
        described: The fields as in the response.
        entity_type: Entity type in the API's terms.
    """
    names = property_names((field.name for field in described), entity_type)
    found = {
        field.name: EntityField(
            name=names[field.name],
            type=field.data_type or "",
            description=field.description or "",
            api_name=field.name,
            label=field.label or None,
        )
        for field in described
    }
    return tuple(found.values())


def export_job(operation: ApiOperation, data: object) -> ExportJob:
    """Read a ``JobDetails``, a ``JobStatus`` or an item of a ``JobDetailsList``."""
    job = read(operation, data, _ExportJob)
    status = EXPORT_WORDS.get(job.job_status.lower(), JobStatus.UNKNOWN)
    return ExportJob(
        id=str(job.job_id),
        status=status,
        status_word=job.job_status,
        name=job.job_name,
        entity=_entity_name(job.entity_type),
        created_at=moment(job.created_at),
        completed_at=moment(job.updated_at) if status.is_terminal else None,
        error_message=job.message if status is JobStatus.FAILED else None,
    )


def with_parts(job: ExportJob, parts: int) -> ExportJob:
    """Return a finished job with the number of its files."""
    return replace(job, file_parts=parts)


def links(response: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the links to a finished job's files: one, or one for each part.

    Raises:
        NotReadyError: The response has none yet.
    """
    for member in ("resultsUrls", "resultsUrl"):
        found = response.get(member)
        several = found if isinstance(found, list) else [found]
        if several and all(isinstance(link, str) and link for link in several):
            return tuple(map(str, several))
    raise NotReadyError(
        ApiOperation.GET_EXPORT,
        "gave a finished job without a link",
        advice="Run again. If the error persists, export again with job_reuse_hours: 0.",
    )


def import_job(operation: ApiOperation, data: object) -> ImportJob:
    """Read a ``DataImportJob``."""
    job = read(operation, data, _ImportJob)
    status = IMPORT_WORDS.get(job.state.lower(), JobStatus.UNKNOWN)
    return ImportJob(
        id=str(job.id),
        status=status,
        status_word=job.state,
        entity=_entity_name(job.entity_type),
        file_name=job.data_import_name,
        created_at=moment(job.created_at),
        completed_at=moment(job.updated_at) if status.is_terminal else None,
    )


def reference_object(operation: ApiOperation, data: object) -> ReferenceObject:
    """Read an item of the list of reference objects."""
    found = read(operation, data, _ReferenceObject)
    return ReferenceObject(found.name, found.description or "")


def reference_value(operation: ApiOperation, data: object) -> dict[str, Any]:
    """Return a value of a reference object, of which only its kind is published: an object."""
    if not isinstance(data, dict):
        raise UnexpectedResponseError(operation, "gave something other than an object in a list")
    return data


def activity_type(operation: ApiOperation, data: object) -> ActivityType:
    """Read an ``ActivityType``."""
    found = read(operation, data, _ActivityType)
    return ActivityType(found.id, found.name)


def activity_fields(operation: ApiOperation, data: object) -> tuple[str, tuple[FieldMapping, ...]]:
    """Read a ``CustomActivityData``: the name of an activity type, and its fields."""
    found = read(operation, data, _ActivityTypeFields)
    check_readable(operation, data, found, "fields")
    fields = tuple(_activity_field(operation, item) for item in found.fields or ())
    return found.activity_type.name, fields


def _activity_field(operation: ApiOperation, data: object) -> FieldMapping:
    field = read(operation, data, _ActivityField)
    check_readable(operation, data, field, "is_required_for_csv_import")
    return FieldMapping(
        "activities",
        field.field_name,
        field.field_data_type or "string",
        required=bool(field.is_required_for_csv_import),
    )


def source_field(operation: ApiOperation, data: object) -> SourceField:
    """Read a ``FieldMappingDTO``."""
    found = read(operation, data, _SourceField)
    return SourceField(found.source_field_label, found.demandbase_field_name)


def pages(
    http: HttpClient, operation: ApiOperation, path: str, deadline: Deadline = NO_DEADLINE
) -> FetchPage:
    """Return what requests a page of a list of jobs, newest first."""

    def fetch(number: int, _received: int) -> Page:
        query = {"sort": "descending", "page": number + 1, "perPage": PAGE_SIZE}
        response = http.read(operation, path, query, deadline)
        return read_page(operation, response, "data", "totalCount")

    return fetch


def _entity_name(kind: str | None) -> str | None:
    return None if kind is None else NAME_BY_TYPE.get(kind.lower(), kind)
