"""The operations under ``/export/v1``."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - FastAPI resolves annotations
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from demandbase_sandbox.answering import Answering, public
from demandbase_sandbox.documents import (
    CreateExport,
    EntityList,
    ExportJobDocument,
    ExportJobList,
)
from demandbase_sandbox.faults import Effect
from demandbase_sandbox.job_faults import job_secret
from demandbase_sandbox.paging import Limit, Offset, Page, page
from demandbase_sandbox.tenant import Tenant  # noqa: TC001

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]
REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"description": "Refused"},
    401: {"description": "Without the token"},
}
UNKNOWN: dict[int | str, dict[str, Any]] = {**REFUSED, 404: {"description": "No such job"}}
CONFLICT: dict[int | str, dict[str, Any]] = {**UNKNOWN, 409: {"description": "Has ended"}}
QUOTA: dict[int | str, dict[str, Any]] = {**REFUSED, 429: {"description": "Quota used up"}}
FILE: dict[int | str, dict[str, Any]] = {
    **UNKNOWN,
    200: {"content": {"text/csv": {}}},
    302: {"description": "Link"},
}


def export_routes(  # noqa: C901 - one inner function a route
    tenant: Tenant, answering: Answering, files_url: Callable[[], str]
) -> APIRouter:
    """Return the routes of a tenant's exports."""
    router = APIRouter(prefix="/export/v1")
    jobs = tenant.exports

    def link(job_id: str, part: int, life: float) -> str:
        expires = tenant.clock.now().timestamp() + life
        return tenant.signer.link(files_url(), jobs.files.name(job_id, part), expires)

    def shown(job: dict[str, Any]) -> dict[str, Any]:
        document = public(job)
        if job["status"] == "completed":
            document["download_url"] = link(job["id"], 1, tenant.options.link_expires_seconds)
        return document

    def facts(job_id: str) -> dict[str, Any]:
        job = tenant.book.get("export", job_id) or {}
        return {"job_id": job_id, "entity_type": job.get("entity_type")}

    @router.get(
        "/entities",
        operation_id="listExportableEntities",
        response_model=EntityList,
        responses=REFUSED,
    )
    def entities(request: Request) -> Response:
        return answering.answer(request, lambda: {"entities": _entities(tenant)})

    @router.post(
        "/jobs",
        operation_id="createExportJob",
        status_code=202,
        response_model=ExportJobDocument,
        responses=QUOTA,
    )
    def create(request: Request, body: CreateExport) -> Response:
        asked = body.model_dump(exclude_none=True)

        def work() -> dict[str, Any]:
            return public(jobs.create(asked, job_secret(tenant.faults, "createExportJob", asked)))

        return answering.answer(request, work, status=202, facts=asked, body=asked)

    @router.get(
        "/jobs", operation_id="listExportJobs", response_model=ExportJobList, responses=REFUSED
    )
    def list_jobs(
        request: Request, status: Status | None = None, limit: Limit = 25, offset: Offset = 0
    ) -> Response:
        def work() -> dict[str, Any]:
            asked, largest = Page(limit, offset), tenant.options.max_page_size
            given = page(tenant.faults, "listExportJobs", {}, asked, largest)
            found, total = tenant.book.page("export", status, given.limit, given.offset)
            return {"jobs": [shown(job) for job in found], "total": total}

        return answering.answer(request, work)

    @router.get(
        "/jobs/{jobId}",
        operation_id="getExportJob",
        response_model=ExportJobDocument,
        responses=UNKNOWN,
    )
    def get(request: Request, jobId: str) -> Response:  # noqa: N803 - the contract's name
        return answering.answer(request, lambda: shown(jobs.get(jobId)), facts=facts(jobId))

    @router.delete(
        "/jobs/{jobId}",
        operation_id="cancelExportJob",
        response_model=ExportJobDocument,
        responses=CONFLICT,
    )
    def cancel(request: Request, jobId: str) -> Response:  # noqa: N803
        return answering.answer(request, lambda: public(jobs.cancel(jobId)), facts=facts(jobId))

    @router.get(
        "/jobs/{jobId}/download",
        operation_id="downloadExportFile",
        response_class=Response,
        responses=FILE,
    )
    def download(request: Request, jobId: str, part: int = 1) -> Response:  # noqa: N803
        known = {**facts(jobId), "part": part}

        def work() -> Response:
            path = jobs.file(jobId, part)
            if tenant.options.direct_download:
                return FileResponse(path, media_type="text/csv")
            expired = tenant.faults.hits("downloadExportFile", known, Effect.EXPIRED_LINK)
            life = -1 if expired else tenant.options.link_expires_seconds
            return RedirectResponse(link(jobId, part, life), 302)

        return answering.answer(request, work, facts=known)

    return router


def _entities(tenant: Tenant) -> list[dict[str, Any]]:
    return [
        {
            "name": entity.name,
            "description": entity.description,
            "fields": [
                {"name": field.name, "type": field.type, "description": field.description}
                for field in entity.fields
            ],
        }
        for entity in tenant.store.v1_entities.values()
    ]
