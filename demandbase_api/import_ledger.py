"""Remembers import jobs beyond the death of the process: one small file for each job's file."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from demandbase_api.download import spool_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    """

    fingerprint: str
    stream: str
    entity: str
    operation: str
    rows: int
    began_at: str
    phase: Phase = Phase.CREATING
    job_id: str | None = None

    @property
    def began(self) -> datetime:
        """When the job was about to be created."""
        return datetime.fromisoformat(self.began_at)

    def now(self, phase: Phase, job_id: str | None = None) -> LedgerEntry:
        """Return the entry in another phase."""
        return replace(self, phase=phase, job_id=job_id or self.job_id)


class ImportLedger:
    """The entries of all files whose fate is open.

    Args:
        folder: Where they lie; created with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, fingerprint: str) -> Path:
        """Return the file of an entry."""
        return self._folder / f"{fingerprint}.json"

    def find(self, fingerprint: str) -> LedgerEntry | None:
        """Return an entry; one that cannot be read counts as none."""
        return _read(self.path(fingerprint))

    def put(self, entry: LedgerEntry) -> None:
        """Write an entry to the disk, all of it or nothing.

        Raises:
            SpoolError: The disk does not take it.
        """
        path = self.path(entry.fingerprint)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(asdict(entry), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            _sync(self._folder)
        except OSError as error:
            raise spool_error(error) from error

    def settle(self, fingerprint: str) -> None:
        """Forget an entry: the fate of its file is settled."""
        self.path(fingerprint).unlink(missing_ok=True)
        with suppress(OSError):  # others are left, or it is not there
            self._folder.rmdir()

    def entries(self) -> Iterator[LedgerEntry]:
        """Yield all entries."""
        for path in sorted(self._folder.glob("*.json")):
            entry = _read(path)
            if entry is not None:
                yield entry


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
