"""The host behind signed links: takes requests, checks links, answers in time."""

from __future__ import annotations

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from typing_extensions import override

from demandbase_sandbox.faults import Effect, Fault
from demandbase_sandbox.operations import SIGNED_FILE
from demandbase_sandbox.recorder import NOTED_HEADERS, SeenRequest
from demandbase_sandbox.signed_file import FileAnswer, SignedFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_sandbox.tenant import Tenant

_PART = re.compile(r"(?P<job>[^/]+)-part-(?P<part>[0-9]{1,9})\.(csv|json)(\.gz)?")
_EFFECTS = (
    Effect.STATUS, Effect.DROP_BEFORE, Effect.DELAY, Effect.STALL,
    Effect.CUT, Effect.NO_RANGE, Effect.CHANGED,
)  # fmt: skip


class StorageHost(ThreadingHTTPServer):
    """Serves the files of a tenant to holders of a signed link.

    Args:
        tenant: Whose files.
        port: Where; 0 takes a free one.
    """

    daemon_threads = False

    def __init__(self, tenant: Tenant, port: int) -> None:
        self.tenant = tenant
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @override
    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._connections_lock:
            self._connections.add(connection)
        return connection, address

    @override
    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""

    def stop(self) -> None:
        """Close all connections, also idle and stalled ones, and wait for their threads."""
        with self._connections_lock:
            for connection in self._connections:
                _hang_up(connection)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body are two writes: the second must not wait for the first's acknowledgement.
    disable_nagle_algorithm = True
    server: StorageHost

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Keep signed links out of the log."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        tenant = self.server.tenant
        self._name = unquote(urlsplit(self.path).path).removeprefix("/files/")
        self._query = dict(parse_qsl(urlsplit(self.path).query))
        found = _PART.fullmatch(self._name)
        job = tenant.book.find(found["job"]) if found else None
        facts = {
            "job_id": found["job"] if found else None,
            "part": int(found["part"]) if found else None,
            "entity_type": job["entity_type"] if job else None,
        }
        hits = tenant.faults.hits(SIGNED_FILE, facts, *_EFFECTS)
        if Effect.DELAY in hits and not tenant.delay(hits[Effect.DELAY].seconds):
            self.close_connection = True
            _hang_up(self.connection)
        elif Effect.DROP_BEFORE in hits:
            self._note(0)
            self.close_connection = True
            _hang_up(self.connection)
        elif "Authorization" in self.headers:
            self._refuse(400, "a signed link takes no Authorization header")
        elif (fault := hits.get(Effect.STATUS)) is not None:
            self._refuse(fault.status, fault.body, fault.headers)
        elif not tenant.signer.allows(self._name, self._query, tenant.clock.now().timestamp()):
            self._refuse(403, "the link has expired or is not genuine")
        elif not (path := tenant.folder / self._name).is_file():
            self._refuse(404, "no such file")
        else:
            self._serve(SignedFile(path), hits)

    def _serve(self, file: SignedFile, hits: Mapping[Effect, Fault]) -> None:
        answer = FileAnswer.to(self.headers, file, hits)
        self._note(answer.status)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in answer.pieces(self.server.tenant.stopping):
            self.wfile.write(piece)
        if not answer.whole:
            self.close_connection = True
            _hang_up(self.connection)

    def _refuse(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        self._note(status)
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _note(self, status: int) -> None:
        self.server.tenant.recorder.add(
            SeenRequest(
                operation=SIGNED_FILE,
                method=self.command,
                path=urlsplit(self.path).path,
                status=status,
                authorized="Authorization" in self.headers,
                query=self._query,
                headers={
                    name: self.headers[name] for name in NOTED_HEADERS if name in self.headers
                },
                api="files",
            )
        )


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster
