"""The operations under ``/export/v1``."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - FastAPI resolves annotations
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from demandbase_sandbox.answering import Answering, public
from demandbase_sandbox.documents import (
    CreateExport,
    EntityList,
    ExportJobDocument,
    ExportJobList,
)
from demandbase_sandbox.faults import Effect
from demandbase_sandbox.tenant import Tenant  # noqa: TC001

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]
REFUSED: dict[int | str, dict[str, Any]] = {400: {"description": "Refused"}}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "No such job"}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"description": "Has ended"}}


def export_routes(  # noqa: C901 - one inner function a route
    tenant: Tenant, answering: Answering, files_url: Callable[[], str]
) -> APIRouter:
    """Return the routes of a tenant's exports."""
    router = APIRouter(prefix="/export/v1")
    jobs = tenant.exports

    def shown(job: dict[str, Any]) -> dict[str, Any]:
        document = public(job)
        if job["status"] == "completed":
            document["download_url"] = _link(tenant, files_url(), job["id"], 1)
        return document

    @router.get("/entities", response_model=EntityList)
    def entities(request: Request) -> Response:
        def work() -> dict[str, Any]:
            return {
                "entities": [
                    {
                        "name": entity.name,
                        "description": entity.description,
                        "fields": [
                            {"name": f.name, "type": f.type, "description": f.description}
                            for f in entity.fields
                        ],
                    }
                    for entity in tenant.store.entities.values()
                ]
            }

        return answering.answer(request, "listExportableEntities", work)

    @router.post("/jobs", status_code=202, response_model=ExportJobDocument, responses=REFUSED)
    def create(request: Request, body: CreateExport) -> Response:
        asked = body.model_dump(exclude_none=True)
        secret = secrets_for(tenant, "createExportJob", asked)
        return answering.answer(
            request,
            "createExportJob",
            lambda: public(jobs.create(asked, secret)),
            status=202,
            facts=asked,
            body=asked,
        )

    @router.get("/jobs", response_model=ExportJobList, responses=REFUSED)
    def list_jobs(
        request: Request,
        status: Status | None = None,
        limit: Annotated[int, Query(ge=0)] = 25,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        def work() -> dict[str, Any]:
            found = [j for j in tenant.store.jobs("export") if status in {None, j["status"]}]
            page = found[offset : offset + min(limit, tenant.options.max_page_size)]
            return {"jobs": [shown(job) for job in page], "total": len(found)}

        return answering.answer(request, "listExportJobs", work)

    @router.get("/jobs/{job_id}", response_model=ExportJobDocument, responses=UNKNOWN)
    def get(request: Request, job_id: str) -> Response:
        return answering.answer(
            request,
            "getExportJob",
            lambda: shown(jobs.get(job_id)),
            facts=_facts(tenant, job_id),
        )

    @router.delete(
        "/jobs/{job_id}", response_model=ExportJobDocument, responses={**UNKNOWN, **CONFLICT}
    )
    def cancel(request: Request, job_id: str) -> Response:
        return answering.answer(
            request,
            "cancelExportJob",
            lambda: public(jobs.cancel(job_id)),
            facts=_facts(tenant, job_id),
        )

    @router.get(
        "/jobs/{job_id}/download",
        response_class=Response,
        responses={200: {"content": {"text/csv": {}}}, 302: {"description": "Link"}, **UNKNOWN},
    )
    def download(request: Request, job_id: str, part: int = 1) -> Response:
        facts = {**_facts(tenant, job_id), "part": part}

        def work() -> Response:
            path = jobs.file(job_id, part)
            if tenant.options.direct_download:
                return FileResponse(path, media_type="text/csv")
            expired = tenant.faults.hits("downloadExportFile", facts, Effect.EXPIRED_LINK)
            link = _link(tenant, files_url(), job_id, part, expired=bool(expired))
            return RedirectResponse(link, 302)

        return answering.answer(request, "downloadExportFile", work, facts=facts)

    return router


def secrets_for(tenant: Tenant, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what shall go wrong with the job that is being created."""
    secret: dict[str, Any] = {}
    effects = (Effect.JOB_FAILS, Effect.NEVER_ENDS, Effect.MANGLE_CSV)
    for fault in tenant.faults.hits(operation, asked, *effects):
        match fault.effect:
            case Effect.JOB_FAILS:
                secret["job_fails"] = fault.message
            case Effect.NEVER_ENDS:
                secret["never_ends"] = True
            case _:
                secret["mangle_csv"] = fault.how
    return secret


def _facts(tenant: Tenant, job_id: str) -> dict[str, Any]:
    job = tenant.store.job("export", job_id) or {}
    return {"job_id": job_id, "entity_type": job.get("entity_type")}


def _link(tenant: Tenant, base: str, job_id: str, part: int, *, expired: bool = False) -> str:
    life = -1 if expired else tenant.options.link_expires_seconds
    name = f"{job_id}-part-{part}.csv"
    return tenant.signer.link(base, name, tenant.clock.now().timestamp() + life)
