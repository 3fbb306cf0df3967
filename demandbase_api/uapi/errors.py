"""What refusals mean on this API: by their published codes, else by their status."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from demandbase_api import errors
from demandbase_api.errors import ApiOperation
from demandbase_api.http.error_mapping import AT_FIXED_PATHS, meaning_of

if TYPE_CHECKING:
    from demandbase_api.http.error_mapping import ErrorResponse, Meaning


_OF_IMPORTS = frozenset(
    {
        ApiOperation.CREATE_IMPORT,
        ApiOperation.LIST_IMPORTS,
        ApiOperation.GET_IMPORT,
        ApiOperation.UPLOAD_FILE,
        ApiOperation.LIST_ACTIVITY_TYPES,
        ApiOperation.GET_ACTIVITY_TYPE,
    }
)

_FORBIDDEN = {
    "403-100": (
        "does not let the owner of the credentials export this",
        "Ask your Demandbase administrator for the export permission of the API Key Set.",
    ),
    "403-101": (
        "does not let this tenant have this kind of record",
        "Ask Demandbase whether your contract includes it, or leave the stream out.",
    ),
    "403-102": (
        "does not let this API Key Set have it",
        "Ask your Demandbase administrator to allow it for the API Key Set.",
    ),
    "403-103": (
        "has no Export Collection enabled for this tenant",
        "Ask Demandbase to enable one.",
    ),
    "403-104": (
        "has fields left out of this tenant's Export Collection that were asked for",
        "Have them added to the Export Collection, or deselect them.",
    ),
    "403-105": (
        "does not let this tenant use this call",
        "Ask Demandbase whether your contract includes it.",
    ),
}

_UNKNOWN_FIELDS = frozenset({"400-115", "400-155"})

_ACCOUNT_LISTS = "account_list_id, and account_list_ids of stream_options"

_PERSON_LISTS = "person_list_ids of stream_options"

_DAYS = "start_date and end_date"

_SETTINGS = {
    "400-111": _DAYS,
    "400-112": _DAYS,
    "400-113": _DAYS,
    "400-114": _DAYS,
    "400-129": _ACCOUNT_LISTS,
    "400-137": _DAYS,
    "400-138": "source of stream_options",
    "400-139": "ad_report_type of stream_options",
    "400-140": "replication_key of stream_options, which has to name a date field",
    "400-141": _PERSON_LISTS,
    "400-142": _ACCOUNT_LISTS,
    "400-143": _PERSON_LISTS,
    "400-145": _ACCOUNT_LISTS,
    "400-146": _PERSON_LISTS,
}
"""Where what is refused comes from, by code."""

_CONCURRENT_QUERIES, _VOLUME, _CONCURRENT_JOBS = "429-100", "429-101", "429-102"


def uapi_meaning(  # noqa: PLR0911 - a table, a line a status
    refusal: ErrorResponse, *, is_static: bool
) -> Meaning:
    """Return what a refusal means.

    Args:
        refusal: The answer.
        is_static: Whether the credentials are a token that cannot be renewed.
    """
    operation = refusal.operation
    match refusal.status:
        case _ if operation is ApiOperation.FETCH_LINK:
            return meaning_of(refusal)
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN if (
            operation is ApiOperation.ISSUE_TOKEN
        ):
            return (
                errors.AuthenticationError,
                "did not accept the client credentials",
                (
                    "Check the settings client_id and client_secret: they stand in the API Key "
                    "Set, which may have been revoked."
                ),
            )
        case HTTPStatus.UNAUTHORIZED:
            return _unauthorized(is_static=is_static)
        case HTTPStatus.FORBIDDEN:
            return _forbidden(refusal)
        case HTTPStatus.NOT_FOUND if operation in AT_FIXED_PATHS:
            return (
                errors.NotFoundError,
                f"found nothing at {refusal.origin}",
                "That host does not serve this API: check the settings api_url and api.",
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            return _too_many(refusal)
        case HTTPStatus.BAD_REQUEST:
            return errors.InvalidRequestError, "did not accept the request", _advice_400(refusal)
        case _:
            return meaning_of(refusal)


def _unauthorized(*, is_static: bool) -> Meaning:
    if is_static:
        return (
            errors.AuthenticationError,
            "did not accept the access token",
            (
                "It may have expired, and a token alone cannot be renewed: set client_id and "
                "client_secret instead, or a new access_token."
            ),
        )
    return (
        errors.AuthenticationError,
        "did not accept a new access token either",
        "Check the API Key Set behind client_id: it may have been revoked.",
    )


def _forbidden(refusal: ErrorResponse) -> Meaning:
    if refusal.operation in _OF_IMPORTS:
        return (
            errors.PermissionDeniedError,
            "refused permission",
            "The API Key Set needs the permission “Import Data”.",
        )
    problem, advice = _FORBIDDEN.get(refusal.code or "", ("refused permission", ""))
    return (
        errors.PermissionDeniedError,
        problem,
        advice or "Check the permissions of the API Key Set and the tenant's Export Collection.",
    )


def _too_many(refusal: ErrorResponse) -> Meaning:
    match refusal.code:
        case code if code == _CONCURRENT_QUERIES:
            return errors.RateLimitedError, "asked for fewer calls", "Try again later."
        case code if code == _CONCURRENT_JOBS:
            return (
                errors.BusyError,
                "has as many jobs running as may run at a time",
                "Run again when they have ended.",
            )
        case code if code == _VOLUME:
            return (
                errors.QuotaExceededError,
                "said that the quota is used up",
                (
                    "It counts what was exported in the last 24 hours (10 GB; 100 MB on trial): "
                    "run again later, or select less."
                ),
            )
        case _ if refusal.operation is ApiOperation.ISSUE_TOKEN:
            return errors.RateLimitedError, "asked for fewer calls", "Try again later."
        case _:
            return (
                errors.CallBudgetError,
                "allows no further call today",
                "The day's calls of this kind are used up; they start anew at midnight UTC.",
            )


def _advice_400(refusal: ErrorResponse) -> str:
    if refusal.operation is ApiOperation.CREATE_EXPORT and refusal.code in _UNKNOWN_FIELDS:
        return "Run again: the fields are asked for anew, and the message names what is gone."
    if (settings := _SETTINGS.get(refusal.code or "")) is not None:
        return f"Check {settings}."
    match refusal.operation:
        case ApiOperation.CREATE_EXPORT:
            return "Check the settings stream_options, account_list_id, start_date and end_date."
        case ApiOperation.LIST_FIELDS:
            return "Check ad_report_type of stream_options."
        case _:
            return ""
