"""From an HTTP answer to the error that says what it means."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from demandbase_api import errors
from demandbase_api.operations import ApiOperation
from demandbase_api.scrub import mask_values, scrub

if TYPE_CHECKING:
    import requests

_SERVER_WORDS = ("error", "message", "errorMessage", "detail", "status")


def error_for(
    operation: ApiOperation,
    response: requests.Response,
    *,
    origin: str,
    secret: str,
) -> errors.ApiError:
    """Return the error for an answer that is no success.

    Args:
        operation: The call that was answered.
        response: The answer.
        origin: Scheme and host of the API, for messages.
        secret: The access token, which must not appear.
    """
    status = response.status_code
    words = scrub(_server_words(response), secret)
    if operation.carries_record_values:
        words = mask_values(words)
    kind, problem, advice = _meaning(operation, status, origin)
    return kind(
        operation,
        problem,
        advice=advice,
        status=status,
        server_message=words,
        retry_after=retry_after_seconds(response.headers.get("Retry-After")),
    )


_AT_FIXED_PATHS = frozenset(
    {
        ApiOperation.LIST_ENTITIES,
        ApiOperation.LIST_MAPPINGS,
        ApiOperation.LIST_EXPORTS,
        ApiOperation.LIST_IMPORTS,
        ApiOperation.CREATE_EXPORT,
        ApiOperation.CREATE_IMPORT,
    }
)


def _meaning(  # noqa: C901, PLR0911 - a table, one line of it a status
    operation: ApiOperation, status: int, origin: str
) -> tuple[type[errors.ApiError], str, str]:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return (
                errors.AuthenticationError,
                "did not accept the access token",
                "Check the setting access_token: it may be mistyped, expired or for another host.",
            )
        case HTTPStatus.FORBIDDEN | HTTPStatus.BAD_REQUEST if operation is ApiOperation.FETCH_LINK:
            return errors.NotFoundError, "refused a signed link", ""
        case HTTPStatus.FORBIDDEN:
            return (
                errors.PermissionDeniedError,
                "refused permission",
                "Ask your Demandbase administrator to grant it to the owner of access_token.",
            )
        case HTTPStatus.NOT_FOUND if operation in _AT_FIXED_PATHS:
            return (
                errors.NotFoundError,
                f"found nothing at {origin}",
                (
                    "That host does not serve the v1 API: check the setting api_url, or set "
                    "api: uapi for a tenant on uapi.demandbase.com."
                ),
            )
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return errors.NotFoundError, "knows nothing of it (any more)", ""
        case HTTPStatus.CONFLICT:
            return errors.ConflictError, "declined", ""
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return (
                errors.FileTooLargeError,
                "found the file too large",
                "Lower the setting max_file_bytes.",
            )
        case HTTPStatus.TOO_MANY_REQUESTS if operation.creates_a_job:
            return (
                errors.QuotaExceededError,
                "said that the quota is used up",
                _advice_quota(operation),
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            return errors.RateLimitedError, "asked for fewer calls", "Try again later."
        case HTTPStatus.BAD_REQUEST:
            return errors.InvalidRequestError, "did not accept the request", _advice_400(operation)
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return (
                errors.ServerError,
                "had trouble of its own",
                "Try again later; if it stays, ask Demandbase's support.",
            )
        case _:
            return errors.UnexpectedAnswerError, "gave an unexpected answer", ""


def _advice_quota(operation: ApiOperation) -> str:
    if operation is ApiOperation.CREATE_EXPORT:
        return "The quota is daily (10 GB of exports): run again tomorrow, or select less."
    return "The quota is daily: run again tomorrow."


def _advice_400(operation: ApiOperation) -> str:
    match operation:
        case ApiOperation.CREATE_EXPORT:
            return "Run discovery again: a selected field may have been removed or renamed."
        case ApiOperation.CREATE_IMPORT:
            return "Check the settings operation, match_keys and field_mappings."
        case _:
            return ""


def retry_after_seconds(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header (seconds or an HTTP date, RFC 9110 §10.2.3)."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _server_words(response: requests.Response) -> str:
    """Return what the server says about its refusal, whichever member it uses."""
    if "json" not in response.headers.get("Content-Type", ""):
        # A proxy's HTML page says nothing to a user that the status does not.
        return ""
    try:
        body = response.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    for member in _SERVER_WORDS:
        if isinstance(body.get(member), str):
            return str(body[member])
    return ""
