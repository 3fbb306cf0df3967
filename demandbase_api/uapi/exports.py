"""Export API of uapi: the Data Export API that Demandbase publishes."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE, ONE_TRY
from demandbase_api.errors import (
    ApiOperation,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    PermissionDeniedError,
    UnexpectedResponseError,
)
from demandbase_api.http.download_response import DownloadBody
from demandbase_api.http.json_reader import read
from demandbase_api.http.lists import ListReader
from demandbase_api.models import JobStatus
from demandbase_api.ports import (
    EVERYTHING,
    DiscoveryScope,
    ExportApi,
    ExportCapabilities,
    ExportFilter,
    OnEntityError,
    PartBody,
    Resume,
    raise_error,
)
from demandbase_api.uapi import schemas
from demandbase_api.uapi.entities import BY_NAME, ENTITIES, JOB, MAX_IDS, UapiEntity
from demandbase_api.uapi.schemas import EXPORT_ID, pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from demandbase_api.deadline import Deadline
    from demandbase_api.http.client import HttpClient
    from demandbase_api.models import (
        DateRange,
        Entity,
        ExportJob,
        ExportRequest,
        ReferenceObject,
    )
    from demandbase_api.uapi.call_budget import CallBudget
    from demandbase_api.uapi.discovery import FieldDiscovery


_DIGEST_BYTES = 10
_DIGEST_LETTERS = 12
_MARK_BYTES = 4

_ALL_SOURCES = "all"


def _check_links(document: dict[str, Any]) -> None:
    """Check that a finished job has its links.

    Raises:
        NotReadyError: The links are not there yet.
    """
    job = schemas.export_job(ApiOperation.GET_EXPORT, document)
    if job.status is JobStatus.COMPLETED:
        schemas.links(document)


def request_body(request: ExportRequest, mark: str) -> dict[str, Any]:
    """Return the body that creates a job. The job's name identifies the request and the run.

    Args:
        request: The request.
        mark: Mark of the run.

    Raises:
        ConfigurationError: The API does not support the request.
    """
    entity = BY_NAME[request.entity]
    body = _request_members(entity, request)
    return {"jobName": f"{job_name(request)} {mark}", **body}


def job_name(request: ExportRequest) -> str:
    """Return the name of a request's job without the mark of a run, at most 41 characters.

    The API allows 50.

    Raises:
        ConfigurationError: The API does not support the request.
    """
    return f"singer {request.entity} {_digest(request)[:_DIGEST_LETTERS]}"


def _unmarked_name(request: ExportRequest) -> str:
    """Return the name of a request's job as version 0.1.0 wrote it."""
    return f"singer {request.entity} {_digest(request)}"


def _digest(request: ExportRequest) -> str:
    body = _request_members(BY_NAME[request.entity], request)
    if "fields" in body:
        body["fields"] = sorted(body["fields"])
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _request_members(entity: UapiEntity, request: ExportRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if entity.type:
        body = {"entityType": entity.type, "fields": list(request.fields), "format": "CSV"}
        if request.date_range is not None:
            body |= _date_members(entity, request.date_range)
    if request.account_lists:
        body["accountListIds"] = _numbers(entity.name, "account_list_ids", request.account_lists)
    if request.person_lists:
        body["personListIds"] = _numbers(entity.name, "person_list_ids", request.person_lists)
    if request.ids:
        body["accountIds"] = _numbers(entity.name, "account ids", request.ids)
    if request.report_type is not None:
        body["adReportType"] = request.report_type
    if request.sources and not entity.is_report:
        raise ConfigurationError(
            f"The setting stream_options.{entity.name}.source is for advertising reports only: "
            "remove it."
        )
    if entity.is_report:
        body["source"] = sorted(set(request.sources)) or [_ALL_SOURCES]
    return body


def _date_members(entity: UapiEntity, days: DateRange) -> dict[str, Any]:
    if entity.max_days is not None:
        if days.start is None:
            raise ConfigurationError(
                f"Stream {entity.name} has an end date but no start date: set start_date."
            )
        return {"fromDate": days.start.isoformat(), "toDate": days.end.isoformat()}
    # All of the last day, even if the field has a time of day.
    rules = [("Less Than", days.end + timedelta(days=1))] if days.end < date.max else []
    if days.start is not None:
        rules.insert(0, ("Greater Than or Equal To", days.start))
    return {
        "filters": [
            {"field": days.field, "operator": operator, "values": [day.isoformat()]}
            for operator, day in rules
        ]
    }


def _numbers(stream: str, what: str, ids: Sequence[str]) -> list[int]:
    """Return ids as sorted numbers, each once.

    Raises:
        ConfigurationError: An id is no number, or there are too many.
    """
    if not all(text.isascii() and text.isdigit() for text in ids):
        raise ConfigurationError(
            f"Stream {stream}: on this API {what} must be whole numbers, and one of them is not. "
            "Check the settings stream_options and account_list_id."
        )
    numbers = sorted({int(text) for text in ids})
    if len(numbers) > MAX_IDS:
        raise ConfigurationError(
            f"Stream {stream}: a job takes at most {MAX_IDS:,} {what}, and there are "
            f"{len(numbers):,}. Set fewer."
        )
    return numbers


JOBS = "/data/export/v1/jobs"


class UapiExportApi(ExportApi):
    """Adapter of uapi for the export port.

    Args:
        http: Client of the API.
        discovery: Discovers the fields.
        budget: Budget of the daily calls.
    """

    capabilities = ExportCapabilities(
        concurrent_jobs=1,
        daily_calls=True,
        filters=frozenset(ExportFilter),
        references=True,
        needs={entity.name: entity.needs for entity in ENTITIES if entity.needs},
    )

    def __init__(self, http: HttpClient, discovery: FieldDiscovery, budget: CallBudget) -> None:
        self._http = http
        self._discovery = discovery
        self._budget = budget
        self._lists = ListReader("export", http.scrub, http.clock)
        self._mark = secrets.token_hex(_MARK_BYTES)
        self._links: dict[str, tuple[str, ...]] = {}
        # A download in another thread may read the links of the same job.
        self._reading = threading.Lock()

    @override
    def entities(
        self, scope: DiscoveryScope = EVERYTHING, on_error: OnEntityError = raise_error
    ) -> tuple[Entity, ...]:
        return self._discovery.entities(scope, on_error)

    @override
    def references(self, deadline: Deadline = NO_DEADLINE) -> tuple[ReferenceObject, ...]:
        operation = ApiOperation.LIST_REFERENCES
        response = self._http.read(operation, "/data/export/v1/references", deadline=deadline)
        listed = read(operation, response, schemas.References).ref_objects_available
        return tuple(schemas.reference_object(operation, item) for item in listed)

    @override
    def reference_values(self, name: str) -> tuple[dict[str, Any], ...]:
        operation = ApiOperation.GET_REFERENCE
        path = f"/data/export/v1/reference/{quote(name, safe='')}"
        values = read(operation, self._http.read(operation, path), schemas.ReferenceData).data
        return tuple(schemas.reference_value(operation, item) for item in values)

    @override
    def submit(self, request: ExportRequest, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        operation = ApiOperation.CREATE_EXPORT
        entity = BY_NAME[request.entity]
        try:
            body = request_body(request, self._mark)
            response = self._http.create(operation, entity.path, body, deadline)
        except (InvalidRequestError, PermissionDeniedError):
            # The discovered fields, or the permissions for them, may be outdated.
            self._discovery.doubt(entity, request.report_type)
            raise
        return self._lists.checked(schemas.export_job(operation, response))

    @override
    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        operation = ApiOperation.GET_EXPORT
        path = f"{JOB}/{quote(job_id, safe='')}"
        response = self._http.read(operation, path, deadline=deadline, check=_check_links)
        job = self._lists.checked(schemas.export_job(operation, response))
        if job.status is not JobStatus.COMPLETED:
            return job
        links = schemas.links(response)
        self._links[job_id] = links
        return schemas.with_parts(job, len(links))

    @override
    def with_details(self, job: ExportJob, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        with self._reading:
            links = self._links.get(job.id)
            if links is not None:
                return schemas.with_parts(job, len(links))
            # The list has neither the links of the files nor the reason of a failure.
            return self.get(job.id, deadline)

    @override
    def jobs(
        self, deadline: Deadline = NO_DEADLINE, *, complete: bool = False
    ) -> Iterator[ExportJob]:
        operation = ApiOperation.LIST_EXPORTS
        fetch = pages(self._http, operation, JOBS, deadline)
        return self._lists.jobs(operation, fetch, EXPORT_ID, schemas.export_job, complete=complete)

    @override
    def server_time(self) -> datetime | None:
        return self._http.server_clock.utc()

    @override
    def poll_pause(self) -> float:
        # A job that is not in the list needs a call of its own at each poll.
        polled = ApiOperation.LIST_EXPORTS, ApiOperation.GET_EXPORT
        return max(self._budget.pause(operation) for operation in polled)

    @override
    def check_budget(self, jobs: int) -> None:
        self._budget.check_exports(jobs)

    @override
    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        return False

    @override
    def is_for(self, job: ExportJob, request: ExportRequest) -> bool:
        name = job.name or ""
        unmarked, _, mark = name.rpartition(" ")
        is_marked = unmarked == job_name(request) and len(mark) == 2 * _MARK_BYTES
        return is_marked or name == _unmarked_name(request)

    @override
    def is_own(self, job: ExportJob) -> bool | None:
        return (job.name or "").endswith(f" {self._mark}")

    @override
    @contextmanager
    def open_part(self, job_id: str, part: int, resume: Resume | None = None) -> Iterator[PartBody]:
        operation = ApiOperation.FETCH_LINK
        link = self._link(job_id, part)
        headers = {}
        if resume is not None:
            headers = {"Range": f"bytes={resume.offset}-", "If-Range": resume.validator}
        try:
            response = self._http.open_url(operation, link, headers)
        except NotFoundError:
            # The link has expired: the next try reads the job again.
            self._links.pop(job_id, None)
            raise
        with response:
            if response.is_redirect:
                raise UnexpectedResponseError(operation, "gave a link that redirects")
            try:
                yield DownloadBody(operation, response, resume, self._http.bodies)
            except NotReadyError:
                # Another link may lead to the file: the next try reads the job again.
                self._links.pop(job_id, None)
                raise

    def _link(self, job_id: str, part: int) -> str:
        with self._reading:
            links = self._links.get(job_id) or self._read_links(job_id)
        if part > len(links):
            raise UnexpectedResponseError(
                ApiOperation.GET_EXPORT, "gave a finished job without a link for each part"
            )
        return links[part - 1]

    def _read_links(self, job_id: str) -> tuple[str, ...]:
        try:
            job = self.get(job_id, ONE_TRY)
        except NotFoundError as error:
            raise error.as_a(
                NotFoundError, operation=ApiOperation.DOWNLOAD_PART, advice=""
            ) from None
        links = self._links.get(job_id)
        if links is None:
            raise UnexpectedResponseError(
                ApiOperation.GET_EXPORT, f"says that a finished job is {job.status_text}"
            )
        return links
