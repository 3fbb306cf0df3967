"""Remembers import jobs beyond the death of the process: one small file for each job's file."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from demandbase_api.download import spool_error

if TYPE_CHECKING:
    from pathlib import Path

    from filelock import BaseFileLock


class Phase(StrEnum):
    """How far a file had come when its entry was written."""

    CREATING = "creating"
    """A job is about to be created for it."""
    CREATED = "created"
    """The job waits for it."""
    UPLOADING = "uploading"
    """It is on its way."""
    UPLOADED = "uploaded"
    """The job has it."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What is known of one file.

    Args:
        fingerprint: Digest of its content and of what is asked for with it.
        stream: The stream that its rows came from.
        entity: Where they go.
        operation: What the import does.
        rows: How many they are.
        began_at: When the job was about to be created, ISO-8601 UTC.
        phase: How far it has come.
        job_id: The job, once it is known.
        owner: The run that wrote the entry.
    """

    fingerprint: str
    stream: str
    entity: str
    operation: str
    rows: int
    began_at: str
    phase: Phase = Phase.CREATING
    job_id: str | None = None
    owner: str = ""

    @property
    def began(self) -> datetime:
        """When the job was about to be created."""
        return datetime.fromisoformat(self.began_at)

    def now(self, phase: Phase, job_id: str | None = None) -> LedgerEntry:
        """Return the entry in another phase."""
        return replace(self, phase=phase, job_id=job_id or self.job_id)


class ImportLedger:
    """The entries of all files whose fate is open.

    Several runs may share the folder: what a run that is alive has written is not there for others.

    Args:
        folder: Where they lie; created with the first one.
        run: What tells this run from others.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._run = run
        self._lock: BaseFileLock | None = None

    def path(self, fingerprint: str) -> Path:
        """Return the file of an entry."""
        return self._folder / f"{fingerprint}.json"

    def find(self, fingerprint: str) -> LedgerEntry | None:
        """Return an entry; one that cannot be read counts as none."""
        entry = _read(self.path(fingerprint))
        return None if entry is None or self._is_anothers(entry) else entry

    def put(self, entry: LedgerEntry) -> None:
        """Write an entry to the disk, all of it or nothing.

        Raises:
            SpoolError: The disk does not take it.
        """
        path = self.path(entry.fingerprint)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._show_alive()
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(asdict(replace(entry, owner=self._run)), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            _sync(self._folder)
        except OSError as error:
            raise spool_error(error) from error

    def settle(self, fingerprint: str) -> None:
        """Forget an entry: the fate of its file is settled."""
        self.path(fingerprint).unlink(missing_ok=True)

    def left_behind(self) -> list[LedgerEntry]:
        """Return the entries of runs before this one that are no longer alive."""
        read = [_read(path) for path in sorted(self._folder.glob("*.json"))]
        return [
            entry
            for entry in read
            if entry is not None and entry.owner != self._run and not self._is_anothers(entry)
        ]

    def close(self) -> None:
        """Let other runs take up what is left."""
        if self._lock is not None:
            self._lock.release()
            self._lock_path(self._run).unlink(missing_ok=True)
            self._lock = None
        with suppress(OSError):  # entries are left, or it is not there
            self._folder.rmdir()

    def _lock_path(self, run: str) -> Path:
        return self._folder / f"{run}.alive"

    def _show_alive(self) -> None:
        """Hold a lock for as long as this process lives."""
        if self._lock is None:
            self._lock = FileLock(self._lock_path(self._run), blocking=False)
            self._lock.acquire()

    def _is_anothers(self, entry: LedgerEntry) -> bool:
        """Return whether an entry is of another run that is alive."""
        path = self._lock_path(entry.owner)
        if entry.owner == self._run or not path.is_file():
            return False
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            return True
        lock.release()
        path.unlink(missing_ok=True)
        return False


def _read(path: Path) -> LedgerEntry | None:
    try:
        members = json.loads(path.read_text(encoding="utf-8"))
        return LedgerEntry(**{**members, "phase": Phase(members["phase"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _sync(folder: Path) -> None:
    """Make a renamed file's name durable, where the system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
