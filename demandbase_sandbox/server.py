"""The sandbox: starts and stops its servers, and gives tests access to the tenant."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import uvicorn

from demandbase_sandbox.connections import drop_all
from demandbase_sandbox.file_host import StorageHost
from demandbase_sandbox.options import SandboxOptions
from demandbase_sandbox.tenant.schema import TenantEntity, TenantField
from demandbase_sandbox.tenant.tenant import Tenant, export_text
from demandbase_sandbox.v1.app import v1_app

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from starlette.types import ASGIApp, Receive, Scope, Send

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.faults import Fault
    from demandbase_sandbox.recorder import RecordedRequest
    from demandbase_sandbox.tenant.jobs import SimulatedJobs


class _Hosts:
    """Both APIs as one ASGI application: a request's port says which one it calls."""

    def __init__(self, tenant: Tenant, uapi_port: int) -> None:
        self._tenant = tenant
        self._uapi_port = uapi_port
        self.connections: set[Any] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope["state"] = {"tenant": self._tenant, "connections": self.connections}
        is_uapi = scope["server"][1] == self._uapi_port
        await (_uapi() if is_uapi else v1_app())(scope, receive, send)


def _uapi() -> ASGIApp:
    # With the first request: many sandboxes never get one to this API.
    from demandbase_sandbox.uapi.app import uapi_app  # noqa: PLC0415

    return uapi_app()


class Sandbox:
    """A sandbox, to be used as a context manager.

    Raises:
        OSError: A port is taken.
        sqlite3.Error: ``options.data`` is no SQLite file.
    """

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.options = options or SandboxOptions()
        with ExitStack() as undo:
            # Ports first, so that one in use is an error before millions of rows are generated.
            self._socket = undo.enter_context(_listening(self.options.port))
            self._uapi_socket = undo.enter_context(_listening(self.options.uapi_port))
            self.tenant = Tenant(self.options)
            undo.callback(self.tenant.close)
            self._files = StorageHost(self.tenant, self.options.files_port)
            undo.callback(self._files.stop)
            self._undo = undo.pop_all()
        self.tenant.files_url = self._files.url
        self._hosts = _Hosts(self.tenant, self._uapi_socket.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._hosts,
                http="h11",
                log_config=None,
                log_level="critical",
                access_log=False,
                date_header=False,
                lifespan="off",
                timeout_graceful_shutdown=2,
            )
        )
        self._hosts.connections = self._server.server_state.connections
        self._threads = [
            threading.Thread(
                target=self._server.run, args=([self._socket, self._uapi_socket],), daemon=True
            ),
            threading.Thread(target=self._files.serve_forever, args=(0.02,), daemon=True),
        ]

    @property
    def url(self) -> str:
        """Address of the v1 API."""
        return _address(self._socket)

    @property
    def uapi_url(self) -> str:
        """Address of ``uapi``."""
        return _address(self._uapi_socket)

    @property
    def files_url(self) -> str:
        """Address of the host behind signed links."""
        return self._files.url

    @property
    def token(self) -> str:
        """The static bearer token, which both APIs accept."""
        return self.options.token

    @property
    def client_id(self) -> str:
        """The client id of ``uapi``."""
        return self.options.client_id

    @property
    def client_secret(self) -> str:
        """The client secret of ``uapi``."""
        return self.options.client_secret

    @property
    def clock(self) -> SandboxClock:
        """The sandbox's clock; ``advance`` moves it forward."""
        return self.tenant.clock

    def start(self) -> Self:
        """Start both servers and wait until they accept requests.

        Raises:
            RuntimeError: The server of the APIs ended during its start.
        """
        for thread in self._threads:
            thread.start()
        while not self._server.started:
            if not self._threads[0].is_alive():
                self.stop()
                raise RuntimeError("the server of the sandbox ended during its start")
            time.sleep(0.002)
        return self

    def stop(self) -> None:
        """Stop both servers and remove temporary files."""
        self.tenant.stop()
        if self._threads[0].ident is not None:
            self._server.should_exit = True
            drop_all(self._hosts.connections)
            self._files.shutdown()
            for thread in self._threads:
                thread.join(10)
        self._undo.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def requests(self, operation: str | None = None) -> list[RecordedRequest]:
        """Return the recorded requests, of one operation or all."""
        seen = self.tenant.recorder.all()
        return [request for request in seen if operation in {None, request.operation}]

    def clear_requests(self) -> None:
        """Clear the recorded requests."""
        self.tenant.recorder.clear()

    def add_fault(self, fault: Fault) -> None:
        """Add a fault."""
        self.tenant.faults.add(fault)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.tenant.faults.clear()

    def revoke_token(self, *, legacy: bool = False) -> None:
        """Revoke all issued tokens or, with ``legacy``, the static one (over uapi only)."""
        self.tenant.tokens.revoke(legacy=legacy)

    def issued_tokens(self) -> list[str]:
        """Return the issued tokens that are not revoked, oldest first."""
        return self.tenant.tokens.issued()

    def calls_today(self) -> dict[str, int]:
        """Return today's calls of ``uapi`` by operation, rejected ones included."""
        return self.tenant.calls.today()

    def calls_by_day(self) -> dict[str, dict[str, int]]:
        """Return the calls of ``uapi`` by UTC day (``YYYY-MM-DD``) and operation."""
        return self.tenant.calls.by_day()

    def export_jobs(self) -> list[dict[str, Any]]:
        """Return the export jobs as of now: those of v1, then those of uapi, newest first.

        A job of uapi has ``id``, ``entity_type``, ``status``, ``entityType``, ``jobName``,
        ``createdAt``, ``updatedAt``, ``message`` and ``request``, the members of its request.
        """
        return self._jobs(self.tenant.exports, self.tenant.uapi_exports)

    def foreign_jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that faults created in the name of other clients."""
        jobs = [*self.export_jobs(), *self.import_jobs()]
        foreign = {job["id"] for job in jobs if self.tenant.job_faults(job["id"]).foreign}
        return [job for job in jobs if job["id"] in foreign]

    def import_jobs(self) -> list[dict[str, Any]]:
        """Return the import jobs as of now: those of v1, then those of uapi, newest first.

        A job of uapi has ``list_action`` from its upload on, and ``outcome`` (the members of
        ``ImportOutcome``) once it has ended.
        """
        return self._jobs(self.tenant.imports, self.tenant.uapi_imports)

    def _jobs(self, *kinds: SimulatedJobs[Any]) -> list[dict[str, Any]]:
        with self.tenant.store.lock:
            self.tenant.advance_jobs()
            return [jobs.document(job) for jobs in kinds for job in jobs.all()]

    def created_fields(self) -> dict[str, list[str]]:
        """Return the labels of the fields that imports created, by entity."""
        found: dict[str, list[str]] = {}
        for job in reversed(self.import_jobs()):
            if labels := job.get("outcome", {}).get("created_fields"):
                found.setdefault(job["entity_type"], []).extend(labels)
        return found

    def uploaded(self, job_id: str | int) -> bytes:
        """Return the file of an import job."""
        return self.tenant.imports.file(str(job_id)).read_bytes()

    def uploaded_files(self, job_id: str | int) -> list[bytes]:
        """Return the files of an import job: one, or none before its upload."""
        path = self.tenant.imports.file(str(job_id))
        return [path.read_bytes()] if path.is_file() else []

    def rows(self, entity: str) -> list[dict[str, str | None]]:
        """Return an entity's rows, with values as in an export."""
        return self.tenant.rows(entity)

    def put_rows(self, entity: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace an entity's rows. Fields that a row does not name are empty.

        Raises:
            ValueError: A row names an unknown field.
        """
        self.tenant.put_rows(entity, rows)

    def add_entity(
        self,
        name: str,
        fields: Sequence[Sequence[str]],
        rows: Sequence[Sequence[Any] | Mapping[str, Any]],
        description: str = "",
    ) -> None:
        """Add or replace an entity.

        A field is its name, type and optionally description; the first field is the id. Rows
        are lists of values in the order of the fields, or mappings.
        """
        entity = TenantEntity(name, description, tuple(_field(*field) for field in fields))
        names = [field.name for field in entity.fields]
        values = [
            [row.get(column) for column in names] if hasattr(row, "get") else row for row in rows
        ]
        self.tenant.store.add_entity(
            entity, [[export_text(cell) for cell in row] for row in values]
        )

    def map_source(self, name: str, object_type: str, mappings: Mapping[str, str]) -> None:
        """Replace the field mappings of a source, as an administrator does over the product.

        Args:
            name: Name of the source.
            object_type: ``account`` or ``person``.
            mappings: Name of the tenant's field by label of the source.

        Raises:
            KeyError: There is no such source or object type.
        """
        with self.tenant.store.lock:
            self.tenant.sources.map_fields(name, object_type, mappings)

    def reset(self) -> None:
        """Return to the start: the sample rows, no jobs or requests, the options' faults."""
        self.tenant.reset()


def _field(name: str, kind: str, description: str = "") -> TenantField:
    return TenantField(name, kind, description)


def _listening(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only on sockets whose protocol is named.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", port))
    except OSError:
        found.close()
        raise
    return found


def _address(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}"
