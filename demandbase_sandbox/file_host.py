"""The host behind signed links, a server of its own.

It frames bodies itself, because some faults break the framing. Files without faults come
from here, too: a download of 150 MB from Starlette's ``FileResponse`` over uvicorn took four to
six times as long.
"""

from __future__ import annotations

import gzip
import re
import socket
import threading
from dataclasses import dataclass
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from typing_extensions import override

from demandbase_sandbox.faults import CutMode, Effect, Fault
from demandbase_sandbox.operations import SIGNED_FILE
from demandbase_sandbox.recorder import RECORDED_HEADERS, RecordedRequest
from demandbase_sandbox.tenant.files import reverse_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message
    from pathlib import Path

    from demandbase_sandbox.tenant.tenant import Tenant


CHUNK_BYTES = 256 * 1024

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

_PART = re.compile(r"(?P<job>[^/]+)-part-(?P<part>[0-9]{1,9})\.(csv|json)(\.gz)?")

_EFFECTS = (
    Effect.STATUS, Effect.DROP_BEFORE, Effect.DELAY, Effect.STALL,
    Effect.DRIP, Effect.HEADERS, Effect.CUT, Effect.NO_RANGE, Effect.CHANGED,
)  # fmt: skip


class StorageHost(ThreadingHTTPServer):
    """Serves the files of a tenant to holders of a signed link.

    Args:
        port: Port; 0 for any free one.
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
        """Ignore clients that closed their connection."""

    def stop(self) -> None:
        """Close all connections, including idle and stalled ones, and wait for their threads."""
        with self._connections_lock:
            for connection in self._connections:
                _close(connection)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body are two writes; the second must not wait for the first one's ACK.
    disable_nagle_algorithm = True
    server: StorageHost

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: signed links are secret."""

    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def _respond(self) -> None:
        tenant = self.server.tenant
        self._name = unquote(urlsplit(self.path).path).removeprefix("/files/")
        self._query = dict(parse_qsl(urlsplit(self.path).query))
        found = _PART.fullmatch(self._name)
        job = tenant.find_job(found["job"]) if found else None
        facts = {
            "job_id": found["job"] if found else None,
            "part": int(found["part"]) if found else None,
            "entity_type": job.entity_type if job else None,
        }
        hits = tenant.faults.hits(SIGNED_FILE, facts, *_EFFECTS)
        self._changed = hits[Effect.HEADERS].headers if Effect.HEADERS in hits else {}
        if Effect.DELAY in hits and not tenant.delay(hits[Effect.DELAY].seconds):
            self.close_connection = True
            _close(self.connection)
        elif Effect.DROP_BEFORE in hits:
            self._record(0)
            self.close_connection = True
            _close(self.connection)
        elif "Authorization" in self.headers:
            self._reject(400, "a signed link takes no Authorization header")
        elif (fault := hits.get(Effect.STATUS)) is not None:
            self._reject(fault.status, fault.body, fault.headers)
        elif not tenant.signer.allows(self._name, self._query, tenant.clock.now().timestamp()):
            self._reject(403, "the link has expired or is not genuine")
        elif not (path := tenant.folder / self._name).is_file():
            self._reject(404, "no such file")
        else:
            self._serve(SignedFile(path), hits)

    def _serve(self, file: SignedFile, hits: Mapping[Effect, Fault]) -> None:
        response = FileRange.from_request(self.headers, file, hits)
        self._begin(response.status, response.headers)
        if self.command == "HEAD":
            return
        for piece in response.pieces(self.server.tenant.stopping):
            self.wfile.write(piece)
        if not response.whole:
            self.close_connection = True
            _close(self.connection)

    def _reject(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        body = text.encode()
        own = {"Content-Type": "text/plain", **(headers or {}), "Content-Length": str(len(body))}
        self._begin(status, own)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(self, status: int, own: Mapping[str, str]) -> None:
        self._record(status)
        time = format_datetime(self.server.tenant.clock.now(), usegmt=True)
        changed = {name.title(): value for name, value in self._changed.items()}
        headers = {"Date": time, **{name.title(): value for name, value in own.items()}, **changed}
        headers = {name: value for name, value in headers.items() if value}
        if not {"Content-Length", "Transfer-Encoding"} & headers.keys():
            headers["Connection"] = "close"
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _record(self, status: int) -> None:
        self.server.tenant.recorder.add(
            RecordedRequest(
                operation=SIGNED_FILE,
                method=self.command,
                path=urlsplit(self.path).path,
                status=status,
                authorized="Authorization" in self.headers,
                query=self._query,
                headers={
                    name: self.headers[name] for name in RECORDED_HEADERS if name in self.headers
                },
                api="files",
            )
        )


def _close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster


@dataclass(frozen=True, slots=True)
class FileRange:
    """A response with a range of a file.

    Args:
        status: 200, 206 or 416.
        start: First byte.
        stop: End of the bytes to send, exclusive.
        whole: Whether all bytes that the headers announce are sent.
        chunked: Whether the body is framed in chunks.
        stall: Fault that pauses within the body.
        drip: Fault that pauses after each piece of the body.
    """

    status: int
    headers: Mapping[str, str]
    file: SignedFile
    start: int
    stop: int
    whole: bool = True
    chunked: bool = False
    stall: Fault | None = None
    drip: Fault | None = None

    @classmethod
    def from_request(cls, request: Message, file: SignedFile, hits: Mapping[Effect, Fault]) -> Self:
        """Return the response to a request's headers, with its faults."""
        tag = file.tag
        if (change := hits.get(Effect.CHANGED)) is not None:
            tag = f'"changed-{tag[1:]}'
            file = file if change.how == "etag" else file.changed()
        size = file.size
        kind = "application/gzip" if file.path.suffix == ".gz" else "text/csv"
        headers = {"Content-Type": kind, "ETag": tag, "Accept-Ranges": "bytes"}
        found = None
        if Effect.NO_RANGE in hits:
            del headers["Accept-Ranges"]
        elif request.get("If-Range", tag) == tag:
            found = requested_range(request.get("Range", ""), size)
        start, end = found or (0, size)
        if found and start >= size:
            headers |= {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
            return cls(416, headers, file, size, size)
        if found:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        cut, stop, chunked = hits.get(Effect.CUT), end, False
        if cut is not None:
            stop = min(end, start + cut.bytes)
        match CutMode(cut.how or CutMode.CONTENT_LENGTH) if cut else CutMode.CONTENT_LENGTH:
            case CutMode.CONTENT_LENGTH | CutMode.LENGTH:
                headers["Content-Length"] = str(end - start)
            case CutMode.CHUNKED:
                headers["Transfer-Encoding"] = "chunked"
                chunked = True
            case CutMode.CLOSE | CutMode.SILENT:
                headers["Connection"] = "close"
        return cls(
            206 if found else 200, headers, file, start, stop,
            whole=cut is None, chunked=chunked,
            stall=hits.get(Effect.STALL), drip=hits.get(Effect.DRIP),
        )  # fmt: skip

    def pieces(self, stopping: threading.Event) -> Iterator[bytes]:
        """Yield the body; a stall pauses before its byte."""
        pause = None
        if self.stall is not None:
            pause = min(self.stop, self.start + self.stall.bytes)
        step = CHUNK_BYTES if self.drip is None else max(1, self.drip.bytes)
        position = self.start
        with self.file.path.open("rb") as content:
            content.seek(position)
            while True:
                if self.stall is not None and position == pause:
                    stopping.wait(self.stall.seconds)
                    pause = None
                if position >= self.stop:
                    break
                bound = self.stop if pause is None else pause
                piece = content.read(min(step, bound - position))
                position += len(piece)
                yield b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece
                if self.drip is not None:
                    stopping.wait(self.drip.seconds)


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file on the disk."""

    path: Path

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.path.stat().st_size

    @property
    def tag(self) -> str:
        """ETag of the content."""
        found = self.path.stat()
        return f'"{found.st_size:x}-{found.st_mtime_ns:x}"'

    def changed(self) -> SignedFile:
        """Return another version of a small file: the same rows in reverse order."""
        other = self.path.with_name(f"changed-{self.path.name}")
        content = self.path.read_bytes()
        if self.path.suffix == ".gz":
            content = gzip.compress(reverse_rows(gzip.decompress(content)), mtime=0)
        else:
            content = reverse_rows(content)
        other.write_bytes(content)
        return SignedFile(other)


def requested_range(header: str, size: int) -> tuple[int, int] | None:
    """Return start and end (exclusive) of a Range header; ``None`` for the whole file.

    A header other than a single range of bytes is ignored. A start at or after the end of the
    file is returned as it is: the caller responds with 416.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        return (max(0, size - int(found[2])), size) if int(found[2]) else (size, size)
    start = int(found[1])
    end = int(found[2]) + 1 if found[2] else size
    if found[2] and end <= start:
        return None
    return start, min(size, end)
