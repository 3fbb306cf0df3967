"""Brings one part of an export onto the disk, whole or not at all."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    ChangedFileError,
    DownloadError,
    InterruptedDownloadError,
    JobGoneError,
    NotFoundError,
    QuotaExceededError,
    SpoolError,
    TransientError,
    spool_error,
)
from demandbase_api.models import has_expired
from demandbase_api.ports import Resume
from demandbase_api.threads import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.models import ExportJob
    from demandbase_api.ports import ExportApi


ROOM_STEP_BYTES = 4 * 1024 * 1024

_MAX_UNPROVEN_ENDS = 5

_MAX_ROUNDS = 1000

_LINK_ADVICE = "Run again; if it stays, export anew with job_reuse_hours: 0."


class _LinkRefusedError(TransientError):
    """The link has expired or is not there (yet): a fresh one may work."""


@dataclass(frozen=True, slots=True)
class Downloader:
    """Downloads parts; each try asks for a new link and goes on where the last one broke off.

    Args:
        api: Where the jobs are.
        retry: How often to try.
        room: Called with the bytes that are to come; raises where there is no room for them.
        clock: Time; tests pass one of their own.
    """

    api: ExportApi
    retry: RetryPolicy
    room: Callable[[int], None] = lambda _bytes: None
    clock: Clock = field(default_factory=SystemClock)

    def download(
        self,
        job: ExportJob,
        entity: str,
        part: int,
        file: BinaryIO,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> int:
        """Download a part into an empty file.

        Args:
            job: The job.
            entity: What the job is about, for messages.
            part: Which part, counted from 1.
            file: An empty file, opened for writing; it stands at its start afterwards.
            progress: Told the bytes received so far, after each chunk.

        Returns:
            The part's size in bytes.

        Raises:
            JobGoneError: The job or its file is no longer there.
            DownloadError: The part could not be had.
            QuotaExceededError: The day's calls are used up.
            SpoolError: The disk does not take it.
        """
        transfer = _Transfer(self, job.id, part, file, progress)

        def attempt() -> None:
            try:
                transfer.run()
            except NotFoundError as error:
                if error.operation is ApiOperation.DOWNLOAD_PART:
                    self._check_alive(job, entity, part)
                raise _LinkRefusedError(
                    error.operation,
                    error.problem,
                    status=error.status,
                    server_message=error.server_message,
                    code=error.code,
                    diagnostic=error.diagnostic,
                ) from None

        try:
            self._while_it_grows(transfer, partial(self.retry.call, attempt))
        except QuotaExceededError:
            raise  # the same download may work later
        except ApiError as error:
            advice = f" {_LINK_ADVICE}" if isinstance(error, _LinkRefusedError) else ""
            raise DownloadError(
                f"Part {part} of the export job {job.id} for {entity} could not be downloaded: "
                f"{error}{advice}",
                kind="export",
                job_id=job.id,
                entity=entity,
                part=part,
            ) from error
        except OSError as error:
            raise spool_error(error) from error
        file.seek(0)
        return transfer.received

    def _while_it_grows(self, transfer: _Transfer, try_often: Callable[[], None]) -> None:
        """Begin the tries anew as long as they bring the part further."""
        for _ in range(_MAX_ROUNDS):
            before = transfer.received
            try:
                return try_often()
            except TransientError:
                if transfer.received <= before:
                    raise
        return try_often()

    def _check_alive(self, job: ExportJob, entity: str, part: int) -> None:
        """Tell a file that is not there yet from one that never will be."""
        try:
            now = self.api.get(job.id)
        except NotFoundError as error:
            why = f"Demandbase no longer knows it{error.marks}"
        else:
            if not has_expired(now, self.clock.utc()):
                return
            why = "it has expired"
        raise JobGoneError(
            f"Part {part} of the export job {job.id} for {entity} is no longer there: {why}.",
            kind="export",
            job_id=job.id,
            entity=entity,
            part=part,
        )


class _Transfer:
    """What of one part is here so far."""

    def __init__(
        self,
        downloader: Downloader,
        job_id: str,
        part: int,
        file: BinaryIO,
        progress: Callable[[int], None],
    ) -> None:
        self._downloader = downloader
        self._job_id = job_id
        self._part = part
        self._file = file
        self._progress = progress
        self._validator: str | None = None
        self._unproven_end: int | None = None
        self.received = 0

    def run(self) -> None:
        """Receive the part to its proven end.

        Raises:
            TransientError: It was interrupted; another call goes on.
        """
        for _ in range(_MAX_UNPROVEN_ENDS):
            if self._receive():
                return
        raise InterruptedDownloadError(
            ApiOperation.FETCH_LINK, "gave a file whose length changed each time or is not said"
        )

    def _receive(self) -> bool:
        resume = None
        if self.received and self._validator is not None:
            resume = Resume(self.received, self._validator)
        api = self._downloader.api
        try:
            with api.open_part(self._job_id, self._part, resume) as body:
                if body.start == 0:
                    self._start_over()
                self._validator = body.validator
                self._write(body.chunks(), body.size)
                if body.size is not None and self.received != body.size:
                    raise InterruptedDownloadError(
                        ApiOperation.FETCH_LINK, f"sent {self.received} of {body.size} bytes"
                    )
                # Of nothing there is no more proof than of nothing again.
                is_same = self.received > 0 and self.received == self._unproven_end
                if body.is_framed or is_same:
                    return True
        except ChangedFileError:
            self._start_over()
            raise
        # The body ended with its connection, which a cut one does, too: ask for what follows.
        self._unproven_end = self.received
        return False

    def _start_over(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._validator = None
        self.received = 0

    def _write(self, chunks: Iterator[bytes], size: int | None) -> None:
        room = self._downloader.room
        if size is not None:
            room(size - self.received)
        checked = self.received
        for chunk in chunks:
            if size is None and self.received >= checked:
                room(ROOM_STEP_BYTES)
                checked = self.received + ROOM_STEP_BYTES
            self._file.write(chunk)
            self.received += len(chunk)
            self._progress(self.received)


logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0


class PartFetcher:
    """Downloads in a thread of its own, one part at a time.

    Args:
        downloader: How to download.
        open_file: Opens a new, empty file.
    """

    def __init__(self, downloader: Downloader, open_file: Callable[[], BinaryIO]) -> None:
        self._downloader = downloader
        self._open_file = open_file
        self._ahead: _Download | None = None
        self._is_alone = False

    def start(self, job: ExportJob, entity: str, part: int, *, is_alone: bool = False) -> None:
        """Begin to download a part, unless a download is under way or waits to be taken.

        Args:
            job: The job.
            entity: What the job is about, for messages.
            part: Which part, counted from 1.
            is_alone: Whether no other is read meanwhile, which would give back its room.
        """
        if self._ahead is None:
            self._ahead = _Download(self._downloader, self._open_file(), job, entity, part)
            self._is_alone = is_alone

    def wait(
        self, job: ExportJob, entity: str, part: int, progress: Callable[[int], None]
    ) -> tuple[BinaryIO, int]:
        """Return a part's file, which is the caller's to close, and its size in bytes.

        Args:
            job: The job.
            entity: What the job is about, for messages.
            part: Which part, counted from 1.
            progress: Told the bytes received so far, every 10 seconds.

        Raises:
            DemandbaseError: What the download raises.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.is_of(job, part):
            try:
                return ahead.wait(progress)
            except SpoolError:
                if self._is_alone:
                    raise
                # The part before took the room that there is now.
                logger.info("Part %d is downloaded again: there was no room ahead of time", part)
        elif ahead is not None and ahead.is_behind(job, entity):
            self._ahead = ahead  # its turn comes later
        elif ahead is not None:
            ahead.stop()
        now = _Download(self._downloader, self._open_file(), job, entity, part)
        return now.wait(progress)

    def close(self) -> None:
        """Give up what is under way."""
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None


class _StoppedError(Exception):
    """Nobody wants the part any more."""


class _Download:
    def __init__(
        self, downloader: Downloader, file: BinaryIO, job: ExportJob, entity: str, part: int
    ) -> None:
        self._downloader = downloader
        self._file = file
        self._job = job
        self._entity = entity
        self._part = part
        self._received = 0
        self._closing = threading.Lock()
        self._stopped = threading.Event()
        self._task = Task(self._run)

    def is_of(self, job: ExportJob, part: int) -> bool:
        return (self._job.id, self._part) == (job.id, part)

    def is_behind(self, job: ExportJob, entity: str) -> bool:
        """Return whether it is of a job that comes after this one, and not one in its place."""
        return self._job.id != job.id and self._entity != entity

    def wait(self, progress: Callable[[int], None]) -> tuple[BinaryIO, int]:
        try:
            size = self._task.result(
                every=PROGRESS_SECONDS, on_wait=lambda: progress(self._received)
            )
        except BaseException:
            self.stop()
            raise
        return self._file, size

    def stop(self) -> None:
        with self._closing:
            self._stopped.set()
            if self._task.done:
                self._file.close()

    def _run(self) -> int:
        try:
            return self._downloader.download(
                self._job, self._entity, self._part, self._file, self._note
            )
        finally:
            with self._closing:
                if self._stopped.is_set():
                    self._file.close()

    def _note(self, received: int) -> None:
        self._received = received
        if self._stopped.is_set():
            raise _StoppedError
