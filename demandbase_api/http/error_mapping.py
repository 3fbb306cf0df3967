"""Error responses and the errors that they map to."""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from demandbase_api import errors
from demandbase_api.errors import ApiOperation
from demandbase_api.http.json_reader import parse
from demandbase_api.redaction import mask_values, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import requests

    ErrorMapper = Callable[["ErrorResponse"], errors.ApiError]

ErrorText = tuple[type[errors.ApiError], str, str]
"""Class, problem (a clause that follows "Demandbase") and advice (a sentence) of an error."""

_MESSAGE_MEMBERS = ("error", "message", "errorMessage", "detail", "status")

MAX_RETRY_AFTER_SECONDS = 900.0
"""Longest Retry-After to wait for."""

_SECONDS = re.compile(r"[0-9]{1,10}")

_CODE = re.compile(r"[0-9]{3}-[0-9]{3}")

# Its format is not published: one word of ASCII that is neither an address nor a link.
_DIAGNOSTIC = re.compile(r"[\w.:+/=~-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """A response with a status of 400 or more.

    Args:
        operation: The operation that failed.
        status: HTTP status.
        origin: Scheme and host of the API, for messages.
        message: The server's message, redacted.
        retry_after: Seconds of the Retry-After header.
        code: Error code of the API.
        diagnostic: Code by which Demandbase's support finds the call.
    """

    operation: ApiOperation
    status: int
    origin: str
    message: str = ""
    retry_after: float | None = None
    code: str | None = None
    diagnostic: str | None = None

    @classmethod
    def read(
        cls,
        operation: ApiOperation,
        response: requests.Response,
        content: bytes,
        origin: str,
        secrets: Iterable[str],
    ) -> ErrorResponse:
        """Read a response of ``requests``.

        Args:
            operation: The operation that failed.
            response: The response.
            content: Its body.
            origin: Scheme and host of the API, for messages.
            secrets: Tokens and other texts to redact.
        """
        body = _body(response, content)
        message = redact(_message(body), *secrets)
        return cls(
            operation,
            response.status_code,
            origin,
            message=mask_values(message) if operation.carries_record_values else message,
            retry_after=retry_after_seconds(response.headers.get("Retry-After")),
            code=_member(body, "errorCode", _CODE),
            diagnostic=_diagnostic(body, secrets),
        )

    @property
    def asks_to_wait(self) -> bool:
        """Whether to try again in no more than 15 minutes: a quota takes longer."""
        return self.retry_after is not None and self.retry_after <= MAX_RETRY_AFTER_SECONDS

    def error(self, kind: type[errors.ApiError], problem: str, advice: str = "") -> errors.ApiError:
        """Return an error with the details of this response."""
        return kind(
            self.operation,
            problem,
            advice=advice,
            status=self.status,
            server_message=self.message,
            retry_after=self.retry_after,
            code=self.code,
            diagnostic=self.diagnostic,
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
"""Operations whose 404 means that the host does not serve this API."""

_BY_STATUS: dict[int, ErrorText] = {
    HTTPStatus.UNAUTHORIZED: (
        errors.AuthenticationError,
        "did not accept the access token",
        "Check the setting access_token: it may be mistyped, expired or for another host.",
    ),
    HTTPStatus.FORBIDDEN: (
        errors.PermissionDeniedError,
        "denied permission",
        "Ask your Demandbase administrator to grant it to the owner of access_token.",
    ),
    HTTPStatus.NOT_FOUND: (errors.NotFoundError, "could not find it", ""),
    HTTPStatus.GONE: (errors.NotFoundError, "no longer has it", ""),
    HTTPStatus.CONFLICT: (errors.ConflictError, "declined", ""),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        errors.FileTooLargeError,
        "found the file too large",
        "Lower the setting max_file_bytes.",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        errors.RateLimitedError,
        "asked for fewer calls",
        "Try again later.",
    ),
    HTTPStatus.REQUEST_TIMEOUT: (
        errors.ServerError,
        "did not receive the request in time",
        "Check the network.",
    ),
    HTTPStatus.TOO_EARLY: (errors.ServerError, "was not ready for the request", "Try again later."),
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: (
        errors.UnexpectedResponseError,
        "is behind a proxy that asks for credentials",
        "Add user and password to the environment variable HTTP_PROXY or HTTPS_PROXY.",
    ),
}

_UNEXPECTED: ErrorText = (errors.UnexpectedResponseError, "gave an unexpected response", "")

_BAD_REQUEST_ADVICE = {
    ApiOperation.CREATE_EXPORT: (
        "Run discovery again: a selected field may have been removed or renamed."
    ),
    ApiOperation.CREATE_IMPORT: "Check the settings operation, match_keys and field_mappings.",
}

_QUOTA_ADVICE = "The quota is daily (10 GB of exports): run again tomorrow, or select less."


def error_for(response: ErrorResponse) -> errors.ApiError:
    """Return the error for a response of an API without error codes: by status and operation."""
    operation = response.operation
    text: ErrorText
    match response.status:
        case HTTPStatus.FORBIDDEN | HTTPStatus.BAD_REQUEST if operation is ApiOperation.FETCH_LINK:
            text = errors.NotFoundError, "rejected a signed link", ""
        case HTTPStatus.NOT_FOUND if operation in AT_FIXED_PATHS:
            advice = (
                "That host does not serve the v1 API: check the setting api_url, or set "
                "api: uapi for a tenant on uapi.demandbase.com."
            )
            text = errors.NotFoundError, f"found nothing at {response.origin}", advice
        case HTTPStatus.TOO_MANY_REQUESTS if (
            # Imports have no quota: they are asked for fewer calls only.
            operation is ApiOperation.CREATE_EXPORT and not response.asks_to_wait
        ):
            text = errors.QuotaExceededError, "said that the quota is used up", _QUOTA_ADVICE
        case HTTPStatus.BAD_REQUEST:
            advice = _BAD_REQUEST_ADVICE.get(operation, "")
            text = errors.InvalidRequestError, "did not accept the request", advice
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            advice = "Try again later; if it persists, ask Demandbase's support."
            text = errors.ServerError, "had an internal error", advice
        case status:
            text = _BY_STATUS.get(status, _UNEXPECTED)
    return response.error(*text)


def retry_after_seconds(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header (seconds or an HTTP date, RFC 9110 §10.2.3).

    A header that cannot be read asks for nothing.
    """
    if not value:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, (date - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _body(response: requests.Response, content: bytes) -> Mapping[str, Any]:
    if "json" not in response.headers.get("Content-Type", ""):
        # The HTML page of a proxy tells a user nothing more than the status.
        return {}
    try:
        body = parse(content)
    except ValueError:
        return {}
    if not isinstance(body, dict):
        return {}
    # The Custom Sources API has its members one level deeper, and another name of the code.
    nested = body.get("error")
    return {**nested, "errorCode": nested.get("code")} if isinstance(nested, dict) else body


def _message(body: Mapping[str, Any]) -> str:
    """Return the server's message; different services use different members."""
    for member in _MESSAGE_MEMBERS:
        if isinstance(body.get(member), str):
            return str(body[member])
    return ""


def _diagnostic(body: Mapping[str, Any], secrets: Iterable[str]) -> str | None:
    """Return the diagnostic code unless it may be a secret or a link."""
    found = _member(body, "diagnosticCode", _DIAGNOSTIC)
    return found if found and "://" not in found and redact(found, *secrets) == found else None


def _member(body: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    """Return a member if it matches its pattern; any other value might be a secret."""
    value = body.get(name)
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
