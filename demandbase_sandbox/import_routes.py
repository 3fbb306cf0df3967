"""The operations under ``/import/v1``."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, UploadFile
from fastapi.responses import Response  # noqa: TC002 - FastAPI resolves annotations

from demandbase_sandbox.answering import Answering, public
from demandbase_sandbox.documents import (
    CreateImport,
    ImportJobDocument,
    ImportJobList,
    MappingList,
    RowErrorList,
)
from demandbase_sandbox.export_routes import CONFLICT, REFUSED, UNKNOWN
from demandbase_sandbox.faults import Effect
from demandbase_sandbox.job_faults import job_secret
from demandbase_sandbox.paging import Limit, Offset, Page, page
from demandbase_sandbox.tenant import Tenant  # noqa: TC001

Status = Literal["pending", "validating", "processing", "completed", "failed", "cancelled"]
TOO_LARGE: dict[int | str, dict[str, Any]] = {**UNKNOWN, 413: {"description": "File too large"}}


def import_routes(  # noqa: C901 - one inner function a route
    tenant: Tenant, answering: Answering
) -> APIRouter:
    """Return the routes of a tenant's imports."""
    router = APIRouter(prefix="/import/v1")
    jobs = tenant.imports

    def facts(job_id: str) -> dict[str, Any]:
        job = tenant.book.get("import", job_id) or {}
        return {"job_id": job_id, "entity_type": job.get("entity_type")}

    @router.get(
        "/mappings", operation_id="listFieldMappings", response_model=MappingList, responses=REFUSED
    )
    def mappings(request: Request, entity_type: str | None = None) -> Response:
        return answering.answer(
            request,
            lambda: {"mappings": jobs.mappings(entity_type)},
            facts={"entity_type": entity_type},
        )

    @router.post(
        "/jobs",
        operation_id="createImportJob",
        status_code=202,
        response_model=ImportJobDocument,
        responses=REFUSED,
    )
    def create(request: Request, body: CreateImport) -> Response:
        asked = body.model_dump(exclude_none=True)

        def work() -> dict[str, Any]:
            return public(jobs.create(asked, job_secret(tenant.faults, "createImportJob", asked)))

        return answering.answer(request, work, status=202, facts=asked, body=asked)

    @router.get(
        "/jobs", operation_id="listImportJobs", response_model=ImportJobList, responses=REFUSED
    )
    def list_jobs(
        request: Request, status: Status | None = None, limit: Limit = 25, offset: Offset = 0
    ) -> Response:
        def work() -> dict[str, Any]:
            asked, largest = Page(limit, offset), tenant.options.max_page_size
            given = page(tenant.faults, "listImportJobs", {}, asked, largest)
            found, total = tenant.book.page("import", status, given.limit, given.offset)
            return {"jobs": [public(job) for job in found], "total": total}

        return answering.answer(request, work)

    @router.get(
        "/jobs/{jobId}",
        operation_id="getImportJob",
        response_model=ImportJobDocument,
        responses=UNKNOWN,
    )
    def get(request: Request, jobId: str) -> Response:  # noqa: N803 - the contract's name
        return answering.answer(request, lambda: public(jobs.get(jobId)), facts=facts(jobId))

    @router.delete(
        "/jobs/{jobId}",
        operation_id="cancelImportJob",
        response_model=ImportJobDocument,
        responses=CONFLICT,
    )
    def cancel(request: Request, jobId: str) -> Response:  # noqa: N803
        return answering.answer(request, lambda: public(jobs.cancel(jobId)), facts=facts(jobId))

    @router.post(
        "/jobs/{jobId}/upload",
        operation_id="uploadImportFile",
        response_model=ImportJobDocument,
        responses=TOO_LARGE,
    )
    def upload(request: Request, jobId: str, file: UploadFile) -> Response:  # noqa: N803
        known = facts(jobId)

        def work() -> dict[str, Any]:
            hit = tenant.faults.hits("uploadImportFile", known, Effect.TOO_LARGE)
            limit = hit[Effect.TOO_LARGE].bytes if hit else None
            return public(jobs.upload(jobId, file.filename or "", file.file, limit))

        return answering.answer(request, work, facts=known, body=file.filename)

    @router.get(
        "/jobs/{jobId}/errors",
        operation_id="getImportErrors",
        response_model=RowErrorList,
        responses=UNKNOWN,
    )
    def errors(
        request: Request,
        jobId: str,  # noqa: N803
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Response:
        known = facts(jobId)

        def work() -> dict[str, Any]:
            jobs.get(jobId)
            asked, largest = Page(limit, offset), tenant.options.max_error_page_size
            given = page(tenant.faults, "getImportErrors", known, asked, largest)
            found, total = tenant.book.row_errors(jobId, given.limit, given.offset)
            return {"errors": found, "total": total}

        return answering.answer(request, work, facts=known)

    return router
