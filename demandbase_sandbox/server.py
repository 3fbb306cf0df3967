"""Starts and stops a sandbox, and lets tests look behind it."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn

from demandbase_sandbox.api import create_api
from demandbase_sandbox.options import SandboxOptions
from demandbase_sandbox.storage_host import StorageHost
from demandbase_sandbox.tenant import Tenant
from demandbase_sandbox.tenant_schema import TenantEntity, TenantField

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.faults import Fault
    from demandbase_sandbox.recorder import SeenRequest


class Sandbox:
    """A running sandbox; use it as a context manager.

    Args:
        options: How it behaves.
    """

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.options = options or SandboxOptions()
        self.tenant = Tenant(self.options)
        self._files = StorageHost(
            self.options.files_port,
            folder=self.tenant.folder,
            signer=self.tenant.signer,
            clock=self.tenant.clock,
            faults=self.tenant.faults,
            recorder=self.tenant.recorder,
        )
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", self.options.port))
        config = uvicorn.Config(
            create_api(self.tenant, lambda: self.files_url),
            log_level="critical",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._threads = [
            threading.Thread(target=self._server.run, args=([self._socket],), daemon=True),
            threading.Thread(target=self._files.serve_forever, args=(0.02,), daemon=True),
        ]

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def files_url(self) -> str:
        """Address of the host behind signed links."""
        return self._files.url

    @property
    def token(self) -> str:
        """The bearer token that is accepted."""
        return self.options.token

    @property
    def clock(self) -> SandboxClock:
        """The sandbox's now; ``advance`` skips time."""
        return self.tenant.clock

    def start(self) -> Self:
        """Start both servers and wait until they take requests."""
        for thread in self._threads:
            thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop both servers and remove what is temporary."""
        self._server.should_exit = True
        self._files.shutdown()
        for thread in self._threads:
            thread.join(10)
        self._files.server_close()
        self._socket.close()
        self.tenant.close()

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

    def requests(self, operation: str | None = None) -> list[SeenRequest]:
        """Return what the servers saw, of one operation or in all."""
        seen = self.tenant.recorder.all()
        return [request for request in seen if operation in {None, request.operation}]

    def clear_requests(self) -> None:
        """Forget what was seen."""
        self.tenant.recorder.clear()

    def add_fault(self, fault: Fault) -> None:
        """Make trouble from now on."""
        self.tenant.faults.add(fault)

    def clear_faults(self) -> None:
        """Make no more trouble."""
        self.tenant.faults.clear()

    def export_jobs(self) -> list[dict[str, Any]]:
        """Return all export jobs, newest first."""
        return self.tenant.store.jobs("export")

    def import_jobs(self) -> list[dict[str, Any]]:
        """Return all import jobs, newest first."""
        return self.tenant.store.jobs("import")

    def uploaded(self, job_id: str) -> bytes:
        """Return the file that an import job was given."""
        return self.tenant.imports.file(job_id).read_bytes()

    def rows(self, entity: str) -> list[dict[str, str | None]]:
        """Return an entity's rows as the texts that an export shows."""
        names = [field.name for field in self.tenant.store.entities[entity].fields]
        return [
            dict(zip(names, row, strict=True)) for row in self.tenant.store.select(entity, names)
        ]

    def add_entity(
        self,
        name: str,
        fields: list[tuple[str, str]],
        rows: list[list[str | None]],
        description: str = "",
    ) -> None:
        """Add an entity, or put another in its place; the first field is its id."""
        entity = TenantEntity(name, description, tuple(TenantField(*field) for field in fields))
        self.tenant.store.add_entity(entity, rows)

    def reset(self) -> None:
        """Return to the sample tenant: no jobs, no faults, nothing seen."""
        with self.tenant.store.lock:
            self.tenant.store.clear()
            self.tenant.store.fill(self.options.seed, self.options.rows)
            self.clock.reset()
            self.clear_faults()
            self.clear_requests()
