"""One tenant with all that its two servers share."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from demandbase_sandbox.clock import SandboxClock
from demandbase_sandbox.export_jobs import ExportJobs
from demandbase_sandbox.faults import FaultBook
from demandbase_sandbox.import_jobs import ImportJobs
from demandbase_sandbox.recorder import Recorder
from demandbase_sandbox.signing import LinkSigner
from demandbase_sandbox.store import Store

if TYPE_CHECKING:
    from demandbase_sandbox.options import SandboxOptions


class Tenant:
    """A tenant's rows, jobs, files, clock, faults and what was seen.

    Args:
        options: How it behaves.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="demandbase-sandbox-"))
        self.clock = SandboxClock()
        self.faults = FaultBook(options.faults)
        self.recorder = Recorder()
        self.signer = LinkSigner()
        self.store = Store(options.data or self.folder / "tenant.sqlite")
        self.store.fill(options.seed, options.rows)
        self.exports = ExportJobs(self.store, self.folder, self.clock, options)
        self.imports = ImportJobs(self.store, self.folder, self.clock, options)

    def settle(self) -> None:
        """Bring all jobs to where the clock says they are."""
        with self.store.lock:
            self.imports.settle()
            self.exports.settle()

    def close(self) -> None:
        """Close and remove everything temporary."""
        self.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)
