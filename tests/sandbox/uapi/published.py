"""Facts that Demandbase publishes about its API, to which the sandbox is compared.

Of the Custom Sources API, these are the reading operations.
"""

from __future__ import annotations

EXPORT = "/data/export/v1"
IMPORT = "/import/v1"

SOURCES = "/integration/v1/custom-sources"

OPERATIONS = {
    ("POST", "/auth/v1/token"),
    ("GET", f"{EXPORT}/fields"),
    ("POST", f"{EXPORT}/job"),
    ("POST", f"{EXPORT}/accountList/job"),
    ("POST", f"{EXPORT}/personList/job"),
    ("GET", f"{EXPORT}/jobs"),
    ("GET", f"{EXPORT}/job/{{jobId}}"),
    ("GET", f"{EXPORT}/references"),
    ("GET", f"{EXPORT}/reference/{{object}}"),
    ("POST", f"{IMPORT}/job"),
    ("GET", f"{IMPORT}/job/{{id}}"),
    ("PUT", f"{IMPORT}/job/{{id}}/data"),
    ("GET", f"{IMPORT}/jobs"),
    ("GET", f"{IMPORT}/{{entityType}}/sources"),
    ("POST", f"{IMPORT}/activity_type"),
    ("GET", f"{IMPORT}/activity_type"),
    ("GET", f"{IMPORT}/activity_type/{{identifier}}"),
    ("PUT", f"{IMPORT}/activity_type/{{activityTypeId}}"),
    ("GET", SOURCES),
    ("GET", f"{SOURCES}/{{id}}"),
    ("GET", f"{SOURCES}/{{source_id}}/field-mappings/{{object_type}}"),
}

ENTITY_TYPES = (
    "account", "person", "opportunity", "activity", "campaign", "creative",
    "accountBuyingGroup", "personBuyingGroupMember",
)  # fmt: skip
REFERENCE_OBJECTS = (
    "persona", "buyerRole", "idealBuyingGroup", "idealBuyingGroupPersonaRole", "keywordSet",
    "keywordSetMember", "JobFunction", "JobLevel",
)  # fmt: skip
DATA_TYPES = {
    "Boolean", "Currency", "Date", "Datetime", "Double", "Email", "Integer", "Long", "Percent",
    "Picklist", "String", "Text", "URL",
}  # fmt: skip

CREATED_JOB = {"jobId", "jobName", "entityType", "jobStatus", "createdAt"}
LISTED_JOB = CREATED_JOB | {"updatedAt"}
JOB_STATUS = LISTED_JOB | {"resultsUrl", "message"}
JOB_PAGE = {"pageNo", "pageSize", "data", "totalCount"}
ERROR = {"errorCode", "errorMessage", "diagnosticCode"}
IMPORT_JOB = {"id", "dataImportName", "entityType", "state", "createdAt", "updatedAt", "source"}
SOURCE = {"id", "name", "description", "sourceGroup", "priority"}
FIELD_MAPPING = {"sourceFieldLabel", "demandbaseFieldName", "dataType"}
STRUCTURED_ERROR = {"code", "message", "diagnosticCode"}
IMPORT_PAGE = {"totalCount", "data"}

EXPORT_CREATES, EXPORT_LISTS, EXPORT_STATUSES, FIELD_CALLS = 60, 1200, 300, 60
IMPORT_CREATES, IMPORT_UPLOADS, IMPORT_STATUSES, IMPORT_LISTS, METADATA_CALLS = (
    1200, 1200, 3600, 3600, 3600,
)  # fmt: skip
ERROR_CODE_SPANS = (
    (400, 102, 104),
    (400, 111, 127),
    (400, 129, 155),
    (401, 100, 100),
    (403, 100, 105),
    (404, 301, 303),
    (429, 100, 102),
    (500, 100, 100),
)
"""Status, first and last number."""
ERROR_CODES = {
    f"{status}-{number}"
    for status, first, last in ERROR_CODE_SPANS
    for number in range(first, last + 1)
}
TOKEN_SECONDS = 28_800
MAX_JOB_NAME = 50
MAX_IDS = 10_000
MAX_ACTIVITY_DAYS = 90
