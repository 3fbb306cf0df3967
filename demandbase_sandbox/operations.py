"""The operations of both APIs: ids, methods and paths."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

EXPORT_PREFIX = "/data/export/v1"

IMPORT_PREFIX = "/import/v1"

SOURCES_PREFIX = "/integration/v1/custom-sources"

TOKEN_PATH = "/auth/v1/token"  # noqa: S105 - a path

V1_OPERATIONS = {
    "listExportableEntities": ("GET", "/export/v1/entities"),
    "createExportJob": ("POST", "/export/v1/jobs"),
    "listExportJobs": ("GET", "/export/v1/jobs"),
    "getExportJob": ("GET", "/export/v1/jobs/{jobId}"),
    "cancelExportJob": ("DELETE", "/export/v1/jobs/{jobId}"),
    "downloadExportFile": ("GET", "/export/v1/jobs/{jobId}/download"),
    "createImportJob": ("POST", "/import/v1/jobs"),
    "listImportJobs": ("GET", "/import/v1/jobs"),
    "getImportJob": ("GET", "/import/v1/jobs/{jobId}"),
    "cancelImportJob": ("DELETE", "/import/v1/jobs/{jobId}"),
    "uploadImportFile": ("POST", "/import/v1/jobs/{jobId}/upload"),
    "getImportErrors": ("GET", "/import/v1/jobs/{jobId}/errors"),
    "listFieldMappings": ("GET", "/import/v1/mappings"),
}

UAPI_OPERATIONS = {
    "createToken": ("POST", TOKEN_PATH),
    "fetchFields": ("GET", f"{EXPORT_PREFIX}/fields"),
    "createExportJob": ("POST", f"{EXPORT_PREFIX}/job"),
    "fetchAccountListJob": ("POST", f"{EXPORT_PREFIX}/accountList/job"),
    "fetchPersonListJob": ("POST", f"{EXPORT_PREFIX}/personList/job"),
    "fetchExportJobsInfo": ("GET", f"{EXPORT_PREFIX}/jobs"),
    "checkExportJobStatus": ("GET", f"{EXPORT_PREFIX}/job/{{jobId}}"),
    "get-reference": ("GET", f"{EXPORT_PREFIX}/references"),
    "get-support-object": ("GET", f"{EXPORT_PREFIX}/reference/{{object}}"),
    "createImportJob": ("POST", f"{IMPORT_PREFIX}/job"),
    "uploadImportFile": ("PUT", f"{IMPORT_PREFIX}/job/{{id}}/data"),
    "getImportJob": ("GET", f"{IMPORT_PREFIX}/job/{{id}}"),
    "listImportJobs": ("GET", f"{IMPORT_PREFIX}/jobs"),
    "listImportSources": ("GET", f"{IMPORT_PREFIX}/{{entityType}}/sources"),
    "listActivityTypes": ("GET", f"{IMPORT_PREFIX}/activity_type"),
    "createActivityType": ("POST", f"{IMPORT_PREFIX}/activity_type"),
    "getActivityType": ("GET", f"{IMPORT_PREFIX}/activity_type/{{identifier}}"),
    "updateActivityType": ("PUT", f"{IMPORT_PREFIX}/activity_type/{{activityTypeId}}"),
    "listCustomSources": ("GET", SOURCES_PREFIX),
    "getCustomSource": ("GET", f"{SOURCES_PREFIX}/{{id}}"),
    "getFieldMappings": ("GET", f"{SOURCES_PREFIX}/{{source_id}}/field-mappings/{{object_type}}"),
}

DAILY_CALLS = {
    "createExportJob": 60,
    "fetchExportJobsInfo": 1200,
    "checkExportJobStatus": 300,
    "fetchFields": 60,
    "createImportJob": 1200,
    "uploadImportFile": 1200,
    "getImportJob": 3600,
    "listImportJobs": 3600,
    "listImportSources": 3600,
}
"""Published daily limits by operation."""

SIGNED_FILE = "signedFile"
"""A download from the host behind signed links, which belongs to no API."""

OPERATIONS = frozenset({*V1_OPERATIONS, *UAPI_OPERATIONS, SIGNED_FILE})

EXPORT_OPERATIONS = frozenset(
    operation for operation, (_, path) in UAPI_OPERATIONS.items() if path.startswith(EXPORT_PREFIX)
)
"""Export operations of uapi."""

CREATING = frozenset(
    {"createExportJob", "fetchAccountListJob", "fetchPersonListJob", "createImportJob"}
)
"""Operations that create a job."""

EXPORTING = EXPORT_OPERATIONS | {
    "listExportableEntities", "createExportJob", "listExportJobs", "getExportJob",
    "cancelExportJob", "downloadExportFile",
}  # fmt: skip
"""Operations of exports, of both APIs."""

IMPORTING = frozenset({
    "createImportJob", "uploadImportFile", "listImportJobs", "getImportJob", "cancelImportJob",
})  # fmt: skip
"""Operations of import jobs, of both APIs."""

PAGED = frozenset({"listExportJobs", "listImportJobs", "getImportErrors", "fetchExportJobsInfo"})
"""Operations that return a page of a list."""


def find_operation(operations: Mapping[str, tuple[str, str]], method: str, path: str) -> str:
    """Return the id of the operation that a request calls, or an empty text."""
    for operation, (its_method, template) in operations.items():
        if method == its_method and _pattern(template).fullmatch(path):
            return operation
    return ""


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", template))
