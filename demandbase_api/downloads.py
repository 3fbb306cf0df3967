"""Downloads the parts of export jobs, each completely or not at all."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.deadline import ONE_TRY
from demandbase_api.errors import (
    EXIT_FAILURE,
    EXIT_TRY_LATER,
    ApiError,
    ApiOperation,
    ChangedFileError,
    DownloadError,
    InterruptedDownloadError,
    JobGoneError,
    LinkRejectedError,
    NotFoundError,
    NotReadyError,
    QuotaExceededError,
    RateLimitedError,
    SpoolError,
    TransientError,
    UnexpectedResponseError,
    spool_error,
)
from demandbase_api.http.body import MIN_BYTES_PER_SECOND
from demandbase_api.models import has_expired
from demandbase_api.ports import Resume
from demandbase_api.threads import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.models import ExportJob
    from demandbase_api.ports import ExportApi


logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0

SPACE_STEP_BYTES = 4 * 1024 * 1024
"""Bytes that are received between two checks of the space if the size is unknown."""

_MAX_UNPROVEN_ENDS = 5

_MAX_ROUNDS = 1000

_MAX_START_OVERS = 5
"""How often a download may lose what it has received."""

_EMPTY_PAUSE_SECONDS = 5.0
"""Pause before an empty file is requested again."""

_LINK_ADVICE = "If the error persists, ask Demandbase's support about the job."


@dataclass(frozen=True, slots=True)
class _Part:
    job: ExportJob
    entity: str
    number: int

    def __str__(self) -> str:
        return f"Part {self.number} of the export job {self.job.id} for {self.entity}"

    def gone(self, reason: str, kind: type[JobGoneError] = JobGoneError) -> JobGoneError:
        """Return the error for a part that is no longer there."""
        return kind(
            f"{self} is no longer there: {reason}",
            kind="export",
            job_id=self.job.id,
            entity=self.entity,
            part=self.number,
        )


@dataclass(frozen=True, slots=True)
class Downloader:
    """Downloads parts. Each try requests a new link and resumes where the last one was interrupted.

    Args:
        api: The export API.
        retry: How often to try.
        check_space: Called with the number of bytes to write; raises if there is no space for them.
    """

    api: ExportApi
    retry: RetryPolicy
    check_space: Callable[[int], None] = lambda _bytes: None

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
            entity: The job's entity, for messages.
            part: Number of the part, counted from 1.
            file: An empty file, open for writing; its position is the start afterwards.
            progress: Called with the bytes received so far, after each chunk.

        Returns:
            Size of the part in bytes.

        Raises:
            JobGoneError: The job or its file no longer exists.
            LinkRejectedError: Each new link to the file is rejected.
            DownloadError: The part cannot be downloaded.
            QuotaExceededError: The daily quota is used up.
            SpoolError: The file cannot be written.
        """
        transfer = _Transfer(self, _Part(job, entity, part), file, progress)
        try:
            self._retry(transfer)
        except QuotaExceededError:
            raise  # the same download may work later
        except _RejectedError as error:
            reason = f"{error} {_LINK_ADVICE}"
            raise transfer.part.gone(reason, LinkRejectedError) from error
        except ApiError as error:
            raise DownloadError(
                f"{transfer.part} could not be downloaded: {error}",
                kind="export",
                job_id=job.id,
                entity=entity,
                part=part,
                exit_code=EXIT_TRY_LATER if isinstance(error, RateLimitedError) else EXIT_FAILURE,
            ) from error
        except OSError as error:
            raise spool_error(error) from error
        file.seek(0)
        if not transfer.received and job.record_count is None:
            logger.warning(
                "%s is empty, twice and without a header: it counts as an export without rows",
                transfer.part,
            )
        return transfer.received

    def _retry(self, transfer: _Transfer) -> None:
        """Receive a part; the retries start again as long as they receive enough bytes."""
        for _ in range(_MAX_ROUNDS):
            before, started = transfer.received, self.retry.clock.now()
            try:
                return self.retry.call(transfer.run)
            except TransientError:
                received = transfer.received - before
                seconds = self.retry.clock.now() - started
                is_slow = received < MIN_BYTES_PER_SECOND * seconds
                if received <= 0 or (is_slow and seconds >= self.retry.patience_seconds):
                    raise
        return self.retry.call(transfer.run)


class _Transfer:
    """The bytes of one part that have been received so far."""

    def __init__(
        self,
        downloader: Downloader,
        part: _Part,
        file: BinaryIO,
        progress: Callable[[int], None],
    ) -> None:
        self._downloader = downloader
        self.part = part
        self._file = file
        self._progress = progress
        self._validator: str | None = None
        self._unproven_end: int | None = None
        self._start_overs = 0
        self._was_empty = False
        self.received = 0

    def run(self) -> None:
        """Receive the part up to its proven end.

        Raises:
            TransientError: It was interrupted; another call resumes it.
            JobGoneError: The job or its file no longer exists.
        """
        try:
            self._receive_all()
        except NotFoundError as error:
            if error.operation is ApiOperation.DOWNLOAD_PART:
                self._check_job()
            raise error.as_a(_RejectedError, advice="") from None

    def _receive_all(self) -> None:
        for _ in range(_MAX_UNPROVEN_ENDS):
            if self._receive():
                return
        raise InterruptedDownloadError(
            ApiOperation.FETCH_LINK, "gave a file whose length changed each time or is unknown"
        )

    def _receive(self) -> bool:
        """Receive bytes up to the end of the response; return whether that is the part's end."""
        resume = None
        if self.received and self._validator is not None:
            resume = Resume(self.received, self._validator)
        api = self._downloader.api
        try:
            with api.open_part(self.part.job.id, self.part.number, resume) as body:
                if body.start == 0:
                    self._start_over()
                self._validator = body.validator
                self._write(body.chunks(), body.size)
                if body.size is not None and self.received != body.size:
                    raise InterruptedDownloadError(
                        ApiOperation.FETCH_LINK, f"sent {self.received} of {body.size} bytes"
                    )
                if self.received == 0:
                    self._check_empty(is_framed=body.is_framed)
                # An empty response proves nothing, however often it is repeated.
                is_same = self.received > 0 and self.received == self._unproven_end
                if body.is_framed or is_same:
                    return True
        except ChangedFileError:
            self._start_over()
            raise
        # The response ended with its connection, as a truncated one does: request what follows.
        self._unproven_end = self.received
        return False

    def _check_empty(self, *, is_framed: bool) -> None:
        """Request an empty file once more, unless its job counted no rows."""
        if is_framed and not self._was_empty and self.part.job.record_count != 0:
            self._was_empty = True
            raise NotReadyError(
                ApiOperation.FETCH_LINK, "sent an empty file", retry_after=_EMPTY_PAUSE_SECONDS
            )

    def _start_over(self) -> None:
        if self.received:
            self._start_overs += 1
        if self._start_overs > _MAX_START_OVERS:
            raise UnexpectedResponseError(
                ApiOperation.FETCH_LINK,
                f"broke off the file {self._start_overs} times without a way to resume it",
                advice="Run again over a more reliable connection, or request less at a time "
                "(setting window_days).",
            )
        self._file.seek(0)
        self._file.truncate()
        self._validator = None
        self.received = 0

    def _write(self, chunks: Iterator[bytes], size: int | None) -> None:
        check_space = self._downloader.check_space
        if size is not None:
            check_space(size - self.received)
        checked = self.received
        for chunk in chunks:
            if size is None and self.received >= checked:
                check_space(SPACE_STEP_BYTES)
                checked = self.received + SPACE_STEP_BYTES
            self._file.write(chunk)
            self.received += len(chunk)
            self._progress(self.received)

    def _check_job(self) -> None:
        """Check that the job exists and has not expired, so that its file may still appear.

        Raises:
            JobGoneError: The job does not exist, or has expired by the server's clock.
        """
        api = self._downloader.api
        try:
            job = api.get(self.part.job.id, ONE_TRY)
        except NotFoundError as error:
            raise self.part.gone(f"Demandbase no longer knows it{error.codes}.") from None
        if has_expired(job, api.server_time()):
            raise self.part.gone("it has expired.")


class _RejectedError(TransientError):
    """The link has expired or does not exist (yet): a new one may work."""


class PartFetcher:
    """Downloads parts in the background, one at a time.

    Args:
        downloader: Downloads a part.
        open_file: Opens a new, empty file.
    """

    def __init__(self, downloader: Downloader, open_file: Callable[[], BinaryIO]) -> None:
        self._downloader = downloader
        self._open_file = open_file
        self._ahead: _Download | None = None
        self._is_alone = False

    def start(self, job: ExportJob, entity: str, part: int, *, is_alone: bool = False) -> None:
        """Start to download a part, unless another one has been started and not been fetched.

        Args:
            job: The job.
            entity: The job's entity, for messages.
            part: Number of the part, counted from 1.
            is_alone: Whether no other part is read meanwhile, which would free its space.
        """
        if self._ahead is None:
            self._ahead = _Download(self._downloader, self._open_file(), job, entity, part)
            self._is_alone = is_alone

    def wait(
        self, job: ExportJob, entity: str, part: int, progress: Callable[[int], None]
    ) -> tuple[BinaryIO, int]:
        """Wait for a part; return its file, which the caller closes, and its size in bytes.

        Args:
            job: The job.
            entity: The job's entity, for messages.
            part: Number of the part, counted from 1.
            progress: Called with the bytes received so far, every 10 seconds.

        Raises:
            DemandbaseError: The download failed.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.is_for(job, part):
            try:
                return ahead.wait(progress)
            except SpoolError:
                if self._is_alone:
                    raise
                # The part before needed the space, which is free now.
                logger.info("Part %d is downloaded again: there was no space ahead of time", part)
        elif ahead is not None and ahead.is_for_later_job(job, entity):
            self._ahead = ahead
        elif ahead is not None:
            ahead.stop()
        now = _Download(self._downloader, self._open_file(), job, entity, part)
        return now.wait(progress)

    def close(self) -> None:
        """Stop the download that is running."""
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None


class _Download:
    """A download in a thread."""

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
        self._has_ended = False
        self._task = Task(self._run)

    def is_for(self, job: ExportJob, part: int) -> bool:
        return (self._job.id, self._part) == (job.id, part)

    def is_for_later_job(self, job: ExportJob, entity: str) -> bool:
        """Return whether the download is of a later job, and not of one that was replaced."""
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
            if self._has_ended:
                self._file.close()

    def _run(self) -> int:
        try:
            return self._downloader.download(
                self._job, self._entity, self._part, self._file, self._on_progress
            )
        finally:
            with self._closing:
                self._has_ended = True
                if self._stopped.is_set():
                    self._file.close()

    def _on_progress(self, received: int) -> None:
        self._received = received
        if self._stopped.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    """The download has been stopped."""
