"""Brings one part of an export onto the disk, whole or not at all."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.errors import (
    ApiError,
    ChangedFileError,
    DownloadError,
    InterruptedDownloadError,
    JobGoneError,
    NotFoundError,
    QuotaExceededError,
    SpoolError,
    TransientError,
)
from demandbase_api.operations import ApiOperation
from demandbase_api.ports import Resume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from demandbase_api.models import ExportJob
    from demandbase_api.ports import ExportApi
    from demandbase_api.retry import RetryPolicy

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
            self._while_it_grows(transfer, self.retry.retrying(attempt))
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


def has_expired(job: ExportJob, now: datetime) -> bool:
    """Return whether a job's file can no longer be downloaded."""
    return job.expires_at is not None and job.expires_at <= now


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


def spool_error(error: OSError) -> SpoolError:
    """Return the error for a spool folder that does not take a file."""
    reason = (
        "it has no room left" if error.errno == errno.ENOSPC else (error.strerror or "it failed")
    )
    return SpoolError(
        f"The folder for intermediate files cannot be written: {reason}. "
        "Free some room, or point the setting spool_dir at a larger or writable folder."
    )
