"""Downloads one part ahead while another one is read."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.errors import SpoolError
from demandbase_api.own_thread import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.download import Downloader
    from demandbase_api.models import ExportJob

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

    def take(
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
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._stopped = threading.Event()
        # A daemon: a silent server must not keep the process from ending.
        start_thread(self._run)

    def is_of(self, job: ExportJob, part: int) -> bool:
        return (self._job.id, self._part) == (job.id, part)

    def is_behind(self, job: ExportJob, entity: str) -> bool:
        """Return whether it is of a job that comes after this one, and not one in its place."""
        return self._job.id != job.id and self._entity != entity

    def wait(self, progress: Callable[[int], None]) -> tuple[BinaryIO, int]:
        try:
            while not self._done.wait(PROGRESS_SECONDS):
                progress(self._received)
        except BaseException:
            self.stop()
            raise
        if self._error is not None:
            self._file.close()
            raise self._error
        return self._file, self._received

    def stop(self) -> None:
        self._stopped.set()
        if self._done.is_set():
            self._file.close()

    def _run(self) -> None:
        try:
            self._received = self._downloader.download(
                self._job, self._entity, self._part, self._file, self._note
            )
        except BaseException as error:  # noqa: BLE001 - it is raised where the part is taken
            self._error = error
        finally:
            self._done.set()
            if self._stopped.is_set():
                self._file.close()

    def _note(self, received: int) -> None:
        self._received = received
        if self._stopped.is_set():
            raise _StoppedError
