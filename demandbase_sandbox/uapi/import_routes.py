"""The operations under ``/import/v1`` that are about jobs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from demandbase_sandbox.exceptions import RefusalError, bad_request
from demandbase_sandbox.faults import Effect, job_secret
from demandbase_sandbox.operations import IMPORT_PREFIX
from demandbase_sandbox.uapi.entities import IMPORT_ENTITIES
from demandbase_sandbox.uapi.import_rows import DEFAULT_ACTION, ListAction
from demandbase_sandbox.uapi.imports import KIND, SOURCE, import_job_page, shown
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
)

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.routing import Answering
    from demandbase_sandbox.tenant.tenant import Tenant


def may_import(tenant: Tenant) -> None:
    """Refuse credentials without the permission to import data.

    Raises:
        RefusalError: 403.
    """
    if not tenant.options.import_permission:
        raise RefusalError(403, "the user lacks the permission to import data")


REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Message},
    401: {"model": StatusMessage},
    403: {"model": StatusMessage},
    429: {"model": Message},
    500: {"model": Message},
}

UNKNOWN: dict[int | str, dict[str, Any]] = {**REFUSED, 404: {"model": Message}}

FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def import_routes(tenant: Tenant, answering: Answering) -> APIRouter:  # noqa: C901 - a function each
    """Return the routes of a tenant's imports."""
    router = APIRouter(prefix=IMPORT_PREFIX)
    jobs = tenant.uapi_imports

    def facts(job_id: str) -> dict[str, Any]:
        job = tenant.book.get(KIND, job_id) or {}
        names = ("entity_type", "entityType")
        return {"job_id": job_id, **{name: job.get(name) for name in names}}

    def take(request: Request, job_id: str, file: Path, action: ListAction) -> Response:
        known = facts(job_id)

        def work() -> dict[str, Any]:
            may_import(tenant)
            kind = request.headers.get("Content-Type", "").partition(";")[0].strip()
            if kind.lower() != "application/octet-stream":
                raise bad_request("the Content-Type of data is application/octet-stream")
            match = {**known, "api": "uapi"}
            hit = tenant.faults.hits("uploadImportFile", match, Effect.TOO_LARGE)
            limit = hit[Effect.TOO_LARGE].bytes if hit else None
            return shown(jobs.upload(job_id, file, action, limit))

        return answering.answer(request, work, facts=known)

    @router.post(
        "/job", operation_id="createImportJob", response_model=DataImportJob, responses=REFUSED
    )
    def create(request: Request, body: CreateDataImportJob) -> Response:
        asked = body.model_dump(exclude_none=True)
        known = {**asked, "entity_type": IMPORT_ENTITIES.get(body.entityType)}

        def work() -> dict[str, Any]:
            may_import(tenant)
            secret = job_secret(tenant.faults, "createImportJob", {**known, "api": "uapi"})
            return shown(jobs.create(asked, secret))

        return answering.answer(request, work, facts=known, body=asked)

    @router.put(
        "/job/{id}/data",
        operation_id="uploadImportFile",
        response_model=DataImportJob,
        responses=UNKNOWN,
        openapi_extra=FILE_BODY,
    )
    async def upload(
        request: Request,
        id: int,  # noqa: A002 - the published name, here and below
        listAction: ListAction = DEFAULT_ACTION,  # noqa: N803
    ) -> Response:
        file = tenant.folder / f"upload-{uuid.uuid4().hex}"
        try:
            with file.open("wb") as copy:
                async for piece in request.stream():
                    copy.write(piece)
            # Not here: who waits for the store must not keep all other requests waiting.
            return await run_in_threadpool(take, request, str(id), file, listAction)
        finally:
            file.unlink(missing_ok=True)

    @router.get(
        "/job/{id}", operation_id="getImportJob", response_model=DataImportJob, responses=UNKNOWN
    )
    def get(request: Request, id: int) -> Response:  # noqa: A002
        def work() -> dict[str, Any]:
            may_import(tenant)
            return shown(jobs.get(str(id)))

        return answering.answer(request, work, facts=facts(str(id)))

    @router.get(
        "/jobs", operation_id="listImportJobs", response_model=DataImportJobs, responses=REFUSED
    )
    def list_jobs(  # noqa: PLR0913, PLR0917 - the published parameters
        request: Request,
        entityType: str | None = None,  # noqa: N803
        state: str | None = None,
        sort: str = "descending",
        page: int = 1,
        perPage: int = 10,  # noqa: N803
    ) -> Response:
        def work() -> dict[str, Any]:
            may_import(tenant)
            asked = {"entityType": entityType, "state": state, "sort": sort}
            hit = tenant.faults.hits("listImportJobs", {"api": "uapi"}, Effect.SHIFT_PAGE)
            size = min(perPage, tenant.options.max_page_size)
            shift = hit[Effect.SHIFT_PAGE].rows if hit else 0
            return import_job_page(tenant.book.all(KIND), asked, page, size, shift)

        return answering.answer(request, work)

    @router.get(
        "/{entityType}/sources",
        operation_id="listImportSources",
        response_model=Sources,
        responses=REFUSED,
    )
    def sources(request: Request, entityType: str) -> Response:  # noqa: N803
        def work() -> dict[str, Any]:
            may_import(tenant)
            if entityType not in IMPORT_ENTITIES:
                raise bad_request(f"entityType is one of {', '.join(IMPORT_ENTITIES)}")
            return {"data": [SOURCE]}

        return answering.answer(request, work)

    return router


ACTIVITY_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Message},
    401: {"model": StatusMessage},
    403: {"model": StatusMessage},
    404: {"model": Message},
    429: {"model": Message},
    500: {"model": Message},
}


def activity_routes(tenant: Tenant, answering: Answering) -> APIRouter:
    """Return the routes of a tenant's activity types."""
    router = APIRouter(prefix=f"{IMPORT_PREFIX}/activity_type")
    types = tenant.activity_types

    @router.get(
        "",
        operation_id="listActivityTypes",
        response_model=list[CustomActivityType],
        responses=ACTIVITY_REFUSED,
    )
    def list_types(request: Request) -> Response:
        def work() -> list[Any]:
            may_import(tenant)
            return types.all()

        return answering.answer(request, work)

    @router.post(
        "",
        operation_id="createActivityType",
        response_model=ActivityType,
        responses=ACTIVITY_REFUSED,
    )
    def create(request: Request, body: ActivityTypeBody) -> Response:
        def work() -> dict[str, Any]:
            may_import(tenant)
            return types.create(body)

        return answering.answer(request, work, body=body.model_dump())

    @router.get(
        "/{identifier}",
        operation_id="getActivityType",
        response_model=CustomActivityData,
        responses=ACTIVITY_REFUSED,
    )
    def look_up(request: Request, identifier: str) -> Response:
        def work() -> dict[str, Any]:
            may_import(tenant)
            return types.get(identifier)

        return answering.answer(request, work)

    @router.put(
        "/{activityTypeId}",
        operation_id="updateActivityType",
        response_model=ActivityType,
        responses=ACTIVITY_REFUSED,
    )
    def update(request: Request, activityTypeId: str, body: ActivityTypeBody) -> Response:  # noqa: N803
        def work() -> dict[str, Any]:
            may_import(tenant)
            return types.update(activityTypeId, body)

        return answering.answer(request, work, body=body.model_dump())

    return router
