"""The host behind signed links: serves files raw, so that bodies can be cut and stalled."""

from __future__ import annotations

import re
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from typing_extensions import override

from demandbase_sandbox.faults import Effect, Fault, FaultBook
from demandbase_sandbox.recorder import Recorder, SeenRequest

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.signing import LinkSigner

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


class StorageHost(ThreadingHTTPServer):
    """Serves the files of a folder to holders of a signed link."""

    daemon_threads = True

    def __init__(  # noqa: PLR0913
        self,
        port: int,
        *,
        folder: Path,
        signer: LinkSigner,
        clock: SandboxClock,
        faults: FaultBook,
        recorder: Recorder,
    ) -> None:
        self.folder = folder
        self.signer = signer
        self.clock = clock
        self.faults = faults
        self.recorder = recorder
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StorageHost

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Keep signed links out of the log."""

    def do_GET(self) -> None:
        self._name = unquote(urlsplit(self.path).path).removeprefix("/files/")
        self._query = dict(parse_qsl(urlsplit(self.path).query))
        job, _, rest = self._name.partition("-part-")
        facts = {"job_id": job, "part": int(rest.split(".")[0]) if rest else None}
        hits = self.server.faults.hits(
            "signedFile", facts, Effect.STATUS, Effect.DROP_BEFORE, Effect.DELAY,
            Effect.CUT, Effect.STALL, Effect.NO_RANGE,
        )  # fmt: skip
        by_effect = {fault.effect: fault for fault in hits}
        if Effect.DELAY in by_effect:
            time.sleep(by_effect[Effect.DELAY].seconds)
        if Effect.DROP_BEFORE in by_effect:
            self._note(0)
            self._break()
        elif "Authorization" in self.headers:
            self._refuse(400, "a signed link takes no Authorization header")
        elif Effect.STATUS in by_effect:
            self._refuse(by_effect[Effect.STATUS].status, by_effect[Effect.STATUS].body)
        elif not self.server.signer.allows(
            self._name, self._query, self.server.clock.now().timestamp()
        ):
            self._refuse(403, "the link has expired or is not genuine")
        else:
            self._serve(by_effect)

    def _serve(self, faults: dict[Effect, Fault]) -> None:
        path = self.server.folder / self._name
        if not path.is_file():
            self._refuse(404, "no such file")
            return
        size = path.stat().st_size
        etag = f'"{size:x}-{path.stat().st_mtime_ns:x}"'
        start, end = 0, size
        wanted = _RANGE.match(self.headers.get("Range", ""))
        current = self.headers.get("If-Range", etag) == etag
        if wanted and current and Effect.NO_RANGE not in faults:
            start = int(wanted[1])
            end = min(size, int(wanted[2]) + 1) if wanted[2] else size
            if start >= size:
                self._refuse(416, "", {"Content-Range": f"bytes */{size}"})
                return
        partial = (start, end) != (0, size) or (wanted and current and start == 0)
        cut = faults.get(Effect.CUT)
        self._note(206 if partial else 200)
        self.send_response(206 if partial else 200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("ETag", etag)
        self.send_header("Accept-Ranges", "bytes")
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        if cut is not None and cut.how == "silent":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self._send(path, start, end, faults)

    def _send(self, path: Path, start: int, end: int, faults: dict[Effect, Fault]) -> None:
        cut, stall = faults.get(Effect.CUT), faults.get(Effect.STALL)
        stop = end if cut is None else min(end, start + cut.bytes)
        pause_at = None if stall is None else min(end, start + stall.bytes)
        with path.open("rb") as file:
            file.seek(start)
            position = start
            while position < stop:
                bound = stop if pause_at is None or position >= pause_at else pause_at
                chunk = file.read(min(CHUNK_BYTES, bound - position))
                self.wfile.write(chunk)
                position += len(chunk)
                if stall is not None and position == pause_at:
                    self.wfile.flush()
                    time.sleep(stall.seconds)
        if cut is not None:
            self._break()

    def _break(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self._note(status)
        body = text.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _note(self, status: int) -> None:
        self.server.recorder.add(
            SeenRequest(
                operation="signedFile",
                method="GET",
                path=f"/files/{self._name}",
                status=status,
                authorized="Authorization" in self.headers,
                headers={
                    name: self.headers[name]
                    for name in ("Range", "If-Range", "User-Agent")
                    if name in self.headers
                },
            )
        )
