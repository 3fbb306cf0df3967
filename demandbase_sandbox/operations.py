"""The operations of both APIs by their ids, and where those of v1 stand."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

EXPORT_PREFIX = "/data/export/v1"

IMPORT_PREFIX = "/import/v1"

TOKEN_PATH = "/auth/v1/token"  # noqa: S105 - a path

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
}

EXPORT_OPERATIONS = frozenset(
    operation for operation, (_, path) in UAPI_OPERATIONS.items() if path.startswith(EXPORT_PREFIX)
)

UAPI_CREATING = frozenset(
    {"createExportJob", "fetchAccountListJob", "fetchPersonListJob", "createImportJob"}
)

UAPI_PAGED = frozenset({"fetchExportJobsInfo", "listImportJobs"})

COUNTERPARTS = {
    "listExportableEntities": "fetchFields",
    "createExportJob": "createExportJob",
    "listExportJobs": "fetchExportJobsInfo",
    "getExportJob": "checkExportJobStatus",
    "downloadExportFile": "checkExportJobStatus",
    "createImportJob": "createImportJob",
    "listImportJobs": "listImportJobs",
    "getImportJob": "getImportJob",
    "uploadImportFile": "uploadImportFile",
    "signedFile": "signedFile",
}
"""The published operation that does what one of v1 does, where there is one."""

SIGNED_FILE = "signedFile"
"""What the host behind signed links does; it is no operation of the API."""

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

OPERATIONS = frozenset({*V1_OPERATIONS, *UAPI_OPERATIONS, SIGNED_FILE})

CREATING = frozenset({"createExportJob", "createImportJob"}) | UAPI_CREATING

PAGED = frozenset({"listExportJobs", "listImportJobs", "getImportErrors"}) | UAPI_PAGED


def find_operation(operations: Mapping[str, tuple[str, str]], method: str, path: str) -> str:
    """Return the id of the operation that a request calls, or an empty text."""
    for operation, (its_method, template) in operations.items():
        if method == its_method and _pattern(template).fullmatch(path):
            return operation
    return ""


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", template))
