"""One tenant with all that its two servers share."""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.clock import SandboxClock
from demandbase_sandbox.faults import FaultBook
from demandbase_sandbox.recorder import Recorder
from demandbase_sandbox.signing import LinkSigner
from demandbase_sandbox.tenant.store import Store
from demandbase_sandbox.uapi.activity_types import ActivityTypes
from demandbase_sandbox.uapi.exports import UapiExportJobs
from demandbase_sandbox.uapi.imports import UapiImportJobs
from demandbase_sandbox.uapi.limits import CallLimits
from demandbase_sandbox.uapi.tokens import TokenBook
from demandbase_sandbox.v1.exports import ExportJobs
from demandbase_sandbox.v1.imports import ImportJobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.jobs import Job, SimulatedJobs
    from demandbase_sandbox.tenant.store import Snapshot


class Tenant:
    """A tenant's rows, jobs, files, clock, faults and what was seen.

    Args:
        options: How it behaves.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.stopping = threading.Event()
        self._forgotten = threading.Event()
        self.clock = SandboxClock()
        self.faults = FaultBook(options.faults, options.seed)
        self.recorder = Recorder()
        self.signer = LinkSigner()
        self.files_url = ""
        self.folder = Path(tempfile.mkdtemp(prefix="demandbase-sandbox-"))
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.store = Store(options.data or self.folder / "tenant.sqlite")
            undo.callback(self.store.close)
            self.store.open()
            self.store.fill(options.seed, options.rows)
            self._close = undo.pop_all().close
        self._sample: Snapshot | None = None
        place = (self.store, self.folder, self.clock, options)
        self.exports = ExportJobs(*place)
        self.imports = ImportJobs(*place)
        self.uapi_exports = UapiExportJobs(*place)
        self.activity_types = ActivityTypes()
        self.uapi_imports = UapiImportJobs(*place, self.activity_types)
        self.jobs: tuple[SimulatedJobs[Any], ...] = (
            self.exports,
            self.imports,
            self.uapi_exports,
            self.uapi_imports,
        )
        self.tokens = TokenBook(self.clock, options)
        self.calls = CallLimits(self.clock, options)

    def advance_jobs(self) -> None:
        """Bring all jobs to where they are by now, in the order in which they end."""
        with self.store.lock:
            due = [(jobs.due(job), jobs, job) for jobs in self.jobs for job in jobs.changing()]
            for _, jobs, job in sorted(due, key=lambda item: item[0]):
                jobs.advance(job)

    def find_job(self, job_id: str) -> Job | None:
        """Return a job of any kind, if it is known."""
        return next((job for jobs in self.jobs if (job := jobs.find(job_id)) is not None), None)

    def link(self, name: str, life: float) -> str:
        """Return a signed link to a file that works for some seconds."""
        return self.signer.link(self.files_url, name, self.clock.now().timestamp() + life)

    def rows(self, entity: str) -> list[dict[str, str | None]]:
        """Return an entity's rows as the texts that an export shows."""
        with self.store.lock:
            self.advance_jobs()
            names = [field.name for field in self.store.entities[entity].fields]
            found = self.store.select(entity, names)
            return [dict(zip(names, row, strict=True)) for row in found]

    def put_rows(self, entity: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put rows in place of an entity's rows; fields that are not named are empty.

        Raises:
            ValueError: A row names a field that the entity has not.
        """
        with self.store.lock:
            self.advance_jobs()
            shape = self.store.entities[entity]
            names = [field.name for field in shape.fields]
            cells = []
            for row in rows:
                if unknown := sorted(row.keys() - set(names)):
                    raise ValueError(f"unknown fields of {entity}: {', '.join(unknown)}")
                cells.append([cell_text(row.get(name)) for name in names])
            self.store.add_entity(shape, cells)

    def delay(self, seconds: float) -> bool:
        """Let seconds pass; return whether the tenant is still the one that it was before."""
        return not self._forgotten.wait(seconds)

    def reset(self) -> None:
        """Return to the sample tenant: no jobs, no faults, nothing seen, no time skipped."""
        with self.store.lock:
            # Requests that are delayed were meant for the tenant of before.
            self._forgotten.set()
            self._forgotten = threading.Event()
            if self._sample is None:
                self.store.clear()
                self.imports.row_errors.clear()
                self.store.fill(self.options.seed, self.options.rows)
                self._sample = self.store.snapshot()
            else:
                self.store.restore(self._sample)
            for jobs in self.jobs:
                jobs.clear()
            self.faults.clear()
            for fault in self.options.faults:
                self.faults.add(fault)
            self.recorder.clear()
            self.tokens.clear()
            self.calls.clear()
            self.activity_types.clear()
            self.clock.reset()

    def stop(self) -> None:
        """Let nothing go on that takes its time."""
        self.stopping.set()
        self._forgotten.set()

    def close(self) -> None:
        """Close and remove everything temporary."""
        self.stop()
        self._close()
        if self._sample is not None:
            self._sample.database.close()


def cell_text(value: object) -> str | None:
    """Return a value as an export shows it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
