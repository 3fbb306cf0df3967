"""Models from the v1 API's JSON. Unknown members are ignored; an unknown status is an error.

The schemas are those of the OpenAPI documents of the Data Export API and the Data Import API,
version 1.0. No member is required there; only those that are needed to poll a job are required
here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.http.json_reader import Reader
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
    from collections.abc import Iterator, Mapping

    from demandbase_api.deadline import Deadline
    from demandbase_api.errors import ApiOperation
    from demandbase_api.http.client import HttpClient


PAGE_SIZE = 100
_PASSES = 3
_WORDS = {status.value: status for status in JobStatus}


def entity(reader: Reader) -> Entity:
    """Read an ``ExportableEntity``."""
    return Entity(
        name=reader.required("name", str),
        description=reader.optional("description", str) or "",
        fields=tuple(
            EntityField(
                name=item.required("name", str),
                type=item.optional("type", str) or "",
                description=item.optional("description", str) or "",
            )
            for item in reader.objects("fields")
        ),
    )


def export_job(reader: Reader) -> ExportJob:
    """Read an ``ExportJob``."""
    fields = reader.optional("fields", list)
    return ExportJob(
        id=reader.required("id", str),
        status=reader.status("status", _WORDS),
        entity=reader.optional("entity_type", str),
        fields=None if fields is None else tuple(str(name) for name in fields),
        filters=reader.optional("filters", dict),
        record_count=reader.optional("record_count", int),
        file_size_bytes=reader.optional("file_size_bytes", int),
        file_parts=reader.optional("file_parts", int),
        download_url=reader.optional("download_url", str),
        created_at=reader.moment("created_at"),
        completed_at=reader.moment("completed_at"),
        expires_at=reader.moment("expires_at"),
        error_message=reader.optional("error_message", str),
    )


def import_job(reader: Reader) -> ImportJob:
    """Read an ``ImportJob``."""
    return ImportJob(
        id=reader.required("id", str),
        status=reader.status("status", _WORDS),
        entity=reader.optional("entity_type", str),
        operation=reader.optional("operation", str),
        total_rows=reader.optional("total_rows", int),
        processed_rows=reader.optional("processed_rows", int),
        success_count=reader.optional("success_count", int),
        error_count=reader.optional("error_count", int),
        file_name=reader.optional("file_name", str),
        file_size_bytes=reader.optional("file_size_bytes", int),
        created_at=reader.moment("created_at"),
        started_at=reader.moment("started_at"),
        completed_at=reader.moment("completed_at"),
        error_message=reader.optional("error_message", str),
    )


def row_error(reader: Reader) -> RowError:
    """Read an ``ImportError``."""
    return RowError(
        row_number=reader.optional("row_number", int),
        field=reader.optional("field", str),
        error_type=reader.optional("error_type", str),
        value=reader.optional("value", str),
        message=reader.optional("message", str),
    )


def field_mapping(reader: Reader) -> FieldMapping:
    """Read a ``FieldMapping``."""
    return FieldMapping(
        entity=reader.required("entity_type", str),
        name=reader.required("field_name", str),
        type=reader.optional("field_type", str) or "string",
        required=bool(reader.optional("required", bool)),
        description=reader.optional("description", str) or "",
    )


def pages(  # noqa: PLR0913, PLR0917
    http: HttpClient,
    operation: ApiOperation,
    path: str,
    member: str,
    params: Mapping[str, str] | None = None,
    deadline: Deadline = NO_DEADLINE,
) -> Iterator[Reader]:
    """Yield the objects of all pages.

    The next page starts after the objects received, so that none is skipped if the server caps
    ``limit``. The end is an empty page or the server's ``total``. If the pages have fewer objects
    than ``total``, because objects moved meanwhile, they are read again, at most twice: an object
    may be yielded more than once.
    """
    for _ in range(_PASSES):
        offset = 0
        while True:
            query = {**(params or {}), "limit": PAGE_SIZE, "offset": offset}
            response = Reader(operation, http.read(operation, path, query, deadline))
            items = response.objects(member)
            yield from items
            offset += len(items)
            total = response.optional("total", int)
            if total is not None and offset >= total:
                return
            if not items:
                break
        if total is None:
            return


def each_once(readers: Iterator[Reader]) -> Iterator[Reader]:
    """Yield each job once: a job that is created meanwhile moves others to the next page."""
    seen: set[str] = set()
    for reader in readers:
        job_id = reader.required("id", str)
        if job_id not in seen:
            seen.add(job_id)
            yield reader
