"""Errors for error responses of this API: by the published error codes, else by status."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from demandbase_api import errors
from demandbase_api.errors import ApiOperation
from demandbase_api.http import error_mapping
from demandbase_api.http.error_mapping import AT_FIXED_PATHS

if TYPE_CHECKING:
    from demandbase_api.http.error_mapping import ErrorResponse, ErrorText

_IMPORTS = frozenset(
    {
        ApiOperation.CREATE_IMPORT,
        ApiOperation.LIST_IMPORTS,
        ApiOperation.GET_IMPORT,
        ApiOperation.UPLOAD_FILE,
        ApiOperation.LIST_ACTIVITY_TYPES,
        ApiOperation.GET_ACTIVITY_TYPE,
        ApiOperation.LIST_SOURCES,
    }
)

_IMPORT_FORBIDDEN: ErrorText = (
    errors.PermissionDeniedError,
    "denied permission",
    "The API Key Set needs the permission “Import Data”.",
)

_FORBIDDEN: dict[str | None, ErrorText] = {
    "403-100": (
        errors.PermissionDeniedError,
        "does not permit the owner of the credentials to export this",
        "Ask your Demandbase administrator for the export permission of the API Key Set.",
    ),
    "403-101": (
        errors.PermissionDeniedError,
        "does not give this tenant access to these records",
        "Ask Demandbase whether your contract includes it, or leave the stream out.",
    ),
    "403-102": (
        errors.PermissionDeniedError,
        "denies this API Key Set access",
        "Ask your Demandbase administrator to allow it for the API Key Set.",
    ),
    "403-103": (
        errors.PermissionDeniedError,
        "has no Export Collection enabled for this tenant",
        "Ask Demandbase to enable one.",
    ),
    "403-104": (
        errors.PermissionDeniedError,
        "does not export some of the fields, which the tenant's Export Collection lacks,",
        "Have them added to the Export Collection, or deselect them.",
    ),
    "403-105": (
        errors.PermissionDeniedError,
        "does not permit this tenant to use this call",
        "Ask Demandbase whether your contract includes it.",
    ),
}

_FORBIDDEN_OTHER: ErrorText = (
    errors.PermissionDeniedError,
    "denied permission",
    "Check the permissions of the API Key Set and the tenant's Export Collection.",
)

_RATE_LIMITED: ErrorText = (
    errors.RateLimitedError,
    "asked for fewer calls",
    "Try again later.",
)

_TOO_MANY: dict[str | None, ErrorText] = {
    "429-100": _RATE_LIMITED,  # concurrent queries
    "429-101": (
        errors.QuotaExceededError,
        "said that the quota is used up",
        (
            "It counts what was exported in the last 24 hours (10 GB; 100 MB on trial): run again "
            "later, or select less."
        ),
    ),
    "429-102": (
        errors.BusyError,
        "has as many jobs running as may run at a time",
        "Run again when they have ended.",
    ),
}

_TOO_MANY_TODAY: ErrorText = (
    errors.CallBudgetError,
    "allows no further call today",
    "The day's calls of this kind are used up; the count restarts at midnight UTC.",
)

_CREDENTIALS: ErrorText = (
    errors.AuthenticationError,
    "did not accept the client credentials",
    (
        "Check the settings client_id and client_secret: they are shown in the API Key Set, "
        "which may have been revoked."
    ),
)

_STATIC_TOKEN: ErrorText = (
    errors.AuthenticationError,
    "did not accept the access token",
    (
        "It may have expired, and a token alone cannot be renewed: set client_id and client_secret "
        "instead, or a new access_token."
    ),
)

_RENEWED_TOKEN: ErrorText = (
    errors.AuthenticationError,
    "did not accept a new access token either",
    "Check the API Key Set behind client_id: it may have been revoked.",
)

_WITHHELD_CODES = frozenset({"400-155", "403-104"})

_WITHHELD: ErrorText = (
    errors.InvalidRequestError,
    "does not export some of the fields, which are outside of the tenant's Export Collection,",
    (
        "Deselect them, or have them added to the Export Collection: no document and no call says "
        "which Collection has a field, so give their names to Demandbase."
    ),
)
"""The request must name other fields, whichever of its codes Demandbase chooses."""

_UNKNOWN_FIELDS = "400-115"

_ACCOUNT_LISTS = "account_list_id, and account_list_ids of stream_options"
_PERSON_LISTS = "person_list_ids of stream_options"
_DATES = "start_date and end_date"

_SETTINGS = {
    "400-111": _DATES,
    "400-112": _DATES,
    "400-113": _DATES,
    "400-114": _DATES,
    "400-129": _ACCOUNT_LISTS,
    "400-137": _DATES,
    "400-138": "source of stream_options",
    "400-139": "ad_report_type of stream_options",
    "400-140": "replication_key of stream_options, which has to name a date field",
    "400-141": _PERSON_LISTS,
    "400-142": _ACCOUNT_LISTS,
    "400-143": _PERSON_LISTS,
    "400-145": _ACCOUNT_LISTS,
    "400-146": _PERSON_LISTS,
}
"""Settings that the rejected value comes from, by error code."""

_BAD_REQUEST_ADVICE = {
    ApiOperation.CREATE_EXPORT: (
        "Check the settings stream_options, account_list_id, start_date and end_date."
    ),
    ApiOperation.LIST_FIELDS: "Check ad_report_type of stream_options.",
    ApiOperation.GET_REFERENCE: (
        "The tenant may no longer have this object: run discovery again, or deselect its stream."
    ),
}


def error_for(response: ErrorResponse, *, is_static: bool) -> errors.ApiError:
    """Return the error for a response.

    Args:
        response: The response.
        is_static: Whether the credentials are a token that cannot be renewed.
    """
    operation, code = response.operation, response.code
    text: ErrorText
    match response.status:
        case _ if operation is ApiOperation.FETCH_LINK:  # the host of a signed link has no codes
            return error_mapping.error_for(response)
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN if (
            operation is ApiOperation.ISSUE_TOKEN
        ):
            text = _CREDENTIALS
        case HTTPStatus.UNAUTHORIZED:
            text = _STATIC_TOKEN if is_static else _RENEWED_TOKEN
        case HTTPStatus.BAD_REQUEST | HTTPStatus.FORBIDDEN if (
            operation is ApiOperation.CREATE_EXPORT and code in _WITHHELD_CODES
        ):
            text = _WITHHELD
        case HTTPStatus.FORBIDDEN:
            by_code = _FORBIDDEN.get(code, _FORBIDDEN_OTHER)
            text = _IMPORT_FORBIDDEN if operation in _IMPORTS else by_code
        case HTTPStatus.NOT_FOUND if operation in AT_FIXED_PATHS:
            text = (
                errors.NotFoundError,
                f"found nothing at {response.origin}",
                "That host does not serve this API: check the settings api_url and api.",
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            is_short = operation is ApiOperation.ISSUE_TOKEN or response.asks_to_wait
            text = _TOO_MANY.get(code, _RATE_LIMITED if is_short else _TOO_MANY_TODAY)
        case HTTPStatus.BAD_REQUEST:
            advice = _bad_request_advice(operation, code)
            text = errors.InvalidRequestError, "did not accept the request", advice
        case _:
            return error_mapping.error_for(response)
    return response.error(*text)


def _bad_request_advice(operation: ApiOperation, code: str | None) -> str:
    if operation is ApiOperation.CREATE_EXPORT and code == _UNKNOWN_FIELDS:
        return (
            "Fields that it names no longer exist: run discovery again if there is a catalog, then "
            "run again."
        )
    settings = _SETTINGS.get(code or "")
    return f"Check {settings}." if settings else _BAD_REQUEST_ADVICE.get(operation, "")
