"""Export API of v1: the Data Export API."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import ApiOperation, UnexpectedResponseError
from demandbase_api.http.download_response import DownloadBody
from demandbase_api.http.json_reader import read
from demandbase_api.http.lists import ListReader
from demandbase_api.http.urls import redirect_of
from demandbase_api.ports import (
    EVERYTHING,
    DiscoveryScope,
    ExportApi,
    ExportCapabilities,
    OnEntityError,
    PartBody,
    Resume,
    raise_error,
)
from demandbase_api.v1 import schemas
from demandbase_api.v1.schemas import JOB_ID, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from demandbase_api.deadline import Deadline
    from demandbase_api.http.client import HttpClient
    from demandbase_api.models import Entity, ExportJob, ExportRequest, ReferenceObject


JOBS = "/export/v1/jobs"

MAX_REDIRECTS = 5


class V1ExportApi(ExportApi):
    """Adapter of v1 for the export port.

    Args:
        http: Client of the API.
    """

    capabilities = ExportCapabilities(
        concurrent_jobs=2,
        daily_calls=False,
        filters=frozenset(),
    )

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._lists = ListReader("export", http.scrub, http.clock)

    @override
    def entities(
        self, scope: DiscoveryScope = EVERYTHING, on_error: OnEntityError = raise_error
    ) -> tuple[Entity, ...]:
        operation = ApiOperation.LIST_ENTITIES
        response = self._http.read(operation, "/export/v1/entities")
        listed = read(operation, response, schemas.EntityList).entities
        return tuple(schemas.entity(operation, item) for item in listed)

    @override
    def references(self, deadline: Deadline = NO_DEADLINE) -> tuple[ReferenceObject, ...]:
        return ()

    @override
    def reference_values(self, name: str) -> tuple[dict[str, Any], ...]:
        return ()

    @override
    def submit(self, request: ExportRequest, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        operation = ApiOperation.CREATE_EXPORT
        response = self._http.create(operation, JOBS, request_body(request), deadline)
        return self._lists.checked(schemas.export_job(operation, response))

    @override
    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        operation = ApiOperation.GET_EXPORT
        response = self._http.read(operation, _path(job_id), deadline=deadline)
        return self._lists.checked(schemas.export_job(operation, response))

    @override
    def with_details(self, job: ExportJob, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        return job

    @override
    def jobs(
        self, deadline: Deadline = NO_DEADLINE, *, complete: bool = False
    ) -> Iterator[ExportJob]:
        operation = ApiOperation.LIST_EXPORTS
        fetch = pages(self._http, operation, JOBS, "jobs", deadline)
        return self._lists.jobs(operation, fetch, JOB_ID, schemas.export_job, complete=complete)

    @override
    def server_time(self) -> datetime | None:
        return self._http.server_clock.utc()

    @override
    def poll_pause(self) -> float:
        return 0.0

    @override
    def check_budget(self, jobs: int) -> None:
        pass

    @override
    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        self._http.delete(ApiOperation.CANCEL_EXPORT, _path(job_id), deadline)
        return True

    @override
    def is_for(self, job: ExportJob, request: ExportRequest) -> bool:
        body = request_body(request)
        # A job without its request might be anybody's.
        return (
            job.entity == request.entity
            and job.fields is not None
            and sorted(job.fields) == sorted(request.fields)
            and (job.filters or {}) == body.get("filters", {})
        )

    @override
    def is_own(self, job: ExportJob) -> bool | None:
        return None

    @override
    @contextmanager
    def open_part(self, job_id: str, part: int, resume: Resume | None = None) -> Iterator[PartBody]:
        operation = ApiOperation.DOWNLOAD_PART
        url = f"{_path(job_id)}/download?part={part}"
        headers = {}
        if resume is not None:
            headers = {"Range": f"bytes={resume.offset}-", "If-Range": resume.validator}
        for _ in range(MAX_REDIRECTS):
            with self._http.open_url(operation, url, headers) as response:
                target = redirect_of(response)
                if target is None:
                    yield DownloadBody(operation, response, resume, self._http.bodies)
                    return
                url, operation = target, ApiOperation.FETCH_LINK
        raise UnexpectedResponseError(operation, f"redirected more than {MAX_REDIRECTS} times")


def request_body(request: ExportRequest) -> dict[str, Any]:
    """Return the ``CreateExportJobRequest`` for a request."""
    filters: dict[str, Any] = {}
    if request.date_range is not None:
        window = {"field": request.date_range.field}
        if request.date_range.start is not None:
            window["start"] = request.date_range.start.isoformat()
        filters["date_range"] = {**window, "end": request.date_range.end.isoformat()}
    if request.account_lists:
        (filters["account_list_id"],) = request.account_lists
    body: dict[str, Any] = {"entity_type": request.entity, "format": "csv"}
    if request.fields:
        body["fields"] = list(request.fields)
    if filters:
        body["filters"] = filters
    return body


def _path(job_id: str) -> str:
    return f"{JOBS}/{quote(job_id, safe='')}"
