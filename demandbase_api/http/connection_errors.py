"""Errors of requests without a response: which setting or variable they are about."""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, TypeVar

import requests
from urllib3.exceptions import NameResolutionError, NewConnectionError

from demandbase_api.errors import (
    ApiOperation,
    ConfigurationError,
    DemandbaseError,
    UnexpectedResponseError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

E = TypeVar("E", bound=BaseException)

NETWORK_ADVICE = "Check the setting api_url and the network."
_CREATED_ADVICE = (
    "The job may have been created nevertheless: look for it in Demandbase's list of jobs, and "
    "cancel it if it is there, before you run again."
)
_FILES = {ApiOperation.DOWNLOAD_PART, ApiOperation.FETCH_LINK}
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_PROXY_MAY_RECOVER = re.compile(r"408|425|429|5\d\d")
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def advice_after(operation: ApiOperation, *, is_own: bool) -> str:
    """Return the advice after a request that may have been received.

    Args:
        operation: The operation.
        is_own: Whether the request was to the API, not to the host of a signed link.
    """
    if operation.creates_a_job:
        return _CREATED_ADVICE
    return NETWORK_ADVICE if is_own else "Check the network."


def connection_error(
    operation: ApiOperation, url: str, error: Exception, *, origin: str | None, silence: float
) -> DemandbaseError:
    """Return the error for a request without a response. A permanent one is not transient.

    Args:
        operation: The operation.
        url: URL of the request. It is not shown.
        error: What ``requests`` raised. Its message is not shown: it may contain the URL.
        origin: Scheme and host of the API; ``None`` for the host of a signed link.
        silence: Seconds without data after which the request timed out.
    """
    where = origin or "(the host of a signed link)"
    if isinstance(error, ValueError) and operation in _FILES:
        # Of a redirect, too: requests parses its link at once.
        return UnexpectedResponseError(operation, "gave a link that is not a web address")
    causes = list(_causes(error))
    has_proxy = bool(requests.utils.get_environ_proxies(url))
    variable = proxy_variable(url, os.environ) if has_proxy else None
    permanent = (
        _proxy_problem(causes, variable)
        or _tls_problem(error, causes, where)
        or _address_problem(error, variable, where, has_proxy=has_proxy)
    )
    if permanent is not None:
        return ConfigurationError(permanent)
    nothing_sent = True
    advice = NETWORK_ADVICE if origin else "Check the network."
    resolution = _first(causes, NameResolutionError)
    match error:
        case requests.exceptions.ProxyError():
            problem = f"at {where} could not be reached through the proxy"
            advice = f"Check {_named(variable)}, and whether the proxy runs."
        case _ if resolution is not None:
            unknown = getattr(_first(causes, socket.gaierror), "errno", None) in _NO_SUCH_NAME
            why = "there is no such host name" if unknown else "its host name cannot be resolved"
            problem = f"at {where} could not be reached: {why}"
        case requests.exceptions.ConnectTimeout():
            problem = f"at {where} could not be reached"
        case requests.exceptions.Timeout():
            problem, nothing_sent = f"at {where} sent nothing for {round(silence, 2):g} s", False
        case _ if _first(causes, NewConnectionError) is not None:
            problem = f"at {where} could not be reached"
        case requests.exceptions.SSLError():
            problem = f"at {where} broke off the TLS handshake"
        case _:
            problem, nothing_sent = f"at {where} broke the connection", False
    if not nothing_sent:
        advice = advice_after(operation, is_own=origin is not None)
    return UnreachableError(operation, problem, nothing_sent=nothing_sent, advice=advice)


def proxy_variable(url: str, environment: Mapping[str, str]) -> str | None:
    """Return the environment variable with the proxy for a URL, if there is one."""
    scheme = url.partition(":")[0].lower()
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in names if environment.get(name)), None)


def _proxy_problem(causes: list[BaseException], variable: str | None) -> str | None:
    """Return a sentence about a proxy that a retry cannot overcome."""
    named = _named(variable)
    for cause in causes:
        tunnel = _TUNNEL.search(str(cause))
        if tunnel is None or _PROXY_MAY_RECOVER.fullmatch(tunnel[1]):
            continue
        if tunnel[1] == "407":
            return f"The proxy asks for credentials (HTTP 407): add user and password to {named}."
        return (
            f"The proxy does not permit the connection to Demandbase (HTTP {tunnel[1]}): ask its "
            f"administrator, or check {named}."
        )
    return None


def _address_problem(
    error: Exception, variable: str | None, where: str, *, has_proxy: bool
) -> str | None:
    """Return a sentence about an address that no request can be sent to."""
    named = _named(variable)
    match error:
        case requests.exceptions.InvalidSchema() if "SOCKS" in str(error):
            return (
                f"A SOCKS proxy needs a package that is not installed: install requests[socks] in "
                f"addition, or set {named} to a proxy with http://."
            )
        case ValueError() if has_proxy:
            # The address of the request itself has been checked.
            return (
                f"The address of the proxy cannot be used: check {named}, which should be as in "
                "http://host:port."
            )
        case ValueError():  # as are the errors of requests about URLs
            return f"Demandbase at {where} is no possible address: check the setting api_url."
        case _:
            return None


def _tls_problem(error: Exception, causes: list[BaseException], where: str) -> str | None:
    """Return a sentence about a certificate that a retry cannot overcome."""
    reason = _first(causes, ssl.SSLCertVerificationError)
    if reason is not None:
        why = f" ({reason.verify_message})" if reason.verify_message else ""
        return (
            f"The certificate of Demandbase at {where} is not trusted{why}. If a proxy or a "
            "firewall replaces it, set the environment variable REQUESTS_CA_BUNDLE to a file with "
            "its certificate."
        )
    broken = _first(causes, ssl.SSLError)
    # requests checks the file itself, and raises no error of its own.
    is_missing = isinstance(error, OSError) and not isinstance(
        error, requests.exceptions.RequestException
    )
    if is_missing or (broken is not None and broken.library in {"X509", "PEM"}):
        return (
            "The file of trusted certificates cannot be read: check the environment variable "
            f"{_bundle_variable(os.environ)}."
        )
    return None


def _bundle_variable(environment: Mapping[str, str]) -> str:
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return next((name for name in names if environment.get(name)), names[0])


def _named(variable: str | None) -> str:
    return f"the environment variable {variable}" if variable else "the proxy of the system"


def _first(causes: list[BaseException], kind: type[E]) -> E | None:
    return next((cause for cause in causes if isinstance(cause, kind)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was made of."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
        waiting += [each for each in inner if isinstance(each, BaseException)]
