"""Ships files one after the other and settles them in that order, while rows are still read."""

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
from typing import TYPE_CHECKING, BinaryIO, Protocol, assert_never

from demandbase_api.errors import FileTooLargeError, JobTimeoutError
from demandbase_api.jobs.import_journal import ImportFile
from demandbase_api.models import ImportOperation
from demandbase_api.threads import Task
from target_demandbase.errors import StillRunningError
from target_demandbase.rejects import file_name_part, make_folder, open_private, rejects_error

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_api.jobs.import_uploader import ImportUploader
    from demandbase_api.jobs.poller import JobPoller
    from demandbase_api.models import ImportJob, ImportRequest
    from target_demandbase.plan import StreamPlan
    from target_demandbase.rejects import Undelivered
    from target_demandbase.staging import StagedFile


logger = logging.getLogger("target-demandbase")

_STOP_SECONDS = 0.5


class Verdict(StrEnum):
    """What is known of the rows of a job that has ended."""

    ALL_TAKEN = "all_taken"
    """It took every row."""
    ALL_KNOWN = "all_known"
    """Each row that it did not take is kept."""
    UNKNOWN = "unknown"
    """Some rows are kept though it may have taken them."""


class Settlement(Protocol):
    """What becomes of shipments at their end."""

    def settle(self, shipment: ImportBatch, job: ImportJob) -> Verdict:
        """Account for a job that has ended."""

    def too_large(self, shipment: ImportBatch) -> None:
        """Account for a single row that is too large for any file."""

    def batch_done(self, batch: int) -> None:
        """Note that all shipments of a batch are settled."""


@dataclass(frozen=True)
class _Underway:
    shipment: ImportBatch
    file: ImportFile
    job_id: str


class ImportQueue:
    """All files on their way, first in, first out.

    Args:
        sender: Brings files to jobs.
        watch: Knows the jobs' states.
        settlement: What becomes of the files.
        max_jobs: How many jobs of one stream may run at a time.
        origin: The API that it is sent to.
    """

    def __init__(
        self,
        sender: ImportUploader,
        watch: JobPoller[ImportJob],
        settlement: Settlement,
        max_jobs: int,
        origin: str,
    ) -> None:
        self._sender = sender
        self._watch = watch
        self._settlement = settlement
        self._max_jobs = max_jobs
        self._origin = origin
        # The first of them may be on its way up.
        self._waiting: deque[ImportBatch] = deque()
        self._sending: tuple[ImportFile, Task[str]] | None = None
        self._times: Counter[str] = Counter()
        self._underway: deque[_Underway] = deque()
        self._ends: deque[int] = deque()
        self._files: list[tuple[int, ImportFile]] = []

    @property
    def is_busy(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._underway or self._waiting)

    @property
    def batches(self) -> set[int]:
        """The batches that are not settled."""
        return set(self._ends)

    def ship(self, shipment: ImportBatch) -> None:
        """Send a file; waits while there is no room, or while it must not overtake another.

        The file itself goes up while the caller goes on.

        Raises:
            StillRunningError: A job did not end in time.
            DemandbaseError: What was sent before could not be, or came to no good end.
        """
        self._waiting.append(shipment)
        self._send_all_but_last()

    def _send_all_but_last(self) -> None:
        """Send what waits, until the last of it is on its way up."""
        while self._waiting and (len(self._waiting) > 1 or self._sending is None):
            self.settle_sending()
            if self._waiting:
                self._start(self._waiting[0])

    def _start(self, shipment: ImportBatch) -> None:
        self._make_room(shipment)
        file = shipment.file(self._origin)
        self._times[file.fingerprint] += 1
        if (time := self._times[file.fingerprint]) > 1:
            file = file.again(time)
        logger.info(
            "Sending %d rows (%d bytes) of stream %s to %s as %s",
            shipment.staged.rows,
            shipment.staged.size,
            shipment.plan.stream,
            shipment.plan.entity,
            file.name,
        )
        self._sending = (file, Task(partial(self._sender.send, shipment.request, file)))

    def settle_sending(self) -> None:
        """Wait until no file is on its way up; nobody else uses the API meanwhile.

        Raises:
            StillRunningError: A job did not end in time.
            DemandbaseError: The file could not be sent.
        """
        if self._sending is None:
            return
        shipment, (file, sending) = self._waiting[0], self._sending
        try:
            job_id = sending.result()
        except FileTooLargeError:
            self._sending = None
            self._split(shipment)
            return
        except JobTimeoutError as error:
            self._sending = None
            raise StillRunningError(str(error), stream=shipment.plan.stream) from error
        # On a signal it stays: whoever ends the run has to stop it.
        self._sending = None
        self._waiting.popleft()
        self._underway.append(_Underway(shipment, file, job_id))
        self._files.append((shipment.batch, file))

    def end_of_batch(self, batch: int) -> None:
        """Note that all files of a batch have been shipped."""
        self._ends.append(batch)
        self._close_batches()

    def tick(self) -> None:
        """Look at the jobs if it is time to, and settle those at the head that have ended."""
        if self._sending is not None:
            if not self._sending[1].done:
                return
            self.settle_sending()
            self._send_all_but_last()
            self._close_batches()
        elif self._underway and self._watch.poll_if_due():
            while self._underway:
                job = self._watch.latest(self._underway[0].job_id)
                if not job.status.is_terminal:
                    break
                self._settle_first()

    def finish(self) -> None:
        """Wait until everything is settled."""
        while self._waiting:
            self.settle_sending()
            self._send_all_but_last()
        while self._underway:
            self._settle_first()
        self._close_batches()

    def told(self, batch: int) -> None:
        """Forget the files up to a batch: a state that covers them has gone out."""
        for number, file in self._files:
            if number <= batch:
                self._sender.settle(file)
        self._files = [item for item in self._files if item[0] > batch]

    def _make_room(self, shipment: ImportBatch) -> None:
        """Wait for streams before, since rows may refer to theirs, and for the same keys."""
        while self._underway:
            others = [each.shipment for each in self._underway]
            is_free = (
                all(other.plan.stream == shipment.plan.stream for other in others)
                and len(others) < self._max_jobs
                and not any(other.keys & shipment.keys for other in others)
            )
            if is_free:
                return
            self._settle_first()

    def _split(self, shipment: ImportBatch) -> None:
        if shipment.staged.rows == 1:
            self._settlement.too_large(shipment)
            self._waiting.popleft().staged.close()
            return
        logger.warning(
            "Demandbase found a file of %d rows (%d bytes) too large: it is sent in two halves",
            shipment.staged.rows,
            shipment.staged.size,
        )
        halves = shipment.halves()  # it takes a while: until then the whole file waits
        self._waiting.popleft()
        self._waiting.extendleft(reversed(halves))

    def _settle_first(self) -> None:
        first = self._underway[0]
        try:
            job = self._watch.wait(first.job_id)
        except JobTimeoutError as error:
            # Not cancelled: the ledger knows it, and the next run goes on from where it is.
            self._watch.forget(first.job_id)
            raise StillRunningError(
                f"{error} The rows of stream {first.shipment.plan.stream} may still land: the "
                "next run takes that job up instead of sending them again.",
                stream=first.shipment.plan.stream,
            ) from error
        self._underway.popleft()
        self._watch.forget(first.job_id)
        verdict = Verdict.UNKNOWN
        try:
            verdict = self._settlement.settle(first.shipment, job)
        finally:
            first.shipment.staged.close()
            self._note(first, verdict)
        self._close_batches()

    def _note(self, underway: _Underway, verdict: Verdict) -> None:
        is_insert = underway.shipment.plan.operation is ImportOperation.INSERT
        match verdict:
            case Verdict.ALL_TAKEN | Verdict.ALL_KNOWN if is_insert:
                self._sender.account(underway.file)
            case Verdict.ALL_TAKEN:
                pass  # until a state that covers it is out, the next run must not send it again
            case Verdict.UNKNOWN if is_insert:
                pass  # nobody but a person can tell what to insert again
            case Verdict.ALL_KNOWN | Verdict.UNKNOWN:
                # What was wrong may be mended before the next run, which must then send it again.
                self._sender.settle(underway.file)
            case _:
                assert_never(verdict)

    def _close_batches(self) -> None:
        """Tell of each batch none of whose files is on its way any more."""
        while self._ends:
            batch = self._ends[0]
            open_files = [*(each.shipment for each in self._underway), *self._waiting]
            if any(shipment.batch == batch for shipment in open_files):
                return
            self._ends.popleft()
            self._settlement.batch_done(batch)

    def close(self, undelivered: Undelivered | None = None) -> None:
        """Cancel what can be cancelled, and remove the files.

        Args:
            undelivered: Where to keep the rows of jobs that are cancelled, if anywhere.
        """
        if self._sending is not None:
            self._sender.stop()
            self._sending[1].wait(_STOP_SECONDS)
            if self._sending[1].done:
                with suppress(Exception):  # the run's own end is the one to tell of
                    self.settle_sending()
        job_with_file = self._sender.sending
        self._sender.close()
        cancelled = self._watch.close()
        lost = [each.shipment for each in self._underway if each.job_id in cancelled]
        waiting = list(self._waiting)
        if job_with_file is not None and job_with_file not in cancelled:
            # Its rows may have arrived: the ledger knows it, and the next run takes it up.
            waiting = waiting[1:]
        for shipment in [*lost, *waiting]:
            if undelivered is not None:
                undelivered.keep(shipment.plan, [shipment.staged])
        for shipment in [*(each.shipment for each in self._underway), *self._waiting]:
            shipment.staged.close()
        self._underway.clear()
        self._waiting.clear()


class DryRunQueue:
    """Takes shipments as the lane does, and writes them into a folder.

    Args:
        folder: The folder; created with the first file.
        settlement: What becomes of batches.
    """

    is_busy = False

    def __init__(self, folder: Path, settlement: Settlement) -> None:
        self._folder = folder
        self._settlement = settlement
        self._number = 0

    @property
    def batches(self) -> set[int]:
        """The batches that are not settled: none."""
        return set()

    def ship(self, shipment: ImportBatch) -> None:
        """Write a file.

        Raises:
            RejectsError: The disk does not take it.
        """
        self._number += 1
        path = self._folder / f"{self._number:04d}-{shipment.plan.entity}.csv"
        self._write(path, shipment.staged.open())
        logger.info(
            "Dry run: %d rows of stream %s for %s are in %s; nothing is sent",
            shipment.staged.rows,
            shipment.plan.stream,
            shipment.plan.entity,
            path,
        )
        shipment.staged.close()

    def keep(self, stream: str, report: str) -> None:
        """Write what was found of a stream at its schema.

        Raises:
            RejectsError: The disk does not take it.
        """
        text = io.BytesIO(f"{report}\n".encode())
        self._write(self._folder / f"{file_name_part(stream)}-mapping.txt", text)

    def _write(self, path: Path, content: BinaryIO) -> None:
        try:
            make_folder(self._folder)
            with os.fdopen(open_private(path, os.O_TRUNC), "wb") as file:
                shutil.copyfileobj(content, file)
        except OSError as error:
            raise rejects_error(error) from error

    def end_of_batch(self, batch: int) -> None:
        """Note that all files of a batch are written."""
        self._settlement.batch_done(batch)

    def settle_sending(self) -> None:
        """Do nothing: no file is on its way up."""

    def tick(self) -> None:
        """Do nothing: there are no jobs."""

    def finish(self) -> None:
        """Do nothing: there are no jobs."""

    def told(self, batch: int) -> None:
        """Do nothing: there is no ledger."""

    def close(self, undelivered: Undelivered | None = None) -> None:
        """Do nothing: there are no jobs."""


_FINGERPRINT_CHARACTERS = 32


@dataclass(frozen=True)
class ImportBatch:
    """A file, where it goes, and the batch that it belongs to.

    Args:
        plan: The stream's plan.
        staged: The file.
        batch: Number of the batch.
        keys: Digests of the match keys in it.
    """

    plan: StreamPlan
    staged: StagedFile
    batch: int
    keys: frozenset[int]

    @property
    def request(self) -> ImportRequest:
        """What to ask for."""
        return self.plan.request(self.staged.columns)

    def file(self, origin: str) -> ImportFile:
        """Return the file as the job gets it.

        Args:
            origin: The API that it is sent to: the same file means another thing elsewhere.
        """
        fingerprint = _fingerprint(origin, self.request, self.staged.sha256())
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
        """Return two shipments of half of the rows each, in order."""
        first, second = self.staged.halves()
        return (
            ImportBatch(self.plan, first, self.batch, self.keys),
            ImportBatch(self.plan, second, self.batch, self.keys),
        )


def _fingerprint(origin: str, request: ImportRequest, content: str) -> str:
    asked = [
        origin,
        request.entity,
        request.operation.value,
        request.match_key,
        [[mapping.column, mapping.field] for mapping in request.mappings],
        content,
        *([] if request.activity_type is None else [request.activity_type]),
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]
