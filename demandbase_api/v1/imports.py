"""The Data Import API v1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from requests_toolbelt import MultipartEncoder
from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import ApiOperation
from demandbase_api.http.json_reader import read
from demandbase_api.http.lists import ListReader
from demandbase_api.jobs.job_reader import recent
from demandbase_api.models import ImportEntity, ImportOperation, JobStatus, ListAction
from demandbase_api.ports import ImportApi, ImportCapabilities
from demandbase_api.v1 import schemas
from demandbase_api.v1.schemas import JOB_ID, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from demandbase_api.deadline import Deadline
    from demandbase_api.http.client import HttpClient
    from demandbase_api.models import (
        ActivityType,
        EntityField,
        FieldMapping,
        ImportJob,
        ImportRequest,
        RowError,
        SourceField,
    )


JOBS = "/import/v1/jobs"

ENTITIES = frozenset({"accounts", "people", "opportunities", "activities"})


class V1ImportApi(ImportApi):
    """The v1 adapter of the import port."""

    capabilities = ImportCapabilities(
        entities=ENTITIES,
        operations=frozenset(ImportOperation),
        match_key=True,
        mappings=True,
        row_errors=True,
    )

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._lists = ListReader("import", http.scrub, http.clock)

    @override
    def entity(self, name: str, activity_type: int | None = None) -> ImportEntity:
        return ImportEntity(name, self.mappings(name))

    @override
    def mappings(self, entity: str | None = None) -> tuple[FieldMapping, ...]:
        operation = ApiOperation.LIST_MAPPINGS
        params = {} if entity is None else {"entity_type": entity}
        response = self._http.read(operation, "/import/v1/mappings", params)
        listed = read(operation, response, schemas.MappingList).mappings
        return tuple(schemas.field_mapping(operation, item) for item in listed)

    @override
    def tenant_fields(self, entity: str) -> tuple[EntityField, ...]:
        return ()

    @override
    def sources(self, entity: str) -> tuple[str, ...]:
        return ()

    @override
    def source_fields(self, entity: str, source: str) -> tuple[SourceField, ...]:
        return ()

    @override
    def activity_types(self) -> tuple[ActivityType, ...]:
        return ()

    @override
    def submit(self, request: ImportRequest, file_name: str) -> ImportJob:
        operation = ApiOperation.CREATE_IMPORT
        response = self._http.create(operation, JOBS, request_body(request))
        return self._job(operation, response)

    @override
    def find_created(self, file_name: str, since: datetime) -> ImportJob | None:
        return None  # a job has a name only once it has its file

    @override
    def possibly_created(self, request: ImportRequest, since: datetime) -> Iterator[ImportJob]:
        for job in recent(self.jobs(), since):
            if self.waits_for_file(job) and job.entity == request.entity:
                yield job

    @override
    def waits_for_file(self, job: ImportJob) -> bool:
        return job.status is JobStatus.PENDING and not job.file_name

    @override
    def upload(
        self,
        job_id: str,
        file: BinaryIO,
        file_name: str,
        list_action: ListAction = ListAction.NOOP,
    ) -> ImportJob:
        operation = ApiOperation.UPLOAD_FILE
        # requests' own ``files=`` would read the whole file into memory.
        body = MultipartEncoder({"file": (file_name, file, "text/csv")})
        response = self._http.post_stream(
            operation, f"{_path(job_id)}/upload", body, body.content_type
        )
        return self._job(operation, response)

    @override
    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        operation = ApiOperation.GET_IMPORT
        return self._job(operation, self._http.read(operation, _path(job_id), deadline=deadline))

    @override
    def with_details(self, job: ImportJob, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        return self.get(job.id, deadline)

    def _job(self, operation: ApiOperation, response: object) -> ImportJob:
        return self._lists.checked(schemas.import_job(operation, response))

    @override
    def jobs(
        self, deadline: Deadline = NO_DEADLINE, *, complete: bool = False
    ) -> Iterator[ImportJob]:
        operation = ApiOperation.LIST_IMPORTS
        fetch = pages(self._http, operation, JOBS, "jobs", deadline)
        return self._lists.jobs(operation, fetch, JOB_ID, schemas.import_job, complete=complete)

    @override
    def server_time(self) -> datetime | None:
        return self._http.server_clock.utc()

    @override
    def poll_pause(self) -> float:
        return 0.0

    @override
    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        self._http.delete(ApiOperation.CANCEL_IMPORT, _path(job_id), deadline)
        return True

    @override
    def row_errors(self, job_id: str, *, complete: bool = False) -> Iterator[RowError]:
        operation = ApiOperation.LIST_ROW_ERRORS
        fetch = pages(self._http, operation, f"{_path(job_id)}/errors", "errors")
        found = self._lists.items(operation, fetch, number="row_number", complete=complete)
        return (schemas.row_error(operation, item) for item in found)


def request_body(request: ImportRequest) -> dict[str, Any]:
    """Return the ``CreateImportJobRequest`` for a request."""
    body: dict[str, Any] = {
        "entity_type": request.entity,
        "operation": request.operation.value,
        "field_mappings": [
            {"csv_column": mapping.column, "demandbase_field": mapping.field}
            for mapping in request.mappings
        ],
    }
    if request.match_key is not None:
        body["match_key"] = request.match_key
    return body


def _path(job_id: str) -> str:
    return f"{JOBS}/{quote(job_id, safe='')}"
