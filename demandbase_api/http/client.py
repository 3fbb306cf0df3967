"""The HTTP client: one session, time-outs, retries of reads, typed errors."""

from __future__ import annotations

import logging
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from demandbase_api.clock import SystemClock
from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import (
    ApiOperation,
    AuthenticationError,
    ConfigurationError,
    UnexpectedResponseError,
    UnreachableError,
)
from demandbase_api.http.auth import Authorization, NoAuth, StaticToken
from demandbase_api.http.body import (
    MAX_ERROR_BYTES,
    BodyError,
    BodyReader,
    EncodedBodyError,
    LargeBodyError,
)
from demandbase_api.http.call_log import LoggedCall
from demandbase_api.http.connection_errors import advice_after, connection_error
from demandbase_api.http.error_mapping import ErrorResponse, error_for
from demandbase_api.http.json_reader import parse
from demandbase_api.http.server_clock import ServerClock
from demandbase_api.http.urls import is_downgrade, is_web_address, origin_of
from demandbase_api.redaction import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import BinaryIO

    from demandbase_api.clock import Clock
    from demandbase_api.connection import Connection
    from demandbase_api.deadline import Deadline
    from demandbase_api.http.auth import ApiAuth
    from demandbase_api.http.error_mapping import ErrorMapper
    from demandbase_api.ports import ResponseObserver

T = TypeVar("T")

BLOCK_BYTES = 256 * 1024
"""Block size for sending a file."""

# At debug level urllib3 logs each request line, including signed links.
logging.getLogger("urllib3").setLevel(logging.WARNING)


class HttpClient:
    """Sends requests and raises a typed error for every response that is not a success.

    Args:
        connection: Address and credentials.
        auth: Authentication of requests. Default: the connection's access token.
        map_error: Returns the error for an error response of the API.
        gate: Called before each request to the API itself; raises to prevent the request.
        server_clock: Set by each response of the API itself.

    Raises:
        ConfigurationError: The connection has no access token.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        auth: ApiAuth | None = None,
        map_error: ErrorMapper = error_for,
        gate: Callable[[ApiOperation], None] = lambda _: None,
        server_clock: ServerClock | None = None,
    ) -> None:
        self._connection = connection
        self._base = connection.api_url
        self._auth = auth or _static_token(connection)
        self._no_auth = NoAuth()
        self._map_error = map_error
        self._gate = gate
        self.calls: Counter[ApiOperation] = Counter()
        """Requests to the API itself that this client has sent, by operation."""
        self.observers: list[ResponseObserver] = []
        """Receive each response."""
        self._silence = min(connection.request_timeout_seconds, connection.retry.silence_seconds)
        self.bodies = BodyReader(SystemClock(), self._silence)
        """Reads the bodies of files that are being downloaded."""
        self.server_clock = server_clock or ServerClock(connection.retry.clock)
        self._has_responded = False
        """Whether the API has responded, so that address and credentials were right."""
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _LargeBlockAdapter())
        version = metadata.version("singer-demandbase")
        self._session.headers["User-Agent"] = f"{connection.user_agent}/{version}"

    @property
    def clock(self) -> Clock:
        """Clock of the waits between tries."""
        return self._connection.retry.clock

    @property
    def origin(self) -> str:
        """Scheme, host and port, without the path, for messages."""
        parts = parse_url(self._base)
        return f"{parts.scheme}://{parts.netloc}"

    def scrub(self, text: str) -> str:
        """Return a text in which the credentials are masked."""
        return without_secrets(text, self._auth.secrets)

    def read(
        self,
        operation: ApiOperation,
        path: str,
        params: Mapping[str, Any] | None = None,
        deadline: Deadline = NO_DEADLINE,
        *,
        check: Callable[[dict[str, Any]], object] = lambda _: None,
    ) -> dict[str, Any]:
        """GET a JSON object, with retries until the deadline.

        Args:
            operation: Operation of the API, for errors.
            path: Path of the URL.
            params: Its query.
            deadline: Ends the retries.
            check: Called with each object; raises a transient error if it is not complete yet.
        """
        return self._read(deadline, operation, path, dict, params, check)

    def read_list(
        self,
        operation: ApiOperation,
        path: str,
        params: Mapping[str, Any] | None = None,
        deadline: Deadline = NO_DEADLINE,
    ) -> list[Any]:
        """GET a JSON list, with retries until the deadline."""
        return self._read(deadline, operation, path, list, params)

    def _read(  # noqa: PLR0913, PLR0917
        self,
        deadline: Deadline,
        operation: ApiOperation,
        path: str,
        kind: type[T],
        params: Mapping[str, Any] | None,
        check: Callable[[T], object] = lambda _: None,
    ) -> T:
        def get() -> T:
            try:
                document = self._json(deadline, operation, "GET", path, kind, params=params)
            except (AuthenticationError, UnexpectedResponseError) as error:
                # Address and credentials are those that worked before.
                error.may_pass = self._has_responded
                raise
            check(document)
            return document

        return self._connection.retry.call_until(deadline, get)

    def delete(self, operation: ApiOperation, path: str, deadline: Deadline = NO_DEADLINE) -> None:
        """DELETE, with retries until the deadline, since the operation is idempotent."""
        call = self._connection.retry.call_until
        call(deadline, self._exchange, deadline, operation, "DELETE", path)

    def create(
        self,
        operation: ApiOperation,
        path: str,
        body: dict[str, Any],
        deadline: Deadline = NO_DEADLINE,
    ) -> dict[str, Any]:
        """POST once and return the JSON object of the response."""
        return self._json(deadline, operation, "POST", path, dict, json=body)

    def put_stream(
        self,
        operation: ApiOperation,
        path: str,
        file: BinaryIO,
        content_type: str,
        params: Mapping[str, Any],
    ) -> dict[str, Any]:
        """PUT a file from its current position once, streamed; return the JSON object."""
        return self._json(
            NO_DEADLINE,
            operation,
            "PUT",
            path,
            dict,
            params=params,
            data=file,
            headers={"Content-Type": content_type},
        )

    def post_stream(
        self, operation: ApiOperation, path: str, body: object, content_type: str
    ) -> dict[str, Any]:
        """POST a streamed body once and return the JSON object of the response."""
        return self._json(
            NO_DEADLINE,
            operation,
            "POST",
            path,
            dict,
            data=body,
            headers={"Content-Type": content_type},
        )

    def open_url(
        self, operation: ApiOperation, url: str, headers: Mapping[str, str]
    ) -> requests.Response:
        """GET a file without reading its body or following redirects. A 416 is not an error.

        Credentials are sent only to the API's own scheme, host and port.

        Raises:
            ApiError: The URL is malformed or gives up the API's encryption, there was no response,
                or it was an error.
        """
        if url.startswith("/"):
            url = self._base + url
        if not is_web_address(url):
            raise UnexpectedResponseError(operation, "gave a link that is not a web address")
        if is_downgrade(self._base, url):
            raise UnexpectedResponseError(operation, "gave a link that leads from https to http")
        return self._send(
            NO_DEADLINE,
            operation,
            "GET",
            url,
            also={requests.codes.requested_range_not_satisfiable},
            headers={"Accept-Encoding": "identity", **headers},
        )

    def is_own(self, url: str) -> bool:
        """Whether a URL has the API's own scheme, host and port."""
        return origin_of(url) == origin_of(self._base)

    def _send(
        self,
        deadline: Deadline,
        operation: ApiOperation,
        method: str,
        url: str,
        *,
        also: Collection[int] = (),
        **options: Any,  # noqa: ANN401
    ) -> requests.Response:
        """Send a request; with renewed credentials, once more after a 401.

        Args:
            deadline: Moment until which the response must begin.
            operation: Operation of the API, for errors.
            method: HTTP method.
            url: Absolute URL.
            also: Statuses of 400 or more that are not errors.
            options: Options of ``requests``.

        Returns:
            The response; its body has not been read.

        Raises:
            ApiError: There was no response, or it was an error.
        """
        auth = self._auth if self.is_own(url) else self._no_auth
        file: BinaryIO | None = options.get("data") if method == "PUT" else None
        start = 0 if file is None else file.tell()
        header = auth.header(deadline)
        response = self._request(deadline, operation, method, url, header, options)
        if response.status_code == requests.codes.unauthorized and auth.renew(header):
            response.close()
            if file is not None:
                file.seek(start)
            header = auth.header(deadline)
            response = self._request(deadline, operation, method, url, header, options)
        if response.status_code >= requests.codes.bad_request and response.status_code not in also:
            with response:
                raise self._map_error(
                    ErrorResponse.read(
                        operation,
                        response,
                        self._error_body(response, deadline),
                        self.origin,
                        self._auth.secrets,
                    )
                )
        return response

    def _request(  # noqa: PLR0913, PLR0917
        self,
        deadline: Deadline,
        operation: ApiOperation,
        method: str,
        url: str,
        header: str | None,
        options: Mapping[str, Any],
    ) -> requests.Response:
        left = deadline.left()
        if left <= 0:
            raise UnreachableError(
                operation, "did not respond in time", nothing_sent=True, advice=_TIME_ADVICE
            )
        if self.is_own(url):
            self._gate(operation)
            self.calls[operation] += 1
        silence = min(self._silence, left)
        call = LoggedCall(method, self._shown(operation, url))
        try:
            response = self._session.request(
                method,
                url,
                auth=Authorization(header),
                timeout=(min(self._connection.retry.connect_seconds, left), silence),
                allow_redirects=False,
                stream=True,
                **options,
            )
        except (OSError, HTTPError, ValueError) as error:
            call.log_failure()
            # Without the cause: its message may contain a signed link.
            raise connection_error(
                operation,
                url,
                error,
                origin=self.origin if self.is_own(url) else None,
                silence=silence,
            ) from None
        if self.is_own(url):
            self.server_clock.observe(response.headers.get("Date"))
        call.log_end_of(response)
        for observer in self.observers:
            observer.headers(operation, response.headers)
        return response

    def _shown(self, operation: ApiOperation, url: str) -> str:
        """Return what the log shows of a URL: a path without its query; of a link only the host."""
        parts = parse_url(url)
        is_link = operation is ApiOperation.FETCH_LINK or not self.is_own(url)
        return f"a link to {parts.host}" if is_link else parts.path or "/"

    def _error_body(self, response: requests.Response, deadline: Deadline) -> bytes:
        """Return the body of an error response; empty if it cannot be read: the status counts."""
        # An error page that is endless, or drips, is an error all the same.
        soon = deadline.within(self._silence)
        try:
            return self.bodies.whole(response, soon, max_bytes=MAX_ERROR_BYTES)
        except BodyError:
            return b""

    def _exchange(
        self,
        deadline: Deadline,
        operation: ApiOperation,
        method: str,
        path: str,
        **options: Any,  # noqa: ANN401
    ) -> tuple[int, bytes]:
        """Send a request to the API; return the status and the body of the response."""
        with self._send(deadline, operation, method, self._base + path, **options) as response:
            try:
                return response.status_code, self.bodies.whole(response, deadline)
            except (EncodedBodyError, LargeBodyError) as error:
                raise UnexpectedResponseError(
                    operation,
                    f"at {self.origin} {error.problem}",
                    status=response.status_code,
                    advice=_PROXY_ADVICE,
                ) from None
            except BodyError as error:
                raise UnreachableError(
                    operation,
                    f"at {self.origin} {error.problem}",
                    nothing_sent=False,
                    advice=advice_after(operation, is_own=True),
                ) from None

    def _json(
        self,
        deadline: Deadline,
        operation: ApiOperation,
        method: str,
        path: str,
        kind: type[T],
        **options: Any,  # noqa: ANN401
    ) -> T:
        status, content = self._exchange(deadline, operation, method, path, **options)
        try:
            body = parse(content)
        except ValueError:
            body = None
        if not isinstance(body, kind):
            raise UnexpectedResponseError(
                operation,
                f"at {self.origin} did not respond with a JSON "
                f"{'object' if kind is dict else kind.__name__}",
                status=status,
                advice=_PROXY_ADVICE,
            )
        self._has_responded = True
        for observer in self.observers:
            observer.document(operation, body)
        return body


class _LargeBlockAdapter(HTTPAdapter):
    """Reads a file to send in blocks of 256 KiB; the default of http.client is 16 KiB."""

    @override
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, blocksize=BLOCK_BYTES, **options)


_PROXY_ADVICE = "Check the setting api_url: a proxy or another service may have responded."
_TIME_ADVICE = "Raise the setting job_timeout_seconds or try again later."


def _static_token(connection: Connection) -> ApiAuth:
    if connection.access_token is None:
        if connection.client_id is not None:
            raise ConfigurationError(
                "The setting access_token is missing, and client_id and client_secret are for "
                "api: uapi only. Set api: uapi, or put a token into access_token."
            )
        raise ConfigurationError("The setting access_token is missing. Put a token into it.")
    return StaticToken(connection.access_token)
