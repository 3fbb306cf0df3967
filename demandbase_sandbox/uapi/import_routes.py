"""The operations under ``/import/v1`` that are about jobs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response  # noqa: TC002 - FastAPI resolves annotations
from starlette.concurrency import run_in_threadpool

from demandbase_sandbox.faults import Effect
from demandbase_sandbox.job_faults import job_secret
from demandbase_sandbox.refusal import bad_request
from demandbase_sandbox.uapi.account_list_action import DEFAULT_ACTION, ListAction
from demandbase_sandbox.uapi.entity_types import IMPORT_ENTITIES
from demandbase_sandbox.uapi.import_documents import (
    CreateDataImportJob,
    DataImportJob,
    DataImportJobs,
    Message,
    Sources,
    StatusMessage,
)
from demandbase_sandbox.uapi.import_job_list import import_job_page, shown
from demandbase_sandbox.uapi.import_jobs import KIND, SOURCE
from demandbase_sandbox.uapi.operations import IMPORT_PREFIX
from demandbase_sandbox.uapi.permission import may_import

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.answering import Answering
    from demandbase_sandbox.tenant import Tenant

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
