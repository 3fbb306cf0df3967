"""Remembers import jobs beyond the death of the process: one small file for each job's file."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from filelock import FileLock, Timeout

from demandbase_api.errors import spool_error
from demandbase_api.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from filelock import BaseFileLock


# A lock file is made a moment before it is locked; only older ones can be those of the dead.
_LOCKED_BY_NOW_SECONDS = 60

_MOST_TRIES = 20


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
    ACCOUNTED = "accounted"
    """The job has ended, and each row that it did not take is kept."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
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
        origin: The API that the job is at.
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
    origin: str = ""

    @property
    def began(self) -> datetime:
        """When the job was about to be created."""
        return datetime.fromisoformat(self.began_at)

    def now(self, phase: Phase, job_id: str | None = None) -> JournalEntry:
        """Return the entry in another phase."""
        return replace(self, phase=phase, job_id=job_id or self.job_id)


class ImportJournal:
    """The entries of all files whose fate is open.

    Several runs may share the folder: what a run that is alive has written is not there for others.

    Args:
        folder: Where they lie; created with the first one.
        run: What tells this run from others.
        origin: The API that the jobs are at; those at others are nobody's business here.
    """

    def __init__(self, folder: Path, run: str, origin: str = "") -> None:
        self._folder = folder
        self._run = run
        self._origin = origin
        self._lock: BaseFileLock | None = None

    def path(self, entry: JournalEntry) -> Path:
        """Return the file of an entry."""
        return self._folder / f"{entry.fingerprint}.{entry.owner}.json"

    def find(self, fingerprint: str) -> JournalEntry | None:
        """Return the newest entry of a file; one that cannot be read counts as none."""
        return max(self._entries(fingerprint), key=lambda entry: entry.began_at, default=None)

    def alike(self, fingerprint: str) -> list[JournalEntry]:
        """Return the entries of all files of the same content, the oldest first."""
        content = fingerprint.partition("-")[0]
        found = [*self._entries(content), *self._entries(f"{content}-*")]
        return sorted(found, key=lambda entry: entry.began_at)

    def adopt(self, entry: JournalEntry, fingerprint: str) -> JournalEntry:
        """Make an entry this run's, for a file of the same content.

        Raises:
            SpoolError: The disk does not take it.
        """
        taken = self.put(replace(entry, fingerprint=fingerprint))
        if self.path(taken) != self.path(entry):
            self.path(entry).unlink(missing_ok=True)
        return taken

    def put(self, entry: JournalEntry) -> JournalEntry:
        """Write an entry to the disk as this run's, all of it or nothing.

        Returns:
            The entry as it was written. Those of dead runs of the same file are gone.

        Raises:
            SpoolError: The disk does not take it.
        """
        entry = replace(entry, owner=self._run, origin=self._origin)
        for tries_left in reversed(range(_MOST_TRIES)):
            try:
                self._write(entry)
                break
            except FileNotFoundError as error:
                # Another run that has just ended has removed the folder, which was empty.
                if not tries_left:
                    raise spool_error(error) from error
            except OSError as error:
                raise spool_error(error) from error
        self._remove(entry.fingerprint, but=entry)
        return entry

    def _write(self, entry: JournalEntry) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._show_alive()
        write_atomically(self.path(entry), json.dumps(asdict(entry)), durable=True)

    def forget(self, fingerprint: str) -> None:
        """Forget a file: its fate is settled. What other living runs wrote of it stays."""
        self._remove(fingerprint, but=None)

    def left_behind(self) -> list[JournalEntry]:
        """Return the entries of runs before this one that are no longer alive."""
        return [entry for entry in self._entries("*") if entry.owner != self._run]

    def close(self) -> None:
        """Let other runs take up what is left."""
        if self._lock is not None:
            self._lock.release()
            self._lock_path(self._run).unlink(missing_ok=True)
            self._lock = None
        with suppress(OSError):  # entries are left, or it is not there
            self._folder.rmdir()

    def _entries(self, fingerprint: str) -> list[JournalEntry]:
        """Return the entries of this run and of runs that are no longer alive.

        Args:
            fingerprint: Of which file; ``*`` for all.
        """
        read = [_entry(path) for path in sorted(self._folder.glob(f"{fingerprint}.*.json"))]
        return [
            entry
            for entry in read
            if entry is not None and entry.origin == self._origin and not self._is_anothers(entry)
        ]

    def _remove(self, fingerprint: str, but: JournalEntry | None) -> None:
        for entry in self._entries(fingerprint):
            if but is None or entry.owner != but.owner:
                self.path(entry).unlink(missing_ok=True)

    def _lock_path(self, run: str) -> Path:
        return self._folder / f"{run}.alive"

    def _show_alive(self) -> None:
        """Hold a lock for as long as this process lives."""
        if self._lock is None:
            lock = FileLock(self._lock_path(self._run), blocking=False)
            lock.acquire()
            self._lock = lock
            self._remove_stale_locks()

    def _remove_stale_locks(self) -> None:
        """Remove the locks of runs that ended without doing it themselves."""
        for path in self._folder.glob("*.alive"):
            with suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if path != self._lock_path(self._run) and age > _LOCKED_BY_NOW_SECONDS:
                    _is_locked(path)

    def _is_anothers(self, entry: JournalEntry) -> bool:
        """Return whether an entry is of another run that is alive."""
        path = self._lock_path(entry.owner)
        return entry.owner != self._run and path.is_file() and _is_locked(path)


def _is_locked(path: Path) -> bool:
    """Return whether a lock is held; one that is not is removed."""
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    path.unlink(missing_ok=True)
    lock.release()
    return False


def _entry(path: Path) -> JournalEntry | None:
    try:
        members = json.loads(path.read_text(encoding="utf-8"))
        return JournalEntry(**{**members, "phase": Phase(members["phase"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file to be sent.

    Args:
        name: Its name; it carries the fingerprint.
        fingerprint: Digest of its content and of what is asked for with it.
        stream: The stream that its rows came from.
        rows: How many they are.
        open: Returns the file, standing at its start.
        is_replay: Whether all of its rows are such as an earlier job did not take.
    """

    name: str
    fingerprint: str
    stream: str
    rows: int
    open: Callable[[], BinaryIO]
    is_replay: bool = False

    def job_name(self, fingerprint: str, began: datetime) -> str:
        """Return the name of one job for the file, which no other job has.

        The same rows may be sent again after others: the job of then must not pass for the new one.

        Args:
            fingerprint: That of the file when the job was created.
            began: When the job was about to be created.
        """
        stem, dot, ending = self.name.replace(self.fingerprint, fingerprint).rpartition(".")
        return f"{stem}-{began:%Y%m%dT%H%M%S%f}{dot}{ending}"

    def again(self, time: int) -> ImportFile:
        """Return the file as one of its own: a run may send the same rows several times.

        Args:
            time: Which time it is, from 2.
        """
        stem, dot, ending = self.name.rpartition(".")
        return replace(
            self, fingerprint=f"{self.fingerprint}-{time}", name=f"{stem}-{time}{dot}{ending}"
        )
