"""The calls that the APIs offer, with the words that messages use for them."""

from __future__ import annotations

from enum import StrEnum


class ApiOperation(StrEnum):
    """A call; its value completes the sentence "Demandbase … when asked to …"."""

    ISSUE_TOKEN = "issue an access token"  # noqa: S105 - no token
    LIST_ENTITIES = "list the exportable entities"
    LIST_FIELDS = "list the fields of an entity"
    CREATE_EXPORT = "create an export job"
    LIST_EXPORTS = "list the export jobs"
    GET_EXPORT = "describe an export job"
    CANCEL_EXPORT = "cancel an export job"
    DOWNLOAD_PART = "hand out an exported file"
    FETCH_LINK = "serve an exported file from its signed link"
    CREATE_IMPORT = "create an import job"
    LIST_IMPORTS = "list the import jobs"
    GET_IMPORT = "describe an import job"
    CANCEL_IMPORT = "cancel an import job"
    UPLOAD_FILE = "take an import file"
    LIST_ROW_ERRORS = "list the row errors of an import job"
    LIST_MAPPINGS = "list the field mappings"
    LIST_ACTIVITY_TYPES = "list the activity types"
    GET_ACTIVITY_TYPE = "describe an activity type"

    @property
    def creates_a_job(self) -> bool:
        """Whether a repetition could leave a second job behind."""
        return self in {ApiOperation.CREATE_EXPORT, ApiOperation.CREATE_IMPORT}

    @property
    def carries_record_values(self) -> bool:
        """Whether the server's answer to it may quote a tenant's data."""
        return self in {
            ApiOperation.UPLOAD_FILE,
            ApiOperation.GET_IMPORT,
            ApiOperation.LIST_ROW_ERRORS,
            ApiOperation.FETCH_LINK,
        }
