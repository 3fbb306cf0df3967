"""A journal of import jobs that outlives the process: one small object for each upload."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from demandbase_api.errors import JournalError, StateError
from demandbase_api.models import adds_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.state.ports import Item, Locks, StateStore

_SUFFIX = ".json"
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
    LISTED = "listed"
    """Only the job list shows the job: a run of another machine, or of a lost disk, created it.
    Such an entry is never written."""


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

    Several runs may share the store. A run sees its own entries and those of runs that have ended.

    Args:
        store: Keeps the entries.
        locks: Show which runs are alive.
        run: Unique name of this run.
        origin: The API; entries of jobs at other APIs are ignored.
    """

    def __init__(self, store: StateStore, locks: Locks, run: str, origin: str = "") -> None:
        self._store = store
        self._locks = locks
        self._run = run
        self._origin = origin

    @property
    def place(self) -> str:
        """Where the entries are, for a person."""
        return self._store.location()

    @staticmethod
    def name(entry: JournalEntry) -> str:
        """Return the name of an entry in the store."""
        return f"{entry.fingerprint}.{entry.owner}{_SUFFIX}"

    def location(self, entry: JournalEntry) -> str:
        """Return where an entry is, for a person."""
        return self._store.location(self.name(entry))

    def find(self, fingerprint: str) -> JournalEntry | None:
        """Return the newest entry of a file, if any.

        Raises:
            JournalError: An entry cannot be read.
        """
        found = self._entries(f"{fingerprint}.")
        return max(found, key=lambda entry: entry.began_at, default=None)

    def alike(self, fingerprint: str) -> list[JournalEntry]:
        """Return the entries of all files with the same content, the oldest first.

        Raises:
            JournalError: An entry cannot be read.
        """
        content = fingerprint.partition("-")[0]
        found = [*self._entries(f"{content}."), *self._entries(f"{content}-")]
        return sorted(found, key=lambda entry: entry.began_at)

    def left_behind(self) -> list[JournalEntry]:
        """Return the entries of earlier runs.

        Raises:
            JournalError: An entry cannot be read.
        """
        return [entry for entry in self._entries() if entry.owner != self._run]

    def given_up(self) -> frozenset[str]:
        """Return the ids of jobs that no run is to wait for."""
        ids = (entry.job_id for entry in self.given_up_entries())
        return frozenset(job_id for job_id in ids if job_id is not None)

    def given_up_entries(self) -> list[JournalEntry]:
        """Return the entries whose imports no run is to wait for."""
        found = []
        for item in self._store.items():
            if item.name.endswith(f"{_SUFFIX}{GIVEN_UP}") and not _is_old(item):
                with suppress(JournalError):
                    entry = self._read(item.name)
                    if entry is not None:
                        found.append(entry)
        return found

    def give_up(self, entry: JournalEntry) -> None:
        """Give up the import of an entry: no run is to wait for it.

        Raises:
            StateError: The entry cannot be renamed.
        """
        name = self.name(entry)
        content = self._store.get(name)
        if content is not None:
            self._store.put(f"{name}{GIVEN_UP}", content, durable=True)
            self._store.delete(name)

    def put(self, entry: JournalEntry) -> JournalEntry:
        """Write an entry as this run's, in one step; remove entries of earlier runs for the file.

        Returns:
            The entry as it was written.

        Raises:
            OtherRunError: Another run has taken the place of this one, and goes on with its jobs.
            StateError: The entry cannot be written.
        """
        entry = replace(entry, owner=self._run, origin=self._origin)
        self._locks.show()
        self._locks.check()
        name, content = self.name(entry), json.dumps(asdict(entry)).encode()
        if not self._store.put_own(name, content):
            self._locks.check()
            self._store.put(name, content, durable=True)  # a person has removed it
        self._remove(entry.fingerprint, but=entry)
        return entry

    def adopt(self, entry: JournalEntry, fingerprint: str) -> JournalEntry:
        """Make an entry this run's, for a file with the same content.

        Raises:
            StateError: The entry cannot be written.
        """
        adopted = self.put(replace(entry, fingerprint=fingerprint))
        if self.name(adopted) != self.name(entry):
            self._store.delete(self.name(entry))
        return adopted

    def drop(self, entry: JournalEntry) -> None:
        """Remove one entry."""
        self._store.delete(self.name(entry))

    def forget(self, fingerprint: str) -> None:
        """Remove the entries of a file, but for those of other live runs."""
        self._remove(fingerprint, but=None)

    def close(self) -> None:
        """Release this run's entries to later runs."""
        self._locks.close()
        self._store.close()

    def _names(self, prefix: str) -> list[str]:
        """Return the names of the entries of this run and of runs that have ended."""
        names = [item.name for item in self._store.items(prefix) if item.name.endswith(_SUFFIX)]
        return [name for name in names if not self._is_live(_owner(name))]

    def _entries(self, prefix: str = "") -> list[JournalEntry]:
        """Return the entries of this run and of runs that have ended."""
        read = [self._read(name) for name in self._names(prefix)]
        return [entry for entry in read if entry is not None and entry.origin == self._origin]

    def _remove(self, fingerprint: str, but: JournalEntry | None) -> None:
        for name in self._names(f"{fingerprint}."):
            if but is None or _owner(name) != but.owner:
                self._store.delete(name)

    def _is_live(self, owner: str) -> bool:
        """Return whether an entry belongs to another run that has not ended."""
        return owner != self._run and self._locks.is_live(owner)

    def _read(self, name: str) -> JournalEntry | None:
        """Read an entry; return ``None`` if another run has removed it meanwhile.

        Raises:
            JournalError: It cannot be read.
        """
        try:
            content = self._store.get(name)
            return None if content is None else _decode(content)
        except (StateError, ValueError) as error:
            problem = error.reason if isinstance(error, StateError) else str(error)
            raise JournalError(
                f"The journal entry {self._store.location(name)} cannot be read: {problem}. It "
                "says what an earlier run sent, so nothing is sent without it. Check the import "
                "jobs in Demandbase; once you know what to send, remove the entry and run again."
            ) from error


def _owner(name: str) -> str:
    """Return the run that wrote an entry, which its name says."""
    return name.removesuffix(_SUFFIX).partition(".")[2]


def _is_old(item: Item) -> bool:
    return time.time() - item.written_at.timestamp() > _DAY_SECONDS


def _decode(content: bytes) -> JournalEntry:
    if not content:
        raise ValueError("it is empty")
    entry = msgspec.json.decode(content, type=JournalEntry)
    if entry.began.tzinfo is None:
        raise ValueError("began_at has no zone")
    return entry


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
