"""A journal of import jobs that survives the end of the process: one small file for each upload."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import msgspec
from filelock import FileLock, Timeout

from demandbase_api.errors import JournalError, state_error
from demandbase_api.files import PRIVATE, call_in_folder, write_atomically
from demandbase_api.models import adds_rows
from demandbase_api.state.earlier import LOCK_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from filelock import BaseFileLock


# A lock file is created a moment before it is locked: a younger one may belong to a live run.
_LOCKED_BY_NOW_SECONDS = 60

_DAY_SECONDS = 86_400

GIVEN_UP = ".given-up"
"""What a person appends to the name of an entry whose import no run is to wait for."""


class Phase(StrEnum):
    """How far the import of a file had come when its entry was written."""

    CREATING = "creating"
    """Its job is about to be created."""
    CREATED = "created"
    """The job waits for the file."""
    UPLOADING = "uploading"
    """The file is being uploaded."""
    REFUSED = "refused"
    """The upload was refused, and the job did not show a file after that."""
    UPLOADED = "uploaded"
    """The job has the file."""
    ACCOUNTED = "accounted"
    """The job has ended, and each row that it rejected is kept."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The import of one file.

    Args:
        fingerprint: Digest of the file and of the request for its import.
        stream: The stream that its rows came from.
        entity: The entity that they are imported into.
        operation: What the import does.
        rows: Number of rows.
        began_at: When the job was about to be created, in ISO 8601 UTC.
        phase: How far the import has come.
        job_id: The job's id, once it is known.
        owner: The run that wrote the entry.
        origin: The API that the job belongs to.
        status_without_file: Status that the job had before its file, if that says nothing of it.
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
    status_without_file: str | None = None

    @property
    def adds(self) -> bool:
        """Whether its rows must not be sent twice."""
        return adds_rows(self.entity, self.operation)

    @property
    def began(self) -> datetime:
        """When the job was about to be created."""
        return datetime.fromisoformat(self.began_at)

    def now(self, phase: Phase, job_id: str | None = None) -> JournalEntry:
        """Return the entry in another phase."""
        return replace(self, phase=phase, job_id=job_id or self.job_id)


class ImportJournal:
    """The entries of all files whose import is not accounted for.

    Several runs may share the folder. A run sees its own entries and those of runs that have ended.

    Args:
        folder: Folder of the entries; created with the first one.
        run: Unique name of this run.
        origin: The API; entries of jobs at other APIs are ignored.
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
        """Return the newest entry of a file, if any.

        Raises:
            JournalError: An entry cannot be read.
        """
        return max(self._entries(fingerprint), key=lambda entry: entry.began_at, default=None)

    def alike(self, fingerprint: str) -> list[JournalEntry]:
        """Return the entries of all files with the same content, the oldest first.

        Raises:
            JournalError: An entry cannot be read.
        """
        content = fingerprint.partition("-")[0]
        found = [*self._entries(content), *self._entries(f"{content}-*")]
        return sorted(found, key=lambda entry: entry.began_at)

    def left_behind(self) -> list[JournalEntry]:
        """Return the entries of earlier runs.

        Raises:
            JournalError: An entry cannot be read.
        """
        return [entry for entry in self._entries("*") if entry.owner != self._run]

    def given_up(self) -> frozenset[str]:
        """Return the ids of jobs that no run is to wait for."""
        ids = (entry.job_id for entry in self.given_up_entries())
        return frozenset(job_id for job_id in ids if job_id is not None)

    def given_up_entries(self) -> list[JournalEntry]:
        """Return the entries whose imports no run is to wait for."""
        found = []
        for path in sorted(self._folder.glob(f"*.json{GIVEN_UP}")):
            with suppress(JournalError):
                entry = None if _is_old(path) else _entry(path)
                if entry is not None:
                    found.append(entry)
        return found

    def give_up(self, entry: JournalEntry) -> None:
        """Give up the import of an entry: no run is to wait for it.

        Raises:
            SpoolError: The entry cannot be renamed.
        """
        path = self.path(entry)
        try:
            path.rename(path.with_name(f"{path.name}{GIVEN_UP}"))
        except OSError as error:
            raise state_error(error) from error

    def put(self, entry: JournalEntry) -> JournalEntry:
        """Write an entry as this run's, in one step; remove entries of earlier runs for the file.

        Returns:
            The entry as it was written.

        Raises:
            SpoolError: The entry cannot be written.
        """
        entry = replace(entry, owner=self._run, origin=self._origin)
        try:
            call_in_folder(self._folder, partial(self._write, entry))
        except OSError as error:
            raise state_error(error) from error
        self._remove(entry.fingerprint, but=entry)
        return entry

    def adopt(self, entry: JournalEntry, fingerprint: str) -> JournalEntry:
        """Make an entry this run's, for a file with the same content.

        Raises:
            SpoolError: The entry cannot be written.
        """
        adopted = self.put(replace(entry, fingerprint=fingerprint))
        if self.path(adopted) != self.path(entry):
            self.path(entry).unlink(missing_ok=True)
        return adopted

    def drop(self, entry: JournalEntry) -> None:
        """Remove one entry."""
        self.path(entry).unlink(missing_ok=True)

    def forget(self, fingerprint: str) -> None:
        """Remove the entries of a file, but for those of other live runs."""
        self._remove(fingerprint, but=None)

    def close(self) -> None:
        """Release this run's entries to later runs."""
        if self._lock is not None:
            self._lock.release()
            self._lock_path(self._run).unlink(missing_ok=True)
            self._lock = None
        with suppress(OSError):  # entries are left, or the folder does not exist
            self._folder.rmdir()

    def _write(self, entry: JournalEntry) -> None:
        self._lock_run()
        write_atomically(self.path(entry), json.dumps(asdict(entry)), durable=True)

    def _entries(self, fingerprint: str) -> list[JournalEntry]:
        """Return the entries of this run and of runs that have ended.

        Args:
            fingerprint: Fingerprint of the file; ``*`` for all files.
        """
        paths = sorted(self._folder.glob(f"{fingerprint}.*.json"))
        read = [_entry(path) for path in paths if not self._is_live(_owner(path))]
        return [entry for entry in read if entry is not None and entry.origin == self._origin]

    def _remove(self, fingerprint: str, but: JournalEntry | None) -> None:
        for path in self._folder.glob(f"{fingerprint}.*.json"):
            owner = _owner(path)
            if (but is None or owner != but.owner) and not self._is_live(owner):
                path.unlink(missing_ok=True)

    def _lock_path(self, run: str) -> Path:
        return self._folder / f"{run}{LOCK_SUFFIX}"

    def _lock_run(self) -> None:
        """Lock a file until the process ends."""
        if self._lock is None:
            path = self._lock_path(self._run)
            lock = FileLock(path, blocking=False, mode=PRIVATE, thread_local=False)
            lock.acquire()
            self._lock = lock
            self._remove_stale_locks()

    def _remove_stale_locks(self) -> None:
        """Remove the lock files of runs that were killed."""
        for path in self._folder.glob(f"*{LOCK_SUFFIX}"):
            with suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if path != self._lock_path(self._run) and age > _LOCKED_BY_NOW_SECONDS:
                    _is_locked(path)

    def _is_live(self, owner: str) -> bool:
        """Return whether an entry belongs to another run that has not ended."""
        path = self._lock_path(owner)
        return owner != self._run and path.is_file() and _is_locked(path)


def _is_locked(path: Path) -> bool:
    """Return whether a file is locked; remove it if not."""
    lock = FileLock(path, blocking=False, mode=PRIVATE)
    try:
        lock.acquire()
    except Timeout:
        return True
    path.unlink(missing_ok=True)
    lock.release()
    return False


def _owner(path: Path) -> str:
    """Return the run that wrote an entry, which the name of its file says."""
    return path.name.removesuffix(".json").partition(".")[2]


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > _DAY_SECONDS
    return True


def _entry(path: Path) -> JournalEntry | None:
    """Read an entry; return ``None`` if another run has removed it meanwhile.

    Raises:
        JournalError: It cannot be read.
    """
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problem = "it is empty" if _is_empty(path) else str(error)
        raise JournalError(
            f"The journal entry {path} cannot be read: {problem}. It says what an earlier run "
            "sent, so nothing is sent without it. Check the import jobs in Demandbase; once you "
            "know what to send, remove the file and run again."
        ) from error


def _decode(content: bytes) -> JournalEntry:
    entry = msgspec.json.decode(content, type=JournalEntry)
    if entry.began.tzinfo is None:
        raise ValueError("began_at has no zone")
    return entry


def _is_empty(path: Path) -> bool:
    with suppress(OSError):
        return not path.stat().st_size
    return False


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file to be uploaded.

    Args:
        name: Name of the file, which contains the fingerprint.
        fingerprint: Digest of the file and of the request for its import.
        stream: The stream that its rows came from.
        rows: Number of rows.
        open: Returns the file, positioned at its start.
        is_replay: Whether all of its rows were rejected by an earlier job.
    """

    name: str
    fingerprint: str
    stream: str
    rows: int
    open: Callable[[], BinaryIO]
    is_replay: bool = False

    def job_name(self, fingerprint: str, began: datetime) -> str:
        """Return a unique name for one job with the file.

        The same rows may be sent again after others: the earlier job must not pass for the new one.

        Args:
            fingerprint: Fingerprint of the file when the job was created.
            began: When the job was about to be created.
        """
        stem, dot, ending = self.name.replace(self.fingerprint, fingerprint).rpartition(".")
        return f"{stem}-{began:%Y%m%dT%H%M%S%f}{dot}{ending}"

    def again(self, time: int) -> ImportFile:
        """Return the file with a name and fingerprint of its own: a run may send rows repeatedly.

        Args:
            time: Which time it is, from 2.
        """
        stem, dot, ending = self.name.rpartition(".")
        return replace(
            self, fingerprint=f"{self.fingerprint}-{time}", name=f"{stem}-{time}{dot}{ending}"
        )
