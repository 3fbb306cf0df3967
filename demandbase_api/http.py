"""HTTP with Demandbase: one session, time-outs, retries of reads, typed errors."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from demandbase_api.answers import error_for
from demandbase_api.connection_settings import checked_token, checked_url
from demandbase_api.errors import UnexpectedAnswerError, UnreachableError
from demandbase_api.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from demandbase_api.operations import ApiOperation

CONNECT_TIMEOUT_SECONDS = 10.0

# At debug level urllib3 logs each request line, signed links included.
logging.getLogger("urllib3").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API is and how to talk to it.

    Args:
        api_url: Scheme and host, as in ``https://api.demandbase.com``.
        access_token: Bearer token.
        request_timeout_seconds: How long an answer may stay silent.
        retry: How reads are repeated.
        user_agent: Name that goes before the version in ``User-Agent``.

    Raises:
        ConfigurationError: The address or the token cannot be used.
    """

    api_url: str
    access_token: str = field(repr=False)
    request_timeout_seconds: float = 300
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    user_agent: str = "singer-demandbase"

    def __post_init__(self) -> None:
        """Check address and token, and take white space off their ends."""
        object.__setattr__(self, "api_url", checked_url(self.api_url))
        object.__setattr__(self, "access_token", checked_token(self.access_token))


class _BearerAuth(requests.auth.AuthBase):
    """Sets the token; being an ``auth``, it also keeps ``requests`` from reading .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _NoAuth(requests.auth.AuthBase):
    """Sets nothing and keeps ``requests`` from reading .netrc for a foreign host."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class HttpClient:
    """Sends calls and turns every answer that is no success into a typed error."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._base = connection.api_url
        self._auth = _BearerAuth(connection.access_token)
        self._no_auth = _NoAuth()
        self._session = requests.Session()
        version = metadata.version("singer-demandbase")
        self._session.headers["User-Agent"] = f"{connection.user_agent}/{version}"

    @property
    def origin(self) -> str:
        """Scheme and host, without credentials or path: fit for messages."""
        parts = urlsplit(self._base)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"

    def read(
        self, operation: ApiOperation, path: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the JSON object at a path; repeated while the failure may pass."""
        return self._connection.retry.retrying(self._json)(operation, "GET", path, params=params)

    def delete(self, operation: ApiOperation, path: str) -> None:
        """Delete; repeated while the failure may pass, since a second one changes nothing."""
        self._connection.retry.retrying(self.send)(operation, "DELETE", self._base + path)

    def create(self, operation: ApiOperation, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST once and return the JSON object of the answer."""
        return self._json(operation, "POST", path, json=body)

    def post_stream(
        self, operation: ApiOperation, path: str, body: object, content_type: str
    ) -> dict[str, Any]:
        """POST a streamed body once and return the JSON object of the answer."""
        return self._json(
            operation, "POST", path, data=body, headers={"Content-Type": content_type}
        )

    def open_url(
        self, operation: ApiOperation, url: str, headers: Mapping[str, str]
    ) -> requests.Response:
        """GET without following redirects or reading the body; 416 is an answer, too.

        The token goes along only to the API's own scheme, host and port.
        """
        return self.send(
            operation,
            "GET",
            url if "://" in url else self._base + url,
            also={requests.codes.requested_range_not_satisfiable},
            stream=True,
            headers={"Accept-Encoding": "identity", **headers},
        )

    def is_own(self, url: str) -> bool:
        """Whether a URL has the API's own scheme, host and port."""
        return _origin_of(url) == _origin_of(self._base)

    def send(
        self,
        operation: ApiOperation,
        method: str,
        url: str,
        *,
        also: Collection[int] = (),
        **options: Any,  # noqa: ANN401
    ) -> requests.Response:
        """Send one request; statuses in ``also`` are no errors.

        Raises:
            ApiError: There was no answer, or it was no success.
        """
        try:
            response = self._session.request(
                method,
                url,
                auth=self._auth if self.is_own(url) else self._no_auth,
                timeout=(CONNECT_TIMEOUT_SECONDS, self._connection.request_timeout_seconds),
                allow_redirects=False,
                **options,
            )
        except requests.exceptions.RequestException as error:
            # The cause is left out: its text may hold a signed link.
            raise self._unreachable(operation, url, error) from None
        except ValueError:
            # A redirect's address that cannot be parsed; the text would show it.
            raise UnexpectedAnswerError(operation, "gave a link that is no web address") from None
        if response.status_code >= requests.codes.bad_request and response.status_code not in also:
            with response:
                raise error_for(
                    operation,
                    response,
                    origin=self.origin,
                    secret=self._connection.access_token,
                )
        return response

    def _json(
        self,
        operation: ApiOperation,
        method: str,
        path: str,
        **options: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        response = self.send(operation, method, self._base + path, **options)
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise UnexpectedAnswerError(
                operation,
                f"at {self.origin} did not answer with a JSON object",
                status=response.status_code,
                advice="Check the setting api_url: a proxy or another service may be answering.",
            )
        return body

    def _unreachable(
        self, operation: ApiOperation, url: str, error: requests.exceptions.RequestException
    ) -> UnreachableError:
        own = self.is_own(url)
        where = self.origin if own else "(the host of a signed link)"
        seconds = self._connection.request_timeout_seconds
        match error:
            case requests.exceptions.ConnectTimeout():
                problem, nothing_sent = f"at {where} could not be connected to", True
            case requests.exceptions.Timeout():
                problem, nothing_sent = f"at {where} stayed silent for {seconds:g} s", False
            case requests.exceptions.SSLError():
                problem, nothing_sent = f"at {where} has no certificate that is trusted here", True
            case (
                requests.exceptions.InvalidURL()
                | requests.exceptions.InvalidSchema()
                | requests.exceptions.MissingSchema()
            ):
                problem, nothing_sent = "has no such address", True
            case requests.exceptions.ConnectionError() if "NewConnectionError" in repr(error.args):
                problem, nothing_sent = f"at {where} could not be connected to", True
            case _:
                problem, nothing_sent = f"at {where} broke the connection", False
        if operation.creates_a_job and not nothing_sent:
            advice = (
                "The job may have been created all the same: look for it in Demandbase's list of "
                "jobs, and cancel it if it is there, before you run again."
            )
        else:
            advice = "Check the setting api_url and the network." if own else "Check the network."
        return UnreachableError(operation, problem, nothing_sent=nothing_sent, advice=advice)


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default
