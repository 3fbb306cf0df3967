"""The HTTP client: one session, time-outs, retries of reads, typed errors."""

from __future__ import annotations

import logging
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override

from demandbase_api.clock import SystemClock
from demandbase_api.errors import ConfigurationError, UnexpectedResponseError, UnreachableError
from demandbase_api.http.auth import NoAuth, StaticToken
from demandbase_api.http.error_mapping import ErrorResponse, error_for
from demandbase_api.http.server_clock import ServerClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import BinaryIO

    from demandbase_api.connection import Connection
    from demandbase_api.errors import ApiOperation
    from demandbase_api.http.auth import ApiAuth
    from demandbase_api.http.error_mapping import ErrorMapper

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 10.0
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
        self.server_clock = server_clock or ServerClock(SystemClock())
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _LargeBlockAdapter())
        version = metadata.version("singer-demandbase")
        self._session.headers["User-Agent"] = f"{connection.user_agent}/{version}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, without credentials and path, for messages."""
        parts = urlsplit(self._base)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"

    def read(
        self, operation: ApiOperation, path: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """GET a JSON object, with retries."""
        return self._connection.retry.call(self._object, operation, "GET", path, params=params)

    def read_list(
        self, operation: ApiOperation, path: str, params: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """GET a JSON list, with retries."""
        return self._connection.retry.call(self._json, operation, "GET", path, list, params=params)

    def delete(self, operation: ApiOperation, path: str) -> None:
        """DELETE, with retries, since the operation is idempotent."""
        self._connection.retry.call(self.send, operation, "DELETE", self._base + path)

    def create(self, operation: ApiOperation, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST once and return the JSON object of the response."""
        return self._object(operation, "POST", path, json=body)

    def put_stream(
        self,
        operation: ApiOperation,
        path: str,
        file: BinaryIO,
        content_type: str,
        params: Mapping[str, Any],
    ) -> dict[str, Any]:
        """PUT a file from its current position once, streamed; return the JSON object."""
        return self._object(
            operation,
            "PUT",
            path,
            params=params,
            data=file,
            headers={"Content-Type": content_type},
        )

    def post_stream(
        self, operation: ApiOperation, path: str, body: object, content_type: str
    ) -> dict[str, Any]:
        """POST a streamed body once and return the JSON object of the response."""
        return self._object(
            operation, "POST", path, data=body, headers={"Content-Type": content_type}
        )

    def open_url(
        self, operation: ApiOperation, url: str, headers: Mapping[str, str]
    ) -> requests.Response:
        """GET a file without reading its body or following redirects. A 416 is not an error.

        Credentials are sent only to the API's own scheme, host and port.
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
        """Send a request; with renewed credentials, once more after a 401.

        Args:
            operation: Operation of the API, for errors.
            method: HTTP method.
            url: Absolute URL.
            also: Statuses of 400 or more that are not errors.
            options: Options of ``requests``.

        Raises:
            ApiError: There was no response, or it was an error.
        """
        auth = self._auth if self.is_own(url) else self._no_auth
        file: BinaryIO | None = options.get("data") if method == "PUT" else None
        start = 0 if file is None else file.tell()
        response = self._send(operation, method, url, auth, options)
        if response.status_code == requests.codes.unauthorized and auth.renew(
            response.request.headers.get("Authorization")
        ):
            response.close()
            if file is not None:
                file.seek(start)
            response = self._send(operation, method, url, auth, options)
        if response.status_code >= requests.codes.bad_request and response.status_code not in also:
            with response:
                raise self._map_error(
                    ErrorResponse.read(operation, response, self.origin, self._auth.secrets)
                )
        return response

    def _send(
        self,
        operation: ApiOperation,
        method: str,
        url: str,
        auth: ApiAuth,
        options: Mapping[str, Any],
    ) -> requests.Response:
        if auth is self._auth:
            self._gate(operation)
        try:
            response = self._session.request(
                method,
                url,
                auth=auth,
                timeout=(CONNECT_TIMEOUT_SECONDS, self._connection.request_timeout_seconds),
                allow_redirects=False,
                **options,
            )
        except requests.exceptions.RequestException as error:
            # Without the cause: its message may contain a signed link.
            raise self._unreachable(operation, url, error) from None
        except ValueError:
            # The URL of a redirect cannot be parsed; the message would show it.
            raise UnexpectedResponseError(
                operation, "gave a link that is not a web address"
            ) from None
        if auth is self._auth:
            self.server_clock.observe(response.headers.get("Date"))
        return response

    def _object(
        self,
        operation: ApiOperation,
        method: str,
        path: str,
        **options: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        return self._json(operation, method, path, dict, **options)

    def _json(
        self,
        operation: ApiOperation,
        method: str,
        path: str,
        kind: type[T],
        **options: Any,  # noqa: ANN401
    ) -> T:
        response = self.send(operation, method, self._base + path, **options)
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, kind):
            raise UnexpectedResponseError(
                operation,
                f"at {self.origin} did not respond with a JSON "
                f"{'object' if kind is dict else kind.__name__}",
                status=response.status_code,
                advice="Check the setting api_url: a proxy or another service may have responded.",
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
                problem, nothing_sent = f"at {where} could not be reached", True
            case requests.exceptions.Timeout():
                problem, nothing_sent = f"at {where} sent nothing for {seconds:g} s", False
            case requests.exceptions.SSLError():
                problem, nothing_sent = f"at {where} has no trusted certificate", True
            case (
                requests.exceptions.InvalidURL()
                | requests.exceptions.InvalidSchema()
                | requests.exceptions.MissingSchema()
            ):
                problem, nothing_sent = "has no such address", True
            case requests.exceptions.ConnectionError() if "NewConnectionError" in repr(error.args):
                problem, nothing_sent = f"at {where} could not be reached", True
            case _:
                problem, nothing_sent = f"at {where} broke the connection", False
        if operation.creates_a_job and not nothing_sent:
            advice = (
                "The job may have been created nevertheless: look for it in Demandbase's list of "
                "jobs, and cancel it if it is there, before you run again."
            )
        else:
            advice = "Check the setting api_url and the network." if own else "Check the network."
        return UnreachableError(operation, problem, nothing_sent=nothing_sent, advice=advice)


class _LargeBlockAdapter(HTTPAdapter):
    """Reads a file to send in blocks of 256 KiB; the default of http.client is 16 KiB."""

    @override
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, blocksize=BLOCK_BYTES, **options)


def _static_token(connection: Connection) -> ApiAuth:
    if connection.access_token is None:
        if connection.client_id is not None:
            raise ConfigurationError(
                "The setting access_token is missing, and client_id and client_secret are for "
                "api: uapi only. Set api: uapi, or put a token into access_token."
            )
        raise ConfigurationError("The setting access_token is missing. Put a token into it.")
    return StaticToken(connection.access_token)


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default
