"""The operations of both APIs by their ids, and where those of v1 stand."""

from __future__ import annotations

import re

from demandbase_sandbox.uapi.operations import UAPI_CREATING, UAPI_OPERATIONS, UAPI_PAGED

SIGNED_FILE = "signedFile"
"""What the host behind signed links does; it is no operation of the API."""

API_OPERATIONS = {
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
OPERATIONS = frozenset({*API_OPERATIONS, *UAPI_OPERATIONS, SIGNED_FILE})
CREATING = frozenset({"createExportJob", "createImportJob"}) | UAPI_CREATING
PAGED = frozenset({"listExportJobs", "listImportJobs", "getImportErrors"}) | UAPI_PAGED

_PATTERNS = {
    operation: (method, re.compile(path.replace("{jobId}", "[^/]+")))
    for operation, (method, path) in API_OPERATIONS.items()
}


def operation_of(method: str, path: str) -> str:
    """Return the id of the operation that a request is meant for, or an empty text."""
    for operation, (its_method, pattern) in _PATTERNS.items():
        if method == its_method and pattern.fullmatch(path):
            return operation
    return ""
