"""From an HTTP answer to the error that says what it means."""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from demandbase_api import errors
from demandbase_api.errors import ApiOperation
from demandbase_api.redaction import mask_values, scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import requests


_SERVER_WORDS = ("error", "message", "errorMessage", "detail", "status")

_CODE = re.compile(r"[0-9]{3}-[0-9]{3}")

# Of no published form: whatever is one word of ASCII, and neither an address nor a link.
_DIAGNOSTIC = re.compile(r"[\w.:+/=~-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An answer that is no success.

    Args:
        operation: The call that was answered.
        status: HTTP status.
        origin: Scheme and host of the API, for messages.
        code: The API's own number for the failure, where it gives one.
    """

    operation: ApiOperation
    status: int
    origin: str
    code: str | None = None


Meaning = tuple[type[errors.ApiError], str, str]
"""The error, what happened (a clause that follows "Demandbase"), and what to do (a sentence)."""


def error_for(
    operation: ApiOperation,
    response: requests.Response,
    *,
    origin: str,
    secrets: Iterable[str],
    meaning: Callable[[ErrorResponse], Meaning],
) -> errors.ApiError:
    """Return the error for an answer that is no success.

    Args:
        operation: The call that was answered.
        response: The answer.
        origin: Scheme and host of the API, for messages.
        secrets: Tokens and the like, which must not appear.
        meaning: Says what the API means by it.
    """
    status = response.status_code
    body = _body(response)
    words = scrub(_server_words(body), *secrets)
    if operation.carries_record_values:
        words = mask_values(words)
    code = _mark(body, "errorCode", _CODE)
    kind, problem, advice = meaning(ErrorResponse(operation, status, origin, code))
    return kind(
        operation,
        problem,
        advice=advice,
        status=status,
        server_message=words,
        retry_after=retry_after_seconds(response.headers.get("Retry-After")),
        code=code,
        diagnostic=_diagnostic(body, secrets),
    )


AT_FIXED_PATHS = frozenset(
    {
        ApiOperation.LIST_ENTITIES,
        ApiOperation.LIST_FIELDS,
        ApiOperation.LIST_MAPPINGS,
        ApiOperation.LIST_ACTIVITY_TYPES,
        ApiOperation.LIST_EXPORTS,
        ApiOperation.LIST_IMPORTS,
        ApiOperation.CREATE_EXPORT,
        ApiOperation.CREATE_IMPORT,
        ApiOperation.ISSUE_TOKEN,
    }
)
"""Calls that can only find nothing where the API is not."""


def meaning_of(refusal: ErrorResponse) -> Meaning:  # noqa: C901, PLR0911 - a table, a line a status
    """Return what a refusal means where the API has no codes of its own."""
    operation = refusal.operation
    match refusal.status:
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
        case HTTPStatus.NOT_FOUND if operation in AT_FIXED_PATHS:
            return (
                errors.NotFoundError,
                f"found nothing at {refusal.origin}",
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
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
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


def _body(response: requests.Response) -> Mapping[str, Any]:
    if "json" not in response.headers.get("Content-Type", ""):
        # A proxy's HTML page says nothing to a user that the status does not.
        return {}
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _server_words(body: Mapping[str, Any]) -> str:
    """Return what the server says about its refusal, whichever member it uses."""
    for member in _SERVER_WORDS:
        if isinstance(body.get(member), str):
            return str(body[member])
    return ""


def _diagnostic(body: Mapping[str, Any], secrets: Iterable[str]) -> str | None:
    """Return what support finds a call by, unless it is a secret or a link."""
    found = _mark(body, "diagnosticCode", _DIAGNOSTIC)
    return found if found and "://" not in found and scrub(found, *secrets) == found else None


def _mark(body: Mapping[str, Any], member: str, form: re.Pattern[str]) -> str | None:
    """Return a member that is what it should be: anything else might be a secret."""
    value = body.get(member)
    return value if isinstance(value, str) and form.fullmatch(value) else None
