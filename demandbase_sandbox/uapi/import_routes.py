"""The operations under ``/import/v1``: jobs and activity types."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request

from demandbase_sandbox.exceptions import ApiError, bad_request
from demandbase_sandbox.faults import Effect
from demandbase_sandbox.operations import IMPORT_PREFIX
from demandbase_sandbox.routing import CurrentCall, SandboxRouter
from demandbase_sandbox.tenant.tenant import Tenant
from demandbase_sandbox.uapi.entities import IMPORT_ENTITIES
from demandbase_sandbox.uapi.import_rows import DEFAULT_ACTION, ListAction
from demandbase_sandbox.uapi.imports import import_job_page
from demandbase_sandbox.uapi.schemas import (
    ActivityType,
    ActivityTypeBody,
    CreateDataImportJob,
    CustomActivityData,
    CustomActivityType,
    DataImportJob,
    DataImportJobs,
    Message,
    Sources,
    StatusMessage,
    published_query,
)

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Message},
    401: {"model": StatusMessage},
    403: {"model": StatusMessage},
    429: {"model": Message},
    500: {"model": Message},
}

JOB_ERRORS: dict[int | str, dict[str, Any]] = {**ERRORS, 404: {"model": Message}}

FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

jobs = SandboxRouter(prefix=IMPORT_PREFIX, dependencies=[published_query])

activity_types = SandboxRouter(
    prefix=f"{IMPORT_PREFIX}/activity_type", dependencies=[published_query]
)


async def _received_file(request: Request) -> AsyncIterator[Path]:
    tenant: Tenant = request.state.tenant
    file = tenant.folder / f"upload-{uuid.uuid4().hex}"
    try:
        with file.open("wb") as copy:
            async for piece in request.stream():
                copy.write(piece)
        yield file
    finally:
        file.unlink(missing_ok=True)


@jobs.post("/job", operation_id="createImportJob", responses=ERRORS)
def create_job(call: CurrentCall, body: CreateDataImportJob) -> DataImportJob:
    """Create an import job."""
    _check_permission(call.tenant)
    return DataImportJob.model_validate(
        call.tenant.uapi_imports.create(body.members(), call.job_faults())
    )


@jobs.put(
    "/job/{id}/data",
    operation_id="uploadImportFile",
    responses=JOB_ERRORS,
    openapi_extra=FILE_BODY,
)
def upload(
    call: CurrentCall,
    id: int,  # noqa: A002 - the published name, here and below
    file: Annotated[Path, Depends(_received_file)],
    listAction: ListAction = DEFAULT_ACTION,  # noqa: N803
) -> DataImportJob:
    """Upload a job's file."""
    _check_permission(call.tenant)
    kind = call.request.headers.get("Content-Type", "").partition(";")[0].strip()
    if kind.lower() != "application/octet-stream":
        raise bad_request("the Content-Type of data is application/octet-stream")
    too_large = call.fault(Effect.TOO_LARGE)
    limit = too_large.bytes if too_large else None
    return DataImportJob.model_validate(
        call.tenant.uapi_imports.upload(str(id), file, listAction, limit)
    )


@jobs.get("/job/{id}", operation_id="getImportJob", responses=JOB_ERRORS)
def get_job(call: CurrentCall, id: int) -> DataImportJob:  # noqa: A002
    """Return an import job."""
    _check_permission(call.tenant)
    return DataImportJob.model_validate(call.tenant.uapi_imports.get(str(id)))


@jobs.get("/jobs", operation_id="listImportJobs", responses=ERRORS)
def list_jobs(  # noqa: PLR0913, PLR0917 - the published parameters
    call: CurrentCall,
    entityType: str | None = None,  # noqa: N803
    state: str | None = None,
    sort: str = "descending",
    page: int = 1,
    perPage: int = 10,  # noqa: N803
) -> DataImportJobs:
    """Return a page of the import jobs."""
    _check_permission(call.tenant)
    parameters = {"entityType": entityType, "state": state, "sort": sort}
    size = min(perPage, call.tenant.options.max_page_size)
    found = call.visible(call.tenant.uapi_imports)
    return import_job_page(found, parameters, page, size, call.shifted)


@jobs.get(
    "/{entityType}/sources",
    operation_id="listImportSources",
    responses=ERRORS,
)
def sources(call: CurrentCall, entityType: str) -> Sources:  # noqa: N803
    """Return the sources that an import can name."""
    _check_permission(call.tenant)
    if entityType not in IMPORT_ENTITIES:
        raise bad_request(f"entityType is one of {', '.join(IMPORT_ENTITIES)}")
    return Sources(data=call.tenant.sources.names(entityType))


@activity_types.get(
    "",
    operation_id="listActivityTypes",
    responses=JOB_ERRORS,
)
def list_activity_types(call: CurrentCall) -> list[CustomActivityType]:
    """Return the activity types."""
    _check_permission(call.tenant)
    return call.tenant.activity_types.all()


@activity_types.post("", operation_id="createActivityType", responses=JOB_ERRORS)
def create_activity_type(call: CurrentCall, body: ActivityTypeBody) -> ActivityType:
    """Create an activity type."""
    _check_permission(call.tenant)
    return call.tenant.activity_types.create(body)


@activity_types.get(
    "/{identifier}",
    operation_id="getActivityType",
    responses=JOB_ERRORS,
)
def get_activity_type(call: CurrentCall, identifier: str) -> CustomActivityData:
    """Return an activity type with its fields."""
    _check_permission(call.tenant)
    return call.tenant.activity_types.get(identifier)


@activity_types.put(
    "/{activityTypeId}",
    operation_id="updateActivityType",
    responses=JOB_ERRORS,
)
def update_activity_type(
    call: CurrentCall,
    activityTypeId: str,  # noqa: N803
    body: ActivityTypeBody,
) -> ActivityType:
    """Replace an activity type."""
    _check_permission(call.tenant)
    return call.tenant.activity_types.update(activityTypeId, body)


def _check_permission(tenant: Tenant) -> None:
    if not tenant.options.import_permission:
        raise ApiError(403, "the user lacks the permission to import data")
