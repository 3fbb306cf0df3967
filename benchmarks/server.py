"""A server for the v1 API on loopback that needs almost no time itself.

The kernel sends files that were made before; uploads are written as they arrive, and their rows are
counted by the start of their keys. It checks nothing. The strict server is ``demandbase_sandbox``,
whose own speed would dominate here.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from benchmarks.columns import KEY_MARK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from benchmarks.columns import Column
    from benchmarks.data import ExportFiles

CHUNK_BYTES = 1024 * 1024
TOKEN = "bench"  # noqa: S105 - not a secret
IMPORT_ENTITY = "accounts"


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity that can be exported.

    Args:
        columns: Its fields.
        files: Results of exports, one for each selection of fields.
        job_seconds: Duration of its jobs.
    """

    columns: Sequence[Column]
    files: Sequence[ExportFiles]
    job_seconds: float = 0.0


@dataclass(slots=True)
class _Job:
    id: str
    body: dict[str, Any]
    created: datetime
    done: float
    files: ExportFiles | None = None
    upload: Path | None = None
    rows: int = 0
    size: int = 0
    times: dict[str, str] = field(default_factory=dict)


class Server:
    """The server; use it as a context manager.

    Args:
        entities: Entities for export by name.
        importable: Fields for import.
        folder: Folder for uploads.
    """

    def __init__(
        self, entities: dict[str, Entity], importable: Sequence[Column], folder: Path
    ) -> None:
        self.entities = entities
        self.importable = importable
        self.folder = folder
        self.sent_bytes = 0
        self.import_seconds = 0.0
        """Duration of import jobs, from their file on; all of them may run at a time."""
        self.jobs: dict[str, dict[str, _Job]] = {"export": {}, "import": {}}
        self._http = _HttpServer(("127.0.0.1", 0), _Handler)
        self._http.bench = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def uploads(self) -> list[Path]:
        """Uploaded files, in order."""
        return [job.upload for job in self.jobs["import"].values() if job.upload is not None]

    @property
    def uploaded_rows(self) -> int:
        """Number of uploaded rows."""
        return sum(job.rows for job in self.jobs["import"].values())

    def forget(self) -> None:
        """Forget all jobs and delete the uploads."""
        for path in self.uploads:
            path.unlink()
        self.jobs = {"export": {}, "import": {}}
        self.sent_bytes = 0

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()
        self.forget()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    bench: Server

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = CHUNK_BYTES
    server: _HttpServer

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        bench = self.server.bench
        match urlsplit(self.path).path.split("/")[1:]:
            case ["export", "v1", "entities"]:
                self._respond({"entities": [_entity(*item) for item in bench.entities.items()]})
            case ["import", "v1", "mappings"]:
                self._respond({"mappings": [_mapping(column) for column in bench.importable]})
            case [("export" | "import") as kind, "v1", "jobs"]:
                asked = parse_qs(urlsplit(self.path).query)
                jobs = list(bench.jobs[kind].values())[::-1]
                start = int(asked.get("offset", ["0"])[0])
                page = jobs[start : start + int(asked.get("limit", ["25"])[0])]
                self._respond({"jobs": [_shown(job) for job in page], "total": len(jobs)})
            case [("export" | "import") as kind, "v1", "jobs", job_id]:
                self._respond(_shown(bench.jobs[kind][job_id]))
            case ["import", "v1", "jobs", _, "errors"]:
                self._respond({"errors": [], "total": 0})
            case ["export", "v1", "jobs", job_id, "download"]:
                part = parse_qs(urlsplit(self.path).query).get("part", ["1"])[0]
                self._head(302, {"Location": f"{bench.url}/files/{job_id}/{part}"}, 0)
            case ["files", job_id, part]:
                self._send_file(bench.jobs["export"][job_id], int(part))
            case _:
                self._respond({"error": "not found"}, 404)

    def do_DELETE(self) -> None:
        self._respond({"error": "not supported"}, 409)

    def do_POST(self) -> None:
        match urlsplit(self.path).path.split("/")[1:]:
            case ["export", "v1", "jobs"]:
                self._create_export(json.loads(self.rfile.read(self._length)))
            case ["import", "v1", "jobs"]:
                job = _new(json.loads(self.rfile.read(self._length)))
                job.done = float("inf")
                self.server.bench.jobs["import"][job.id] = job
                self._respond(_shown(job), 202)
            case ["import", "v1", "jobs", job_id, "upload"]:
                self._receive(self.server.bench.jobs["import"][job_id])
            case _:
                self._respond({"error": "not found"}, 404)

    @property
    def _length(self) -> int:
        return int(self.headers["Content-Length"])

    def _create_export(self, body: dict[str, Any]) -> None:
        entity = self.server.bench.entities[body["entity_type"]]
        every = [column.name for column in entity.columns]
        fields = set(body.get("fields") or every)
        files = next((it for it in entity.files if set(it.source.names) == fields), None)
        if files is None:
            self._respond({"error": "no file for these fields"}, 400)
            return
        job = _new(body, entity.job_seconds)
        job.files = files
        self.server.bench.jobs["export"][job.id] = job
        self._respond(_shown(job), 202)

    def _send_file(self, job: _Job, part: int) -> None:
        assert job.files is not None  # noqa: S101 - set at its creation
        path = job.files.parts[part - 1]
        size = path.stat().st_size
        self._head(200, {"Content-Type": "text/csv", "ETag": f'"{job.id}-{part}"'}, size)
        with path.open("rb") as file:
            self.connection.sendfile(file)
        self.server.bench.sent_bytes += size

    def _receive(self, job: _Job) -> None:
        """Write the file of a multipart body and count its rows by the start of their keys."""
        left = self._length
        head = 0
        name = ""
        while (line := self.rfile.readline()) not in {b"\r\n", b""}:
            head += len(line)
            if found := re.search(rb'filename="([^"]*)"', line):
                name = found[1].decode()
        boundary = self.headers["Content-Type"].partition("boundary=")[2].strip('"')
        size = left = left - head - len(b"\r\n") - len(f"\r\n--{boundary}--\r\n")
        path = self.server.bench.folder / f"{job.id}.csv"
        buffer = bytearray(CHUNK_BYTES)
        keep = len(KEY_MARK) - 1
        tail = b""
        with path.open("wb", buffering=0) as file:
            while left:
                got = self.rfile.readinto1(memoryview(buffer)[: min(left, CHUNK_BYTES)])
                if not got:
                    path.unlink()
                    return
                file.write(memoryview(buffer)[:got])
                # A mark may cross two pieces; the ends of both are too short for a whole one.
                border = tail + buffer[: min(got, keep)]
                job.rows += buffer.count(KEY_MARK, 0, got) + border.count(KEY_MARK)
                tail = bytes((tail + buffer[max(0, got - keep) : got])[-keep:])
                left -= got
        self.rfile.read(len(f"\r\n--{boundary}--\r\n"))
        job.upload, job.size = path, size
        job.done = time.monotonic() + self.server.bench.import_seconds
        job.body["file_name"] = name
        self._respond(_shown(job))

    def _respond(self, document: Mapping[str, Any], status: int = 200) -> None:
        body = json.dumps(document).encode()
        self._head(status, {"Content-Type": "application/json"}, len(body))
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str], size: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()


def _new(body: dict[str, Any], seconds: float = 0.0) -> _Job:
    return _Job(str(uuid.uuid4()), body, datetime.now(UTC), time.monotonic() + seconds)


def _entity(name: str, entity: Entity) -> dict[str, Any]:
    fields = [{"name": column.name, "type": column.kind.value} for column in entity.columns]
    return {"name": name, "description": "", "fields": fields}


def _mapping(column: Column) -> dict[str, Any]:
    return {
        "entity_type": IMPORT_ENTITY,
        "field_name": column.name,
        "field_type": column.kind.value,
        "required": False,
    }


def _shown(job: _Job) -> dict[str, Any]:
    is_done = time.monotonic() >= job.done
    document: dict[str, Any] = {
        "id": job.id,
        "entity_type": job.body["entity_type"],
        "status": "completed" if is_done else "pending",
        "created_at": job.created.isoformat(),
    }
    if is_done:
        document["completed_at"] = datetime.now(UTC).isoformat()
    if job.files is not None:
        document |= {"fields": job.files.source.names, "filters": job.body.get("filters", {})}
        if is_done:
            document |= {
                "record_count": job.files.rows,
                "file_size_bytes": job.files.size,
                "file_parts": len(job.files.parts),
                "expires_at": (job.created + timedelta(days=7)).isoformat(),
            }
    else:
        document["operation"] = job.body["operation"]
        if is_done:
            document |= {
                "file_name": job.body["file_name"],
                "file_size_bytes": job.size,
                **dict.fromkeys(("total_rows", "processed_rows", "success_count"), job.rows),
                "error_count": 0,
            }
    return document
