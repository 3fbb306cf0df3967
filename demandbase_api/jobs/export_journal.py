"""A journal of export jobs that survives the end of the process: one small object for each request.

It says which jobs runs have begun and not delivered, for runs without a state, and
which jobs have been delivered or given up. A run works without it: if the store is unusable, jobs
of an interrupted run may be created again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from demandbase_api.errors import StateError
from demandbase_api.models import was_created_since

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demandbase_api.models import ExportJob, ExportRequest
    from demandbase_api.state.ports import StateStore


logger = logging.getLogger(__name__)

_MIN_HOURS = 24.0
_SUFFIX = ".job.json"
_MAX_DELIVERED = 20
"""Ids of delivered jobs that an entry keeps; only the newest could be taken for a lost job."""


@dataclass(slots=True)
class JournalEntry:
    """The jobs of one request.

    Args:
        jobs: Ids of jobs that a run uses and has not delivered.
        posted_at: The server's time at which a job was requested whose id is not known yet.
        unusable: Ids of jobs that have been given up.
        delivered: Ids of the last jobs that have been delivered.
    """

    jobs: list[str] = field(default_factory=list)
    posted_at: datetime | None = None
    unusable: list[str] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WrittenEntry:
    """An entry as it was written, for a person.

    Args:
        key: Digest of the request.
        entry: The entry.
        written_at: When it was written.
    """

    key: str
    entry: JournalEntry
    written_at: datetime

    def jobs(self) -> list[tuple[str, str]]:
        """Return the id of each job, and what it is; a job without an id yet is not there."""
        entry = self.entry
        words = (
            ("begun", entry.jobs),
            ("given up", entry.unusable),
            ("delivered", entry.delivered),
        )
        return [(job_id, word) for word, ids in words for job_id in ids]


class ExportJournal:
    """What runs did with the jobs of each request.

    Args:
        store: Keeps the entries. Default: they are kept in memory only.
        origin: The API; its jobs have entries of their own.
        keep_hours: Age in hours, at least 24, at which an entry is removed.
    """

    def __init__(
        self, store: StateStore | None = None, origin: str = "", keep_hours: float = _MIN_HOURS
    ) -> None:
        self._store = store
        self._origin = origin
        self._keep_seconds = max(keep_hours, _MIN_HOURS) * 3600
        self._entries: dict[str, JournalEntry] = {}
        self._is_swept = False

    def post(self, request: ExportRequest, server_time: datetime | None) -> None:
        """Record that a job is about to be requested.

        Args:
            request: The request.
            server_time: The server's time, if it is known.
        """
        key, entry = self._find(request)
        entry.posted_at = server_time
        self._write(key, entry)

    def begin(self, request: ExportRequest, job_id: str) -> None:
        """Record that a run uses a job."""
        key, entry = self._find(request)
        entry.posted_at = None
        if job_id not in entry.jobs:
            entry.jobs.append(job_id)
        self._write(key, entry)

    def give_up(self, request: ExportRequest, job_id: str) -> None:
        """Record that a job is of no use: no run will reuse it."""
        key, entry = self._find(request)
        entry.jobs = [each for each in entry.jobs if each != job_id]
        entry.unusable.append(job_id)
        self._write(key, entry)

    def deliver(self, requests: Iterable[ExportRequest]) -> None:
        """Record that the jobs of some requests have been delivered."""
        for request in requests:
            key, entry = self._find(request)
            entry.delivered = [*entry.delivered, *entry.jobs][-_MAX_DELIVERED:]
            entry.jobs, entry.posted_at = [], None
            self._write(key, entry)

    def is_begun(self, request: ExportRequest, job: ExportJob) -> bool:
        """Return whether a run has begun with a job of a request, and not delivered it.

        A run that was killed while it requested a job does not know the job's id.
        """
        _, entry = self._find(request)
        if job.id in entry.jobs or entry.posted_at is None:
            return job.id in entry.jobs
        return was_created_since(job, entry.posted_at) is True

    def begun(self, request: ExportRequest) -> tuple[str, ...]:
        """Return the ids of the jobs that runs have begun with and not delivered."""
        return tuple(self._find(request)[1].jobs)

    def is_unusable(self, request: ExportRequest, job_id: str) -> bool:
        """Return whether a job has been given up or delivered."""
        _, entry = self._find(request)
        return job_id in entry.unusable or job_id in entry.delivered

    def entries(self) -> list[WrittenEntry]:
        """Return the entries of all requests to all APIs, the newest first.

        Raises:
            StateError: They cannot be listed.
        """
        found = [
            WrittenEntry(item.name.removesuffix(_SUFFIX), self._read(item.name), item.written_at)
            for item in (() if self._store is None else self._store.items())
            if item.name.endswith(_SUFFIX)
        ]
        return sorted(found, key=lambda each: each.written_at, reverse=True)

    def give_up_job(self, job_id: str) -> bool:
        """Record that a job is of no use; return whether a run has begun with it.

        Raises:
            StateError: It cannot be recorded.
        """
        is_begun = False
        for each in self.entries():
            entry = each.entry
            if self._store is None or job_id not in entry.jobs:
                continue
            is_begun = True
            entry.jobs = [other for other in entry.jobs if other != job_id]
            entry.unusable.append(job_id)
            self._store.put(f"{each.key}{_SUFFIX}", _encode(entry))
        return is_begun

    def _find(self, request: ExportRequest) -> tuple[str, JournalEntry]:
        """Return the key of a request and its entry, which may be empty."""
        members = {**asdict(request), "fields": sorted(request.fields)}
        text = json.dumps([self._origin, members], sort_keys=True, default=str)
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        if key not in self._entries:
            self._entries[key] = self._read(f"{key}{_SUFFIX}")
        return key, self._entries[key]

    def _read(self, name: str) -> JournalEntry:
        try:
            content = None if self._store is None else self._store.get(name)
            if content is None:
                return JournalEntry()
            members = json.loads(content)
            text = members["posted_at"]
            posted_at = None if text is None else datetime.fromisoformat(text).astimezone(UTC)
            jobs, unusable, delivered = (
                _ids(members[name]) for name in ("jobs", "unusable", "delivered")
            )
            return JournalEntry(jobs, posted_at, unusable, delivered)
        except (StateError, ValueError, TypeError, KeyError):
            return JournalEntry()  # damaged: nothing is proven

    def _write(self, key: str, entry: JournalEntry) -> None:
        if self._store is None:
            return
        name = f"{key}{_SUFFIX}"
        try:
            if entry == JournalEntry():
                self._store.delete(name)
                return
            self._sweep()
            self._store.put(name, _encode(entry))
        except StateError as error:
            logger.warning(
                "The export jobs of this run cannot be recorded in state_dir: %s. If the run is "
                "interrupted before it has written a state, the next run may create them again.",
                error.reason,
            )
            self._store = None

    def _sweep(self) -> None:
        """Remove the entries of jobs that are too old to be reused."""
        if self._is_swept or self._store is None:
            return
        self._is_swept = True
        for item in self._store.items():
            is_old = time.time() - item.written_at.timestamp() > self._keep_seconds
            if is_old and item.name.endswith(_SUFFIX):
                self._store.delete(item.name)


def _encode(entry: JournalEntry) -> bytes:
    return json.dumps(asdict(entry), default=str).encode()


def _ids(members: list[object]) -> list[str]:
    return [str(each) for each in members]
