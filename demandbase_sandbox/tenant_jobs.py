"""What the jobs of a tenant work with, whichever API and direction they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.job_book import JobBook
    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.store import Store


class TenantJobs:
    """Jobs of one kind.

    Args:
        store: The tenant's rows.
        book: Where jobs are kept.
        folder: Where their files lie.
        clock: The sandbox's time.
        options: How the sandbox behaves.
    """

    def __init__(
        self,
        store: Store,
        book: JobBook,
        folder: Path,
        clock: SandboxClock,
        options: SandboxOptions,
    ) -> None:
        self._store = store
        self._book = book
        self._folder = folder
        self._clock = clock
        self._options = options
