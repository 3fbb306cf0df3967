"""A proxy that records what passes between a client and a server."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from contract_documents import Exchange
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AGENTS = ("tap-demandbase/", "target-demandbase/", "singer-demandbase/")
"""How the User-Agent of the pair begins. Other clients send requests of their own."""

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_TIMEOUT = 60


class _Handler(BaseHTTPRequestHandler):
    """Passes a request on, records it with its response, and passes the response back."""

    protocol_version = "HTTP/1.1"
    server: _Proxy

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(self.server.upstream, timeout=_TIMEOUT)
        headers = {name: text for name, text in self.headers.items() if name.lower() not in _HOP}
        headers["Host"] = self.server.upstream
        try:
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # a fault of the server is one for the client, too
            return
        finally:
            connection.close()
        self.server.record(
            Exchange(
                api=self.server.api,
                run=self.server.run(),
                method=self.command,
                target=self.path,
                headers=dict(self.headers.items()),
                body=body,
                status=response.status,
                response_headers=dict(response.getheaders()),
                response_body=content,
                own=self.headers.get("User-Agent", "").startswith(AGENTS),
            )
        )
        self.send_response_only(response.status)
        for name, text in response.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815 - names of the library
    do_PATCH = do_OPTIONS = do_TRACE = do_QUERY = _pass  # noqa: N815


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        api: str,
        upstream: str,
        record: Callable[[Exchange], None],
        run: Callable[[], str],
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api
        self.upstream = urlsplit(upstream).netloc
        self.record = record
        self.run = run


@contextmanager
def recording(
    api: str, upstream: str, record: Callable[[Exchange], None], run: Callable[[], str]
) -> Iterator[str]:
    """Give the address of a proxy before a server.

    Args:
        api: Name of the API that the server serves.
        upstream: Address of the server.
        record: Called with each exchange.
        run: Returns the name of what runs now.
    """
    proxy = _Proxy(api, upstream, record, run)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
