"""The operations under ``/export/v1``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, UploadFile
from fastapi.responses import FileResponse, RedirectResponse, Response

from demandbase_sandbox.faults import Effect, FaultBook, job_secret
from demandbase_sandbox.routing import Answering, public
from demandbase_sandbox.tenant.tenant import Tenant
from demandbase_sandbox.v1.schemas import (
    CreateExport,
    CreateImport,
    EntityList,
    ExportJobDocument,
    ExportJobList,
    ImportJobDocument,
    ImportJobList,
    MappingList,
    RowErrorList,
)

Limit = Annotated[int, Query(ge=0)]

Offset = Annotated[int, Query(ge=0)]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list."""

    limit: int
    offset: int


def page(
    faults: FaultBook,
    operation: str,
    facts: dict[str, Any],
    asked: Page,
    largest: int,
) -> Page:
    """Return the page that is given for one that is asked for: capped, and shifted by a fault."""
    hit = faults.hits(operation, facts, Effect.SHIFT_PAGE).get(Effect.SHIFT_PAGE)
    offset = asked.offset + (hit.rows if hit else 0)
    return Page(min(asked.limit, largest), max(0, offset))


ExportStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]

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
        request: Request, status: ExportStatus | None = None, limit: Limit = 25, offset: Offset = 0
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


ImportStatus = Literal["pending", "validating", "processing", "completed", "failed", "cancelled"]

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
        request: Request, status: ImportStatus | None = None, limit: Limit = 25, offset: Offset = 0
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
