"""A server with scripted responses, for what is too odd for the sandbox."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """A scripted response.

    Args:
        body: The body, or its pieces: then it has no length and ends with the connection. An
            iterator of pieces may wait between them, or be endless.
        raw: All bytes of the response, sent as they are. Default: made from the others.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""

    @classmethod
    def json(cls, document: object, status: int = 200, **headers: str) -> Reply:
        """Return a response with a JSON document; ``_`` in names of headers stands for ``-``."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(
            status, json.dumps(document).encode(), {"Content-Type": "application/json", **names}
        )


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class ScriptedServer(ThreadingHTTPServer):
    """Responds to each path with its replies in turn; the last one is repeated.

    Keys of ``replies`` are paths, with a method in front (``"POST /jobs"``) where that matters.
    A path without replies is a 404. Replies may be added or replaced at any time.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, replies: Mapping[str, Reply | Sequence[Reply]]) -> None:
        self.replies = dict(replies)
        self.requests: list[Received] = []
        self._turns: dict[str, int] = {}
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reply_to(self, request: Received) -> Reply:
        """Record a request and return its reply."""
        with self._lock:
            self.requests.append(request)
            for key in (f"{request.method} {request.path}", request.path):
                found = self.replies.get(key)
                if found is None:
                    continue
                script = [found] if isinstance(found, Reply) else found
                turn = self._turns.get(key, 0)
                self._turns[key] = turn + 1
                return script[min(turn, len(script) - 1)]
        return Reply(404)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Ignore clients that closed their connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ScriptedServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Log nothing."""

    def _respond(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        received = Received(self.command, parts.path, parts.query, dict(self.headers), body)
        reply = self.server.reply_to(received)
        if reply.raw:
            self.close_connection = True
            self.wfile.write(reply.raw)
            return
        pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
        own = (
            {"Content-Length": str(len(reply.body))}
            if isinstance(reply.body, bytes)
            else {"Connection": "close"}
        )
        self.send_response_only(reply.status)
        for name, value in {**own, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)

    do_GET = do_POST = do_PUT = do_DELETE = do_CONNECT = _respond  # noqa: N815 - of http.server


@contextmanager
def http_server(replies: Mapping[str, Reply | Sequence[Reply]]) -> Iterator[ScriptedServer]:
    """Run a server with scripted responses."""
    server = ScriptedServer(replies)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
