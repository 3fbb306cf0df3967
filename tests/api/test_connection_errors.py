"""Proxies, certificates and host names: what is wrong, and which variable it is about."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest

from demandbase_api.connection import Connection
from demandbase_api.errors import ConfigurationError, DemandbaseError, UnreachableError
from demandbase_api.http.client import HttpClient
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.v1.exports import V1ExportApi
from tests.api.fake_exports import FakeClock
from tests.http_server import Reply, http_server

DEAD = "http://user:pa55@127.0.0.1:9"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_PROXY".upper()):
            monkeypatch.delenv(name, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def failure(url: str) -> tuple[DemandbaseError, int]:
    """Return the error of a call and the number of waits before it."""
    clock = FakeClock()
    retry = RetryPolicy(tries=3, clock=clock)
    with pytest.raises(DemandbaseError) as caught:
        V1ExportApi(HttpClient(Connection(url, "token", retry=retry))).entities()
    assert "pa55" not in str(caught.value)
    assert "api_url" not in str(caught.value)
    return caught.value, len(clock.sleeps)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://[127.0.0.1", "The address of the proxy cannot be used: check"),
        ("gopher://127.0.0.1:9", "The address of the proxy cannot be used: check"),
        ("socks5://127.0.0.1:9", r"install requests\[socks\]"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, said: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    error, waits = failure("https://api.example")
    assert waits == 0
    with pytest.raises(ConfigurationError, match=said):
        raise error
    assert f"the environment variable {variable}" in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dead_proxy_is_named_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    variable = f"{scheme.upper()}_PROXY"
    monkeypatch.setenv(variable, DEAD)
    error, waits = failure(f"{scheme}://api.example")
    assert waits == 2
    assert isinstance(error, UnreachableError)
    assert error.nothing_sent
    assert f"Check the environment variable {variable}, and whether the proxy runs." in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_asks_for_credentials_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    replies = {"CONNECT 443": Reply(407), "/export/v1/entities": Reply(407)}
    with http_server(replies) as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url)
        error, waits = failure(f"{scheme}://api.example")
    assert waits == 0
    assert "proxy" in str(error)
    assert "HTTP 407" in str(error)
    assert f"{scheme.upper()}_PROXY" in str(error)


@pytest.mark.parametrize(("status", "waits"), [(403, 0), (502, 2)])
def test_a_proxy_that_opens_no_tunnel(
    monkeypatch: pytest.MonkeyPatch, status: int, waits: int
) -> None:
    with http_server({"CONNECT 443": Reply(status)}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error, waited = failure("https://api.example")
    assert waited == waits
    assert "the environment variable HTTPS_PROXY" in str(error)


def test_an_unknown_certificate_is_reported_at_once(tmp_path: Path) -> None:
    with tls_server(tmp_path) as url:
        error, waits = failure(url)
    assert waits == 0
    assert isinstance(error, ConfigurationError)
    assert "is not trusted (self-signed certificate)" in str(error).replace(
        "self signed", "self-signed"
    )
    assert "REQUESTS_CA_BUNDLE" in str(error)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "garbage"])
def test_a_file_of_certificates_that_cannot_be_read_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, content: str | None
) -> None:
    bundle = tmp_path / "certificates.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv(variable, str(bundle))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        error, waits = failure(f"https://127.0.0.1:{listening.getsockname()[1]}")
    assert waits == 0
    assert isinstance(error, ConfigurationError)
    assert f"check the environment variable {variable}." in str(error)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (socket.EAI_NONAME, "there is no such host name"),
        (socket.EAI_AGAIN, "its host name cannot be resolved"),
    ],
)
def test_a_host_name_that_cannot_be_resolved_is_no_broken_connection(
    monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    def unknown(*_: Any, **__: Any) -> NoReturn:  # noqa: ANN401
        raise socket.gaierror(code, "message of the system")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    http = HttpClient(Connection("http://api.example", "token", retry=RetryPolicy(tries=1)))
    with pytest.raises(UnreachableError, match=said) as caught:
        V1ExportApi(http).entities()
    assert caught.value.nothing_sent
    assert "Check the setting api_url" in str(caught.value)


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Log nothing."""


@contextmanager
def tls_server(folder: Path) -> Iterator[str]:
    """Run a server with a self-signed certificate."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", *kind, *files, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), _Quiet)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
