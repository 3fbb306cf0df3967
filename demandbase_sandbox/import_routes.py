"""The operations under ``/import/v1``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, UploadFile
from fastapi.responses import Response  # noqa: TC002 - FastAPI resolves annotations

from demandbase_sandbox.answering import Answering, public
from demandbase_sandbox.documents import (
    CreateImport,
    ImportJobDocument,
    ImportJobList,
    MappingList,
    RowErrorList,
)
from demandbase_sandbox.export_routes import CONFLICT, REFUSED, UNKNOWN, secrets_for
from demandbase_sandbox.tenant import Tenant  # noqa: TC001

Status = Literal["pending", "validating", "processing", "completed", "failed", "cancelled"]
TOO_LARGE: dict[int | str, dict[str, Any]] = {413: {"description": "File too large"}}


def import_routes(  # noqa: C901 - one inner function a route
    tenant: Tenant, answering: Answering
) -> APIRouter:
    """Return the routes of a tenant's imports."""
    router = APIRouter(prefix="/import/v1")
    jobs = tenant.imports

    def facts(job_id: str) -> dict[str, Any]:
        job = tenant.store.job("import", job_id) or {}
        return {"job_id": job_id, "entity_type": job.get("entity_type")}

    @router.get("/mappings", response_model=MappingList, responses=REFUSED)
    def mappings(request: Request, entity_type: str | None = None) -> Response:
        return answering.answer(
            request, "listFieldMappings", lambda: {"mappings": jobs.mappings(entity_type)}
        )

    @router.post("/jobs", status_code=202, response_model=ImportJobDocument, responses=REFUSED)
    def create(request: Request, body: CreateImport) -> Response:
        asked = body.model_dump(exclude_none=True)
        secret = secrets_for(tenant, "createImportJob", asked)
        return answering.answer(
            request,
            "createImportJob",
            lambda: public(jobs.create(asked, secret)),
            status=202,
            facts=asked,
            body=asked,
        )

    @router.get("/jobs", response_model=ImportJobList, responses=REFUSED)
    def list_jobs(
        request: Request,
        status: Status | None = None,
        limit: Annotated[int, Query(ge=0)] = 25,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        def work() -> dict[str, Any]:
            found = [j for j in tenant.store.jobs("import") if status in {None, j["status"]}]
            page = found[offset : offset + min(limit, tenant.options.max_page_size)]
            return {"jobs": [public(job) for job in page], "total": len(found)}

        return answering.answer(request, "listImportJobs", work)

    @router.get("/jobs/{job_id}", response_model=ImportJobDocument, responses=UNKNOWN)
    def get(request: Request, job_id: str) -> Response:
        return answering.answer(
            request, "getImportJob", lambda: public(jobs.get(job_id)), facts=facts(job_id)
        )

    @router.delete(
        "/jobs/{job_id}", response_model=ImportJobDocument, responses={**UNKNOWN, **CONFLICT}
    )
    def cancel(request: Request, job_id: str) -> Response:
        return answering.answer(
            request, "cancelImportJob", lambda: public(jobs.cancel(job_id)), facts=facts(job_id)
        )

    @router.post(
        "/jobs/{job_id}/upload",
        response_model=ImportJobDocument,
        responses={**REFUSED, **UNKNOWN, **TOO_LARGE},
    )
    def upload(request: Request, job_id: str, file: UploadFile) -> Response:
        return answering.answer(
            request,
            "uploadImportFile",
            lambda: public(jobs.upload(job_id, file.filename or "", file.file)),
            facts=facts(job_id),
            body=file.filename,
        )

    @router.get(
        "/jobs/{job_id}/errors", response_model=RowErrorList, responses={**REFUSED, **UNKNOWN}
    )
    def errors(
        request: Request,
        job_id: str,
        limit: Annotated[int, Query(ge=0)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        def work() -> dict[str, Any]:
            found = jobs.get(job_id)["_errors"]
            page = found[offset : offset + min(limit, tenant.options.max_error_page_size)]
            return {"errors": page, "total": len(found)}

        return answering.answer(request, "getImportErrors", work, facts=facts(job_id))

    return router
