"""The operations under ``/export/v1`` and ``/import/v1``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, UploadFile
from fastapi.responses import FileResponse, RedirectResponse, Response

from demandbase_sandbox.faults import Effect
from demandbase_sandbox.routing import Call, CurrentCall, SandboxRouter
from demandbase_sandbox.tenant.jobs import AnyJob, SimulatedJobs
from demandbase_sandbox.tenant.tenant import Tenant
from demandbase_sandbox.v1.exports import ExportJob
from demandbase_sandbox.v1.schemas import (
    CreateExport,
    CreateImport,
    EntityDocument,
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

ExportStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]

ImportStatus = Literal["pending", "validating", "processing", "completed", "failed", "cancelled"]

_Responses = dict[int | str, dict[str, Any]]

ERRORS: _Responses = {
    400: {"description": "Rejected"},
    401: {"description": "Without the token"},
}

JOB_ERRORS: _Responses = {**ERRORS, 404: {"description": "No such job"}}

CONFLICT: _Responses = {**JOB_ERRORS, 409: {"description": "Has ended"}}

QUOTA: _Responses = {**ERRORS, 429: {"description": "Quota used up"}}

TOO_LARGE: _Responses = {**JOB_ERRORS, 413: {"description": "File too large"}}

FILE: _Responses = {
    **JOB_ERRORS,
    200: {"content": {"text/csv": {}}},
    302: {"description": "Link"},
}

exports = SandboxRouter(prefix="/export/v1")

imports = SandboxRouter(prefix="/import/v1")


@exports.get(
    "/entities",
    operation_id="listExportableEntities",
    responses=ERRORS,
)
def entities(call: CurrentCall) -> EntityList:
    """Return the entities that can be exported, with their fields."""
    found = call.tenant.store.v1_entities.values()
    return EntityList(entities=[EntityDocument.model_validate(entity) for entity in found])


@exports.post(
    "/jobs",
    operation_id="createExportJob",
    status_code=202,
    responses=QUOTA,
)
def create_export(call: CurrentCall, body: CreateExport) -> ExportJobDocument:
    """Create an export job."""
    return ExportJobDocument.model_validate(
        call.tenant.exports.create(body.members(), call.job_faults())
    )


@exports.get("/jobs", operation_id="listExportJobs", responses=ERRORS)
def list_exports(
    call: CurrentCall, status: ExportStatus | None = None, limit: Limit = 25, offset: Offset = 0
) -> ExportJobList:
    """Return a page of the export jobs, newest first."""
    found, total = _page(call, call.tenant.exports, status, limit, offset)
    return ExportJobList(jobs=[_shown(call.tenant, job) for job in found], total=total)


@exports.get(
    "/jobs/{jobId}",
    operation_id="getExportJob",
    responses=JOB_ERRORS,
)
def get_export(call: CurrentCall, jobId: str) -> ExportJobDocument:  # noqa: N803 - the contract's name
    """Return an export job."""
    return _shown(call.tenant, call.tenant.exports.get(jobId))


@exports.delete(
    "/jobs/{jobId}",
    operation_id="cancelExportJob",
    responses=CONFLICT,
)
def cancel_export(call: CurrentCall, jobId: str) -> ExportJobDocument:  # noqa: N803
    """Cancel an export job that has not ended."""
    return ExportJobDocument.model_validate(call.tenant.exports.cancel(jobId))


@exports.get(
    "/jobs/{jobId}/download",
    operation_id="downloadExportFile",
    response_class=Response,
    responses=FILE,
)
def download(call: CurrentCall, jobId: str, part: int = 1) -> Response:  # noqa: N803
    """Redirect to a signed link to a part, or send the part."""
    options = call.tenant.options
    path = call.tenant.exports.file(jobId, part)
    if options.direct_download:
        return FileResponse(path, media_type="text/csv")
    life = -1 if call.fault(Effect.EXPIRED_LINK) else options.link_expires_seconds
    return RedirectResponse(call.tenant.link(path.name, life), 302)


@imports.get("/mappings", operation_id="listFieldMappings", responses=ERRORS)
def mappings(call: CurrentCall, entity_type: str | None = None) -> MappingList:
    """Return the fields that can be imported."""
    return MappingList(mappings=call.tenant.imports.mappings(entity_type))


@imports.post(
    "/jobs",
    operation_id="createImportJob",
    status_code=202,
    responses=ERRORS,
)
def create_import(call: CurrentCall, body: CreateImport) -> ImportJobDocument:
    """Create an import job."""
    return ImportJobDocument.model_validate(
        call.tenant.imports.create(body.members(), call.job_faults())
    )


@imports.get("/jobs", operation_id="listImportJobs", responses=ERRORS)
def list_imports(
    call: CurrentCall, status: ImportStatus | None = None, limit: Limit = 25, offset: Offset = 0
) -> ImportJobList:
    """Return a page of the import jobs, newest first."""
    found, total = _page(call, call.tenant.imports, status, limit, offset)
    return ImportJobList(jobs=[ImportJobDocument.model_validate(job) for job in found], total=total)


@imports.get(
    "/jobs/{jobId}",
    operation_id="getImportJob",
    responses=JOB_ERRORS,
)
def get_import(call: CurrentCall, jobId: str) -> ImportJobDocument:  # noqa: N803
    """Return an import job."""
    return ImportJobDocument.model_validate(call.tenant.imports.get(jobId))


@imports.delete(
    "/jobs/{jobId}",
    operation_id="cancelImportJob",
    responses=CONFLICT,
)
def cancel_import(call: CurrentCall, jobId: str) -> ImportJobDocument:  # noqa: N803
    """Cancel an import job that is not being processed yet."""
    return ImportJobDocument.model_validate(call.tenant.imports.cancel(jobId))


@imports.post(
    "/jobs/{jobId}/upload",
    operation_id="uploadImportFile",
    responses=TOO_LARGE,
)
def upload(call: CurrentCall, jobId: str, file: UploadFile) -> ImportJobDocument:  # noqa: N803
    """Upload a job's file."""
    too_large = call.fault(Effect.TOO_LARGE)
    limit = too_large.bytes if too_large else None
    return ImportJobDocument.model_validate(
        call.tenant.imports.upload(jobId, file.filename or "", file.file, limit)
    )


@imports.get(
    "/jobs/{jobId}/errors",
    operation_id="getImportErrors",
    responses=JOB_ERRORS,
)
def errors(
    call: CurrentCall,
    jobId: str,  # noqa: N803
    limit: Limit = 100,
    offset: Offset = 0,
) -> RowErrorList:
    """Return a page of a job's row errors."""
    odd = call.fault(Effect.ODD_ERRORS)
    limit = min(limit, call.tenant.options.max_error_page_size)
    return call.tenant.imports.errors(jobId, limit, call.shifted(offset), odd.how if odd else "")


def _page(
    call: Call, jobs: SimulatedJobs[AnyJob], status: str | None, limit: int, offset: int
) -> tuple[list[AnyJob], int]:
    """Return a page of jobs, newest first, and the number of all."""
    found = [job for job in call.visible(jobs) if status in {None, job.status}]
    start = call.shifted(offset)
    return found[start : start + min(limit, call.tenant.options.max_page_size)], len(found)


def _shown(tenant: Tenant, job: ExportJob) -> ExportJobDocument:
    document = ExportJobDocument.model_validate(job)
    if job.status == "completed":
        life = tenant.options.link_expires_seconds
        document.download_url = tenant.link(job.files[0].name, life)
    return document
