"""The tenant: what both APIs and the host behind signed links share."""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.clock import SandboxClock
from demandbase_sandbox.faults import NO_FAULTS, FaultRules
from demandbase_sandbox.recorder import Recorder
from demandbase_sandbox.signing import LinkSigner
from demandbase_sandbox.tenant.store import Store
from demandbase_sandbox.uapi.activity_types import ActivityTypes
from demandbase_sandbox.uapi.exports import UapiExportJobs
from demandbase_sandbox.uapi.imports import UapiImportJobs
from demandbase_sandbox.uapi.limits import CallLimits
from demandbase_sandbox.uapi.sources import TenantSources
from demandbase_sandbox.uapi.tokens import Tokens
from demandbase_sandbox.v1.exports import ExportJobs
from demandbase_sandbox.v1.imports import ImportJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from demandbase_sandbox.faults import JobFaults
    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.jobs import Job, SimulatedJobs
    from demandbase_sandbox.tenant.store import Snapshot


class Tenant:
    """A tenant's rows, jobs, files, clock, faults and recorded requests."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.stopping = threading.Event()
        self._reset = threading.Event()
        self.clock = SandboxClock(options.clock_skew_seconds)
        self.faults = FaultRules(options.faults, options.seed)
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
        self.sources = TenantSources()
        self.uapi_imports = UapiImportJobs(*place, self.activity_types, self.sources)
        self.jobs: tuple[SimulatedJobs[Any], ...] = (
            self.exports,
            self.imports,
            self.uapi_exports,
            self.uapi_imports,
        )
        self.tokens = Tokens(self.clock, options)
        self.calls = CallLimits(self.clock, options)
        self.create_again: dict[tuple[str, bool], Callable[[JobFaults], object]] = {}
        """Creates a job by the request of the last creation, by API and whether it is an import."""

    def advance_jobs(self) -> None:
        """Advance all jobs to the current time, in the order in which they end."""
        with self.store.lock:
            due = [(jobs.due(job), jobs, job) for jobs in self.jobs for job in jobs.changing()]
            for _, jobs, job in sorted(due, key=lambda item: item[0]):
                jobs.advance(job)

    def find_job(self, job_id: str) -> Job | None:
        """Return a job of any kind; ``None`` if it is unknown."""
        return next((job for jobs in self.jobs if (job := jobs.find(job_id)) is not None), None)

    def job_faults(self, job_id: object) -> JobFaults:
        """Return the faults of a job of any kind; of an unknown one, none."""
        job = self.find_job(str(job_id))
        return NO_FAULTS if job is None else job.faults

    def link(self, name: str, life: float) -> str:
        """Return a signed link to a file that is valid for ``life`` seconds."""
        return self.signer.link(self.files_url, name, self.clock.now().timestamp() + life)

    def rows(self, entity: str) -> list[dict[str, str | None]]:
        """Return an entity's rows, with values as in an export."""
        with self.store.lock:
            self.advance_jobs()
            names = [field.name for field in self.store.entities[entity].fields]
            found = self.store.select(entity, names)
            return [dict(zip(names, row, strict=True)) for row in found]

    def put_rows(self, entity: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace an entity's rows. Fields that a row does not name are empty.

        Raises:
            ValueError: A row names an unknown field.
        """
        with self.store.lock:
            self.advance_jobs()
            shape = self.store.entities[entity]
            names = [field.name for field in shape.fields]
            cells = []
            for row in rows:
                if unknown := sorted(row.keys() - set(names)):
                    raise ValueError(f"unknown fields of {entity}: {', '.join(unknown)}")
                cells.append([export_text(row.get(name)) for name in names])
            self.store.add_entity(shape, cells)

    def delay(self, seconds: float) -> bool:
        """Wait; return ``False`` as soon as the tenant is reset or stopped."""
        return not self._reset.wait(seconds)

    def reset(self) -> None:
        """Return to the start: the sample rows, no jobs or requests, the options' faults."""
        with self.store.lock:
            # Requests that are delayed belong to the tenant before the reset.
            self._reset.set()
            self._reset = threading.Event()
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
            self.sources.clear()
            self.create_again.clear()
            self.clock.reset()

    def stop(self) -> None:
        """End all waits."""
        self.stopping.set()
        self._reset.set()

    def close(self) -> None:
        """Close the database and remove temporary files."""
        self.stop()
        self._close()
        if self._sample is not None:
            self._sample.database.close()


def export_text(value: object) -> str | None:
    """Return a value as in an export."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
