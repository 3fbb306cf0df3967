"""Runs that send files to an API in memory: each may end, or die at any call."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

from demandbase_api.errors import ApiOperation, ServerError
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.jobs.import_deliveries import ImportDeliveries
from demandbase_api.jobs.import_journal import ImportFile, ImportJournal, JournalEntry
from demandbase_api.jobs.import_lock import EntityLocks
from demandbase_api.jobs.import_uploader import ImportUploader
from demandbase_api.jobs.poll_times import PollPolicy
from demandbase_api.jobs.poller import JobPoller
from demandbase_api.models import ColumnMapping, ImportJob, ImportOperation, ImportRequest
from demandbase_api.state.folder_store import FolderLocks, FolderStore
from tests.api.fake_imports import FakeImports

TIMEOUT = 1500.0
POLICY = PollPolicy(5, 60, TIMEOUT)


class DiedError(BaseException):
    """The process was killed."""


def gateway_timeout(operation: ApiOperation) -> ServerError:
    return ServerError(operation, "had an internal error", status=504)


def request(
    operation: ImportOperation = ImportOperation.UPSERT, entity: str = "accounts"
) -> ImportRequest:
    return ImportRequest(entity, operation, None, (ColumnMapping("domain", "domain"),))


def file(content: str = "old", *, rows: int = 2, is_replay: bool = False) -> ImportFile:
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:32]
    body = f"domain\n{content}\n{content}\n".encode()
    return ImportFile(
        f"s-{fingerprint}.csv", fingerprint, "s", rows, lambda: io.BytesIO(body), is_replay
    )


@dataclass
class ImportRun:
    """A run over a folder that others may share."""

    api: FakeImports
    folder: Path
    name: str = "r1"
    poller: JobPoller[ImportJob] = field(init=False)
    journal: ImportJournal = field(init=False)
    locks: EntityLocks = field(init=False)
    uploader: ImportUploader = field(init=False)

    def __post_init__(self) -> None:
        clock = self.api.clock
        self.poller = JobPoller("import", self.api, POLICY, clock, jitter=lambda: 1.0)
        locks = FolderLocks(self.folder, self.name)
        self.journal = ImportJournal(FolderStore(self.folder), locks, self.name)
        self.locks = EntityLocks(locks, str(self.folder), "", clock, TIMEOUT)
        retry = RetryPolicy(clock=clock)
        deliveries = ImportDeliveries(FolderStore(self.folder), "", clock)
        self.uploader = ImportUploader(
            self.api, self.poller, self.journal, deliveries, self.locks, retry, clock
        )

    def send(
        self, what: ImportFile, operation: ImportOperation = ImportOperation.UPSERT
    ) -> ImportJob:
        """Send a file and wait for the end of its job."""
        return self.poller.wait(self.uploader.send(request(operation), what))

    def die(self) -> None:
        """Release what the system releases when a process ends."""
        self.locks.close()
        self.journal._locks.close()  # noqa: SLF001

    def dies_at(
        self,
        operation: ApiOperation,
        what: ImportFile,
        kind: ImportOperation = ImportOperation.UPSERT,
        *,
        late: bool = True,
    ) -> None:
        """Send a file, and die at a call: before the server gets it, or after it has done it."""
        self.api.fail(operation, DiedError(), times=1, late=late)
        try:
            self.send(what, kind)
        except DiedError:
            self.die()
            return
        raise AssertionError("it did not get so far")

    @property
    def entries(self) -> list[JournalEntry]:
        return self.journal.left_behind()
