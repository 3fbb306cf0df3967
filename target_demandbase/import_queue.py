"""The queue of files on their way to Demandbase: first in, first out, while rows are still read.

A file stays in the queue until the caller removes it with the outcome of its import, so that a
signal cannot lose it.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
import shutil
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from demandbase_api.config import api_url, poll_policy, state
from demandbase_api.errors import (
    ApiOperation,
    FileTooLargeError,
    JobTimeoutError,
    UnexpectedResponseError,
)
from demandbase_api.files import make_private_folder, open_private
from demandbase_api.jobs.import_deliveries import ImportDeliveries
from demandbase_api.jobs.import_journal import ImportFile, ImportJournal
from demandbase_api.jobs.import_lock import EntityLocks
from demandbase_api.jobs.import_uploader import ImportUploader
from demandbase_api.jobs.poller import JobPoller
from demandbase_api.process import signals_deferred
from demandbase_api.state.folder import IMPORT_JOURNAL
from demandbase_api.threads import Task
from demandbase_api.words import counted
from target_demandbase.config import destination
from target_demandbase.errors import StillRunningError
from target_demandbase.open_files import open_files, spare_files
from target_demandbase.rejects import file_name_part, rejects_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from demandbase_api.clock import Clock
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.job_timeline import TrackedJob
    from demandbase_api.models import ImportJob, ImportRequest
    from demandbase_api.ports import ImportApi
    from target_demandbase.plan import StreamPlan
    from target_demandbase.rejects import Undelivered
    from target_demandbase.row_errors import Outcome
    from target_demandbase.staging import StagedFile


logger = logging.getLogger("target-demandbase")

_STOP_SECONDS = 0.5

MIN_SPLIT_BYTES = 1024
"""Size of a file that no server can find too large."""

_FINGERPRINT_CHARACTERS = 32


class Until(StrEnum):
    """What to wait for."""

    NOW = "now"
    """Nothing."""
    UPLOADING = "uploading"
    """All files but the last are uploaded, and the last is being uploaded."""
    UPLOADED = "uploaded"
    """All files are uploaded: no other thread uses the API."""
    ENDED = "ended"
    """All imports have ended."""


@dataclass(frozen=True)
class ImportBatch:
    """A file, where it is sent, and the batch that it belongs to.

    Args:
        plan: The stream's plan.
        staged: The file.
        number: Number of the batch.
        keys: Digests of the match keys in it.
    """

    plan: StreamPlan
    staged: StagedFile
    number: int
    keys: frozenset[int]

    @property
    def request(self) -> ImportRequest:
        """The request for the import job."""
        return self.plan.request(self.staged.columns)

    def file(self, destination: str) -> ImportFile:
        """Return the file as it is uploaded.

        Args:
            destination: API and list action: the same file sent elsewhere gets another fingerprint.
        """
        fingerprint = _fingerprint(destination, self.request, self.staged.sha256())
        stream = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.plan.stream)[:80]
        return ImportFile(
            name=f"{stream}-{fingerprint}.csv",
            fingerprint=fingerprint,
            stream=self.plan.stream,
            rows=self.staged.rows,
            open=self.staged.open,
            is_replay=self.plan.is_replay,
        )

    def halves(self) -> tuple[ImportBatch, ImportBatch]:
        """Return two new files of half of the rows each, in order."""
        first, second = self.staged.halves()
        return (
            ImportBatch(self.plan, first, self.number, self.keys),
            ImportBatch(self.plan, second, self.number, self.keys),
        )


def _fingerprint(destination: str, request: ImportRequest, content: str) -> str:
    identifying = [
        destination,
        request.entity,
        request.operation.value,
        request.match_key,
        [[mapping.column, mapping.field] for mapping in request.mappings],
        content,
        *([] if request.activity_type is None else [request.activity_type]),
    ]
    digest = hashlib.sha256(json.dumps(identifying).encode())
    return digest.hexdigest()[:_FINGERPRINT_CHARACTERS]


@dataclass(frozen=True)
class EndedImport:
    """An import that has ended.

    Args:
        batch: The file.
        job: Its job at its end. ``None`` for a single row that is larger than Demandbase accepts.
        job_id: Id of the job that got the file.
        file_name: Name of the file as it was sent.
    """

    batch: ImportBatch
    job: ImportJob | None
    job_id: str = ""
    file_name: str = ""


@dataclass(frozen=True)
class _Running:
    batch: ImportBatch
    file: ImportFile
    job_id: str


class ImportQueue:
    """Uploads files one after the other and returns their imports in that order.

    Args:
        uploader: Uploads files.
        poller: Polls the jobs.
        max_jobs: Maximum number of import jobs of one stream at a time.
        destination: API and list action, as a part of fingerprints.
    """

    def __init__(
        self,
        uploader: ImportUploader,
        poller: JobPoller[ImportJob],
        max_jobs: int,
        destination: str,
    ) -> None:
        self._uploader = uploader
        self._poller = poller
        self._max_jobs = max_jobs
        self._destination = destination
        self._waiting: deque[ImportBatch] = deque()
        self._upload: tuple[ImportFile, Task[str]] | None = None
        """The upload of the first file that waits."""
        self._running: deque[_Running] = deque()
        self._uses: Counter[str] = Counter()
        self._journaled: list[tuple[int, ImportFile]] = []
        """Files that no emitted state covers, each with the number of its batch."""

    @property
    def is_busy(self) -> bool:
        """Whether the queue holds files."""
        return bool(self._running or self._waiting)

    @property
    def batches(self) -> set[int]:
        """Numbers of the batches of which the queue holds files."""
        return {each.number for each in (*(job.batch for job in self._running), *self._waiting)}

    def jobs(self) -> list[TrackedJob]:
        """Return all jobs of the run, with their phases until now."""
        return self._poller.timeline.jobs()

    def put(self, batch: ImportBatch) -> None:
        """Add a file; ``ended`` sends it."""
        self._waiting.append(batch)

    def ended(self, until: Until = Until.NOW) -> Iterator[EndedImport]:
        """Yield imports that have ended, in the order of their files; upload files meanwhile.

        The caller must ``remove`` each of them before it asks for the next.

        Args:
            until: What to wait for.

        Raises:
            StillRunningError: An import did not end in time.
            DemandbaseError: An upload failed.
        """
        while self._waiting:
            if self._upload is None:
                if not self._may_start(self._waiting[0]):
                    if until is Until.NOW:
                        break
                    yield self._wait_for_first()
                    continue
                self._start(self._waiting[0])
            if self._must_leave_upload(until):
                return
            if (too_large := self._finish_upload()) is not None:
                yield too_large
        if until is Until.NOW and self._running and self._poller.poll_if_due():
            while self._running and self._has_first_ended():
                yield self._wait_for_first()
        while until is Until.ENDED and self._running:
            yield self._wait_for_first()

    def remove(self, done: EndedImport, outcome: Outcome | None) -> None:
        """Remove an import and update the journal.

        Args:
            done: The first import, as ``ended`` returned it.
            outcome: Outcome of its rows. ``None`` if it is not known.
        """
        if done.job is None:
            if outcome is not None:
                self._waiting.popleft().staged.close()
            return
        running = self._running.popleft()
        running.batch.staged.close()
        self._update_journal(running, outcome)

    def forget(self, last_batch: int) -> None:
        """Remove the files of all batches up to a number from the journal.

        Either a state that covers them has been emitted, or the run has succeeded.
        """
        for number, file in self._journaled:
            if number <= last_batch:
                self._uploader.forget(file)
        self._journaled = [item for item in self._journaled if item[0] > last_batch]

    def finish(self) -> None:
        """End a successful run: remove what earlier runs left in the journal, and all locks."""
        self._uploader.finish()

    def write_mapping(self, stream: str, report: str) -> None:
        """Do nothing: only a dry run writes reports of mappings."""

    def close(self, undelivered: Undelivered | None = None) -> None:
        """Cancel jobs if possible, and remove the files.

        Args:
            undelivered: Gets the rows of cancelled jobs and of files that were not sent.
        """
        if self._upload is not None:
            self._uploader.stop()
            self._upload[1].wait(_STOP_SECONDS)
            if self._upload[1].done:
                with suppress(Exception):  # the run's own error is the one to report
                    self._finish_upload()
        job_with_file = self._uploader.uploading
        cancelled = self._uploader.close()
        lost = [each.batch for each in self._running if each.job_id in cancelled]
        waiting = list(self._waiting)
        if job_with_file is not None and job_with_file not in cancelled:
            # Its rows may have arrived: the next run finds the job in the journal and resumes it.
            waiting = waiting[1:]
        for batch in [*lost, *waiting]:
            if undelivered is not None:
                undelivered.add(batch.plan, [batch.staged])
        for batch in [*(each.batch for each in self._running), *self._waiting]:
            batch.staged.close()
        self._running.clear()
        self._waiting.clear()

    def _may_start(self, batch: ImportBatch) -> bool:
        """Return whether a file may be uploaded while the imports before it run.

        Rows may refer to rows of other streams, and rows of one key must not overtake each other.
        """
        running = [each.batch for each in self._running]
        return not running or (
            all(other.plan.stream == batch.plan.stream for other in running)
            and len(running) < self._max_jobs
            and not any(other.keys & batch.keys for other in running)
        )

    def _start(self, batch: ImportBatch) -> None:
        file = batch.file(self._destination)
        self._uses[file.fingerprint] += 1
        if (use := self._uses[file.fingerprint]) > 1:
            file = file.again(use)
        logger.info(
            "Sending %s (%s) of stream %s to %s as %s",
            counted(batch.staged.rows, "row"),
            counted(batch.staged.size, "byte"),
            batch.plan.stream,
            batch.plan.entity,
            file.name,
        )
        self._upload = (file, Task(partial(self._uploader.send, batch.request, file)))

    def _must_leave_upload(self, until: Until) -> bool:
        """Return whether the caller wants to go on while a file is uploaded."""
        match until:
            case Until.NOW:
                return self._upload is not None and not self._upload[1].done
            case Until.UPLOADING:
                return len(self._waiting) == 1
            case Until.UPLOADED | Until.ENDED:
                return False

    def _finish_upload(self) -> EndedImport | None:
        """Wait for the upload; return the file if it is a single row that is too large."""
        if self._upload is None:
            return None
        batch, (file, task) = self._waiting[0], self._upload
        try:
            job_id = task.result()
        except FileTooLargeError as error:
            self._upload = None
            _check_worth_splitting(error, batch.staged.size)
            if batch.staged.rows == 1:
                return EndedImport(batch, None)
            self._split(batch)
            return None
        except JobTimeoutError as error:
            self._upload = None
            raise StillRunningError(str(error), stream=batch.plan.stream) from error
        with signals_deferred():
            self._upload = None
            self._running.append(_Running(self._waiting.popleft(), file, job_id))
            self._journaled.append((batch.number, file))
        return None

    def _split(self, batch: ImportBatch) -> None:
        logger.warning(
            "Demandbase rejected a file of %d rows (%d bytes) as too large: it is sent in two "
            "halves",
            batch.staged.rows,
            batch.staged.size,
        )
        halves = batch.halves()  # takes a while, during which the whole file stays in the queue
        with signals_deferred():
            self._waiting.popleft()
            self._waiting.extendleft(reversed(halves))
        batch.staged.close()

    def _has_first_ended(self) -> bool:
        return self._poller.latest(self._running[0].job_id).status.is_terminal

    def _wait_for_first(self) -> EndedImport:
        first = self._running[0]
        try:
            job = self._poller.wait(first.job_id)
        except JobTimeoutError as error:
            # Not cancelled: the next run finds the job in the journal and resumes it.
            self._poller.forget(first.job_id)
            raise StillRunningError(
                f"{error} The rows of stream {first.batch.plan.stream} may still be imported: the "
                "next run resumes that job instead of sending them again. "
                f"{self._uploader.give_up_advice(first.file)}",
                stream=first.batch.plan.stream,
            ) from error
        self._poller.forget(first.job_id)
        self._uploader.check_listed(job)
        return EndedImport(first.batch, job, first.job_id, first.file.name)

    def _update_journal(self, running: _Running, outcome: Outcome | None) -> None:
        is_complete = outcome is not None and outcome.is_complete
        if running.batch.plan.is_add_only:
            if is_complete or (outcome is not None and outcome.is_certain):
                self._uploader.account(running.file)
            # Otherwise only a person can say which rows to add again.
        elif not is_complete:
            # The cause may be corrected before the next run, which must then send the file again.
            self._uploader.forget(running.file)
        # Otherwise the entry stays until a state covers it: the next run must not send it again.


def _check_worth_splitting(error: FileTooLargeError, size: int) -> None:
    """Check that smaller files may be accepted.

    Raises:
        UnexpectedResponseError: The size of the file is not what is too large.
    """
    if error.operation is not ApiOperation.UPLOAD_FILE:
        problem = "found the request itself too large"
    elif size <= MIN_SPLIT_BYTES:
        problem = f"found even a file of {size} bytes too large"
    else:
        return
    raise error.as_a(
        UnexpectedResponseError,
        problem=problem,
        advice="Check the setting api_url, and whether a proxy limits the size of requests.",
    ) from None


class DryRunQueue:
    """Writes files into a folder in place of sending them.

    Args:
        folder: The folder; created with the first file.
    """

    is_busy = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: deque[ImportBatch] = deque()
        self._files = 0

    @property
    def batches(self) -> set[int]:
        """Numbers of the batches of which the queue holds files."""
        return {batch.number for batch in self._waiting}

    def put(self, batch: ImportBatch) -> None:
        """Add a file; ``ended`` writes it."""
        self._waiting.append(batch)

    def ended(self, until: Until = Until.NOW) -> Iterator[EndedImport]:  # noqa: ARG002
        """Write the files and yield nothing: there are no imports.

        Raises:
            RejectsError: A file cannot be written.
        """
        while self._waiting:
            self._write_batch(self._waiting[0])
            self._waiting.popleft().staged.close()
        return iter(())

    def remove(self, done: EndedImport, outcome: Outcome | None) -> None:
        """Do nothing: there are no imports."""

    def forget(self, last_batch: int) -> None:
        """Do nothing: there is no journal."""

    def finish(self) -> None:
        """Do nothing: there is no journal."""

    def jobs(self) -> list[TrackedJob]:
        """Return nothing: there are no jobs."""
        return []

    def write_mapping(self, stream: str, report: str) -> None:
        """Write the report of a stream's mapping.

        Raises:
            RejectsError: The file cannot be written.
        """
        text = io.BytesIO(f"{report}\n".encode())
        self._write(self._folder / f"{file_name_part(stream)}-mapping.txt", text)

    def close(self, undelivered: Undelivered | None = None) -> None:
        """Remove the files.

        Args:
            undelivered: Gets the rows that are not written.
        """
        for batch in self._waiting:
            if undelivered is not None:
                undelivered.add(batch.plan, [batch.staged])
            batch.staged.close()
        self._waiting.clear()

    def _write_batch(self, batch: ImportBatch) -> None:
        self._files += 1
        path = self._folder / f"{self._files:04d}-{batch.plan.entity}.csv"
        self._write(path, batch.staged.open())
        logger.info(
            "Dry run: %s of stream %s for %s in %s; nothing is sent",
            counted(batch.staged.rows, "row"),
            batch.plan.stream,
            batch.plan.entity,
            path,
        )

    def _write(self, path: Path, content: BinaryIO) -> None:
        try:
            make_private_folder(self._folder)
            with os.fdopen(open_private(path, os.O_TRUNC), "wb") as file:
                shutil.copyfileobj(content, file)
        except OSError as error:
            raise rejects_error(error) from error


def open_import_queue(
    api: ImportApi, config: Mapping[str, Any], run: str, clock: Clock, retry: RetryPolicy
) -> ImportQueue:
    """Return the queue of a run, with its uploader, poller and journal."""
    policy = poll_policy(config)
    poller = JobPoller("import", api, policy, clock, progress=_progress)
    place, origin = state(config), api_url(config)
    store, run_locks = place.store(IMPORT_JOURNAL), place.locks(IMPORT_JOURNAL, run)
    journal = ImportJournal(store, run_locks, run, origin)
    deliveries = ImportDeliveries(store, origin, clock)
    locks = EntityLocks(run_locks, journal.place, origin, clock, policy.timeout_seconds)
    uploader = ImportUploader(api, poller, journal, deliveries, locks, retry, clock)
    allowed = open_files(spare_files(), config["max_concurrent_jobs"])
    return ImportQueue(uploader, poller, allowed.jobs, destination(config))


def _progress(job: ImportJob) -> str:
    if job.processed_rows is None or job.total_rows is None:
        return ""
    return f"{job.processed_rows} of {job.total_rows} rows"
