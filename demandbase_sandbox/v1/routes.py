"""The operations under ``/export/v1`` and ``/import/v1``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query, UploadFile
from fastapi.responses import FileResponse, RedirectResponse, Response

from demandbase_sandbox.faults import Effect
from demandbase_sandbox.routing import Call, CurrentCall, SandboxRouter
from demandbase_sandbox.tenant.jobs import public
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

ExportStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]

ImportStatus = Literal["pending", "validating", "processing", "completed", "failed", "cancelled"]

_Responses = dict[int | str, dict[str, Any]]

REFUSED: _Responses = {
    400: {"description": "Refused"},
    401: {"description": "Without the token"},
}

UNKNOWN: _Responses = {**REFUSED, 404: {"description": "No such job"}}

CONFLICT: _Responses = {**UNKNOWN, 409: {"description": "Has ended"}}

QUOTA: _Responses = {**REFUSED, 429: {"description": "Quota used up"}}

TOO_LARGE: _Responses = {**UNKNOWN, 413: {"description": "File too large"}}

FILE: _Responses = {
    **UNKNOWN,
    200: {"content": {"text/csv": {}}},
    302: {"description": "Link"},
}

exports = SandboxRouter(prefix="/export/v1")

imports = SandboxRouter(prefix="/import/v1")


@exports.get(
    "/entities",
    operation_id="listExportableEntities",
    response_model=EntityList,
    responses=REFUSED,
)
def entities(call: CurrentCall) -> dict[str, Any]:
    """Return the entities that can be exported, with their fields."""
    return {
        "entities": [
            {
                "name": entity.name,
                "description": entity.description,
                "fields": [
                    {"name": field.name, "type": field.type, "description": field.description}
                    for field in entity.fields
                ],
            }
            for entity in call.tenant.store.v1_entities.values()
        ]
    }


@exports.post(
    "/jobs",
    operation_id="createExportJob",
    status_code=202,
    response_model=ExportJobDocument,
    responses=QUOTA,
)
def create_export(call: CurrentCall, body: CreateExport) -> dict[str, Any]:
    """Create an export job."""
    return public(call.tenant.exports.create(body.asked(), call.job_faults()))


@exports.get(
    "/jobs", operation_id="listExportJobs", response_model=ExportJobList, responses=REFUSED
)
def list_exports(
    call: CurrentCall, status: ExportStatus | None = None, limit: Limit = 25, offset: Offset = 0
) -> dict[str, Any]:
    """Return a page of the export jobs, newest first."""
    page = _page(call, limit, offset, call.tenant.options.max_page_size)
    found, total = call.tenant.book.page("export", status, page.limit, page.offset)
    return {"jobs": [_shown(call.tenant, job) for job in found], "total": total}


@exports.get(
    "/jobs/{jobId}",
    operation_id="getExportJob",
    response_model=ExportJobDocument,
    responses=UNKNOWN,
)
def get_export(call: CurrentCall, jobId: str) -> dict[str, Any]:  # noqa: N803 - the contract's name
    """Return an export job."""
    return _shown(call.tenant, call.tenant.exports.get(jobId))


@exports.delete(
    "/jobs/{jobId}",
    operation_id="cancelExportJob",
    response_model=ExportJobDocument,
    responses=CONFLICT,
)
def cancel_export(call: CurrentCall, jobId: str) -> dict[str, Any]:  # noqa: N803
    """Cancel an export job that has not ended."""
    return public(call.tenant.exports.cancel(jobId))


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


@imports.get(
    "/mappings", operation_id="listFieldMappings", response_model=MappingList, responses=REFUSED
)
def mappings(call: CurrentCall, entity_type: str | None = None) -> dict[str, Any]:
    """Return the fields that can be imported."""
    return {"mappings": call.tenant.imports.mappings(entity_type)}


@imports.post(
    "/jobs",
    operation_id="createImportJob",
    status_code=202,
    response_model=ImportJobDocument,
    responses=REFUSED,
)
def create_import(call: CurrentCall, body: CreateImport) -> dict[str, Any]:
    """Create an import job."""
    return public(call.tenant.imports.create(body.asked(), call.job_faults()))


@imports.get(
    "/jobs", operation_id="listImportJobs", response_model=ImportJobList, responses=REFUSED
)
def list_imports(
    call: CurrentCall, status: ImportStatus | None = None, limit: Limit = 25, offset: Offset = 0
) -> dict[str, Any]:
    """Return a page of the import jobs, newest first."""
    page = _page(call, limit, offset, call.tenant.options.max_page_size)
    found, total = call.tenant.book.page("import", status, page.limit, page.offset)
    return {"jobs": [public(job) for job in found], "total": total}


@imports.get(
    "/jobs/{jobId}",
    operation_id="getImportJob",
    response_model=ImportJobDocument,
    responses=UNKNOWN,
)
def get_import(call: CurrentCall, jobId: str) -> dict[str, Any]:  # noqa: N803
    """Return an import job."""
    return public(call.tenant.imports.get(jobId))


@imports.delete(
    "/jobs/{jobId}",
    operation_id="cancelImportJob",
    response_model=ImportJobDocument,
    responses=CONFLICT,
)
def cancel_import(call: CurrentCall, jobId: str) -> dict[str, Any]:  # noqa: N803
    """Cancel an import job that is not being processed yet."""
    return public(call.tenant.imports.cancel(jobId))


@imports.post(
    "/jobs/{jobId}/upload",
    operation_id="uploadImportFile",
    response_model=ImportJobDocument,
    responses=TOO_LARGE,
)
def upload(call: CurrentCall, jobId: str, file: UploadFile) -> dict[str, Any]:  # noqa: N803
    """Upload a job's file."""
    too_large = call.fault(Effect.TOO_LARGE)
    limit = too_large.bytes if too_large else None
    return public(call.tenant.imports.upload(jobId, file.filename or "", file.file, limit))


@imports.get(
    "/jobs/{jobId}/errors",
    operation_id="getImportErrors",
    response_model=RowErrorList,
    responses=UNKNOWN,
)
def errors(
    call: CurrentCall,
    jobId: str,  # noqa: N803
    limit: Limit = 100,
    offset: Offset = 0,
) -> dict[str, Any]:
    """Return a page of a job's row errors."""
    call.tenant.imports.get(jobId)
    page = _page(call, limit, offset, call.tenant.options.max_error_page_size)
    found, total = call.tenant.book.row_errors(jobId, page.limit, page.offset)
    return {"errors": found, "total": total}


@dataclass(frozen=True, slots=True)
class _Page:
    limit: int
    offset: int


def _page(call: Call, limit: int, offset: int, largest: int) -> _Page:
    """Return the page that is given for one that is asked for: capped, and shifted by a fault."""
    shift = call.fault(Effect.SHIFT_PAGE)
    return _Page(min(limit, largest), max(0, offset + (shift.rows if shift else 0)))


def _shown(tenant: Tenant, job: dict[str, Any]) -> dict[str, Any]:
    document = public(job)
    if job["status"] == "completed":
        name = tenant.exports.files.name(job["id"], 1)
        document["download_url"] = tenant.link(name, tenant.options.link_expires_seconds)
    return document
