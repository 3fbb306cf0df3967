"""Jobs and downloads that the streams of one run share."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from demandbase_api.clock import SystemClock
from demandbase_api.downloads import Downloader, PartFetcher
from demandbase_api.errors import (
    BusyError,
    InvalidRequestError,
    JobGoneError,
    QuotaExceededError,
)
from demandbase_api.jobs.export_provider import ExportTask
from demandbase_api.jobs.export_scheduler import ExportScheduler
from demandbase_api.jobs.job_timeline import JobPhase
from demandbase_api.jobs.poller import JobPoller
from demandbase_api.models import EntityField, ExportRequest
from demandbase_api.run_report import RowSamples
from demandbase_api.words import counted
from tap_demandbase.csv_reader import PartReader, is_gzip
from tap_demandbase.errors import (
    FileFormatError,
    FileSizeError,
    QuotaStopError,
    RecordCountError,
    SelectionError,
)
from tap_demandbase.report import JobFigures

if TYPE_CHECKING:
    import logging
    from collections.abc import Generator, Sequence
    from datetime import datetime
    from typing import BinaryIO

    from demandbase_api.clock import Clock
    from demandbase_api.jobs.export_journal import ExportJournal
    from demandbase_api.jobs.export_provider import ExportPolicy
    from demandbase_api.jobs.export_reuse import DeliveredJobs
    from demandbase_api.models import ExportJob, ParentIds
    from demandbase_api.ports import ExportApi
    from tap_demandbase.spool import Spool


POLL_ROWS = 5000
"""Rows that are read between two polls."""

PROGRESS_SECONDS = 10.0

_ID = "id"

_ID_SCHEMA = {_ID: {"type": ["null", "string"]}}


class Exporter:
    """The exports of one run.

    Args:
        api: The export API.
        policy: How jobs are run.
        spool: Folder of intermediate files.
        clock: Clock of the jobs.
        journal: Remembers the jobs if the process ends.
        logger: Logger of the tap.
    """

    def __init__(  # noqa: PLR0913
        self,
        api: ExportApi,
        policy: ExportPolicy,
        spool: Spool,
        *,
        clock: Clock,
        journal: ExportJournal,
        logger: logging.Logger,
    ) -> None:
        self.spool = spool
        self.journal = journal
        poller = JobPoller("export", api, policy.poll, clock)
        self.timeline = poller.timeline
        self.scheduler = ExportScheduler(api, poller, policy, clock, journal)
        self.fetcher = PartFetcher(Downloader(api, policy.retry, spool.check_space), spool.open)
        self.clock = clock
        self._logger = logger
        self.rows = RowSamples(clock)
        """Rows that have been read, of all jobs."""
        self._rows = 0
        self._jobs: dict[str, list[JobFigures]] = {}
        self._parents: dict[str, str] = {}
        """Stream whose turn it was when ids were exported, by entity of the ids."""
        self._planned: set[str] = set()
        self._waiting: list[str] = []
        self._done: list[str] = []
        self._failed = 0
        self._ids: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def plan(self, stream: str, tasks: Sequence[ExportTask]) -> None:
        """Plan a stream after those planned before; its jobs may be created ahead of its turn.

        Args:
            stream: Name of the stream.
            tasks: The tasks that are known already.
        """
        self._waiting.append(stream)
        self._planned.add(stream)
        self.scheduler.plan(tasks)

    def check_budget(self, stream: str, more_jobs: int) -> None:
        """Check the daily call budget for all planned jobs.

        Args:
            stream: The current stream.
            more_jobs: Number of jobs that are needed in addition to the planned ones.

        Raises:
            QuotaStopError: The budget is too small.
        """
        try:
            self.scheduler.check_budget(more_jobs)
        except QuotaExceededError as error:
            raise self.quota_stop(stream, error) from error

    def wait(self, stream: str, task: ExportTask) -> tuple[ExportJob, datetime]:
        """Wait for a task's job to complete; return the job and its creation time.

        Raises:
            QuotaStopError: The daily quota is used up.
            BusyError: Other jobs take all slots.
            SelectionError: Demandbase rejects the request.
            DemandbaseError: The job failed, or a call did.
        """
        began = self.clock.now()
        try:
            job, created_at = self.scheduler.wait(task)
        except InvalidRequestError as error:
            request = task.request
            by = f", filtered by {request.date_range.field}" if request.date_range else ""
            raise SelectionError(
                f"{error} Stream {stream} requested the fields {', '.join(request.fields)}{by}.",
                stream=stream,
            ) from error
        except QuotaExceededError as error:
            raise self.quota_stop(stream, error) from error
        except BusyError as error:
            advice = f"{error.advice} {self._progress()}"
            raise error.as_a(BusyError, advice=advice) from error
        figures = JobFigures.of(
            job,
            created_at,
            task.request.date_range,
            adopted=self.scheduler.is_adopted(task),
            waited_seconds=self.clock.now() - began,
        )
        self._jobs.setdefault(stream, []).append(figures)
        return job, created_at

    def jobs(self) -> dict[str, list[JobFigures]]:
        """Return the figures of all jobs of the run by stream, each in the order of its jobs."""
        waited_for = {figures.id: stream for stream, jobs in self._jobs.items() for figures in jobs}
        known = {figures.id: figures for jobs in self._jobs.values() for figures in jobs}
        found: dict[str, list[JobFigures]] = {}
        for job in self.timeline.jobs():
            stream = waited_for.get(job.id, job.stream)
            if stream not in self._planned:
                stream = self._parents.get(stream, stream)
            figures = known.get(job.id) or JobFigures(job.id, job.is_adopted)
            figures.status, figures.spans = job.status, job.spans
            found.setdefault(stream, []).append(figures)
        return found

    def count(self, rows: int) -> None:
        """Count rows that have been read since the last call."""
        self._rows += rows
        self.rows.add(self._rows)

    def open(self, stream: str, task: ExportTask, job: ExportJob) -> JobParts:
        """Start the download of a completed job's first part and return the job's parts.

        The first part is downloaded while the caller prepares to read it.
        """
        if parts_of(job):
            self.fetcher.start(job, task.request.entity, 1, is_alone=True)
        figures = next(
            figures for jobs in self._jobs.values() for figures in jobs if figures.id == job.id
        )
        return JobParts(self, stream, task, job, self._logger, figures)

    def parent_ids(
        self,
        stream: str,
        parents: ParentIds,
        account_lists: tuple[str, ...],
        delivered: DeliveredJobs | None,
    ) -> tuple[str, ...]:
        """Export the ids of an entity, once a run.

        Args:
            stream: The stream that needs the ids.
            parents: The entity and its id field.
            account_lists: Only accounts of these lists.
            delivered: Jobs that the stream delivered; ids from an older job are outdated.

        Returns:
            Each id once, in a stable order.

        Raises:
            DemandbaseError: The export failed.
        """
        key = (parents.entity, account_lists)
        if key not in self._ids:
            self._parents.setdefault(parents.entity, stream)
            request = ids_request(parents, account_lists)
            self._ids[key] = self._export_ids(stream, parents, ExportTask(request, delivered))
        return self._ids[key]

    def _export_ids(self, stream: str, parents: ParentIds, task: ExportTask) -> tuple[str, ...]:
        while True:
            job, _ = self.wait(stream, task)
            try:
                found = self._read_ids(parents, task, job)
            except JobGoneError as error:
                self.scheduler.resubmit(task, error)
            else:
                self.scheduler.forget(task)
                return tuple(sorted(found, key=lambda text: (len(text), text)))

    def _read_ids(self, parents: ParentIds, task: ExportTask, job: ExportJob) -> set[str]:
        fields = {_ID: EntityField(_ID, "", api_name=parents.field, label=parents.label)}
        reader = PartReader(parents.entity, job.id, _ID_SCHEMA, self._logger, fields)
        parts = self.open(parents.entity, task, job)
        found: set[str] = set()
        rows = 0
        with closing(iter(parts)) as files:
            for number, file in files:
                for record in reader.records(file, number):
                    if rows >= parts.next_poll:
                        parts.poll(rows)
                    rows += 1
                    if record[_ID] is not None:
                        found.add(str(record[_ID]))
        parts.check_complete(rows, reader)
        return found

    def stream_done(self, stream: str) -> None:
        """Count a stream as done, for messages."""
        if stream in self._waiting:
            self._waiting.remove(stream)
        self._done.append(stream)

    def give_up(self, stream: str, tasks: Sequence[ExportTask]) -> None:
        """Count a stream as failed; cancel its jobs and forget its tasks.

        Args:
            stream: Name of the stream.
            tasks: Its tasks, delivered or not.
        """
        if stream in self._waiting:
            self._waiting.remove(stream)
        self._failed += 1
        self.fetcher.close()
        self.scheduler.give_up(tasks)

    def quota_stop(self, stream: str, error: QuotaExceededError) -> QuotaStopError:
        """Return the error that ends a run whose quota is used up."""
        return QuotaStopError(
            f"{error} {self._progress()} The next run continues from the state, and may send some "
            "records again. Or let the tap wait: set quota_wait_hours.",
            stream=stream,
        )

    def _progress(self) -> str:
        """Return a sentence that names the streams that are done and those that remain."""
        done = f" ({', '.join(self._done)})" if self._done else ""
        total = len(self._done) + self._failed + len(self._waiting)
        return (
            f"{len(self._done)} of {total} streams are done{done}; remaining: "
            f"{', '.join(self._waiting)}."
        )

    def close(self) -> None:
        """Stop the download, and cancel the jobs that this run created and that still run."""
        self.fetcher.close()
        self.scheduler.close()


def ids_request(parents: ParentIds, account_lists: tuple[str, ...]) -> ExportRequest:
    """Return the request for the ids of an entity."""
    return ExportRequest(parents.entity, (parents.field,), account_lists=account_lists)


class JobParts:
    """The downloaded parts of one job.

    While a part is read, the next one is downloaded: of this job, or of the next job if that has
    completed.

    Args:
        exporter: The run.
        stream: Name of the stream, for messages.
        task: The job's task.
        job: A completed job.
        logger: Receives the progress.
        figures: What the report says of the job.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        exporter: Exporter,
        stream: str,
        task: ExportTask,
        job: ExportJob,
        logger: logging.Logger,
        figures: JobFigures,
    ) -> None:
        self._exporter = exporter
        self._stream = stream
        self._task = task
        self._job = job
        self._logger = logger
        self._figures = figures
        self._started = exporter.clock.now()
        self._progress = ReadProgress(logger)
        self._parts = parts_of(job)
        self._part = 0
        self._received = 0
        self.next_poll = 0
        """Number of read rows at which ``poll`` is due."""

    def __iter__(self) -> Generator[tuple[int, BinaryIO], None, None]:
        """Yield the number and the file of each part; the file is closed after that.

        Raises:
            QuotaStopError: The daily quota is used up.
            FileSizeError: The files have another size than Demandbase says.
            DemandbaseError: The download failed.
        """
        timeline = self._exporter.timeline
        try:
            for number in range(1, self._parts + 1):
                self._part = number
                timeline.enter(self._job.id, JobPhase.DOWNLOADING)
                file, size = self._fetch()
                timeline.enter(self._job.id, JobPhase.READING)
                yield from self._opened(number, file, size)
        finally:
            timeline.leave(self._job.id)

    def _opened(
        self, number: int, file: BinaryIO, size: int
    ) -> Generator[tuple[int, BinaryIO], None, None]:
        try:
            self._logger.info(
                "Part %d of %d has been downloaded: %s", number, self._parts, counted(size, "byte")
            )
            self._received += size
            self._count()
            if number == self._parts and not is_gzip(file):
                self._check_size(self._received)
            self.next_poll = 0
            yield number, file
        finally:
            self._exporter.spool.close(file)

    def _fetch(self) -> tuple[BinaryIO, int]:
        try:
            return self._exporter.fetcher.wait(
                self._job, self._stream, self._part, self._log_download
            )
        except QuotaExceededError as error:
            raise self._exporter.quota_stop(self._stream, error) from error

    def _log_download(self, received: int) -> None:
        self._progress.downloading(self._part, self._parts, received)

    def poll(self, rows: int) -> None:
        """Poll the jobs and start the next download; never waits.

        Args:
            rows: Number of rows read so far.
        """
        self._count(rows)
        scheduler, fetcher = self._exporter.scheduler, self._exporter.fetcher
        scheduler.poll()
        if self._part < self._parts:
            fetcher.start(self._job, self._task.request.entity, self._part + 1)
        elif (following := scheduler.next_completed(self._task)) is not None:
            task, job = following
            if parts_of(job):
                fetcher.start(job, task.request.entity, 1)
        self._progress.reading(self._part, self._parts, rows)
        self.next_poll = rows + POLL_ROWS

    def check_complete(self, rows: int, reader: PartReader) -> None:
        """Check that all of the job has been read.

        Args:
            rows: Number of rows read.
            reader: Reader of the parts.

        Raises:
            FileSizeError: The files have another size than Demandbase says.
            RecordCountError: The files have another number of records than Demandbase says.
            FileFormatError: A file is missing or has no header, and no count says that it is empty.
        """
        self._count(rows)
        # No documentation says whether the size is that of the compressed or of the plain files.
        self._check_size(self._received, reader.plain_bytes)
        job = self._job
        if job.record_count is not None and job.record_count != rows:
            raise RecordCountError(
                f"Stream {self._stream}: Demandbase counted {job.record_count} records in the "
                f"export job {job.id}, its files hold {rows}. Run again. If the error "
                "persists, ask Demandbase's support about the job.",
                stream=self._stream,
                job_id=job.id,
            )
        self._check_files(reader)
        if reader.nul_bytes:
            self._logger.warning(
                "%d NUL bytes were removed from the export job %s of stream %s",
                reader.nul_bytes,
                job.id,
                self._stream,
            )

    def _count(self, rows: int = 0) -> None:
        figures = self._figures
        self._exporter.count(max(rows - figures.rows, 0))
        figures.rows = max(figures.rows, rows)
        figures.bytes = self._received
        figures.read_seconds = self._exporter.clock.now() - self._started

    def _check_files(self, reader: PartReader) -> None:
        job = self._job
        if job.record_count is not None:
            return  # compared with the rows
        if not self._parts:
            problem = f"has completed without a file (file_parts: {job.file_parts})"
        # The downloader vouches for an export whose only file has no bytes.
        elif reader.empty_parts and (self._parts > 1 or self._received):
            parts = ", ".join(map(str, reader.empty_parts))
            problem = f"has files without a header (part {parts} of {self._parts})"
        else:
            return
        raise FileFormatError(
            f"Stream {self._stream}: the export job {job.id} {problem}, and Demandbase does not "
            "say that it is empty. Run again. If the error persists, ask Demandbase's support "
            "about the job.",
            stream=self._stream,
            job_id=job.id,
        )

    def _check_size(self, *sizes: int) -> None:
        job = self._job
        if job.file_size_bytes is not None and job.file_size_bytes not in sizes:
            raise FileSizeError(
                f"Stream {self._stream}: Demandbase says that the files of the export job "
                f"{job.id} have {job.file_size_bytes} bytes, and {sizes[0]} were received. "
                "Run again. If the error persists, export again with job_reuse_hours: 0 and ask "
                "Demandbase's support about the job.",
                stream=self._stream,
                job_id=job.id,
            )


def parts_of(job: ExportJob) -> int:
    """Return the number of a completed job's files."""
    return 1 if job.file_parts is None else max(job.file_parts, 0)


class ReadProgress:
    """Logs the progress of one job, at most once every 10 seconds.

    Args:
        logger: Receives the progress.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._clock = SystemClock()
        self._started = self._logged = self._clock.now()

    def downloading(self, part: int, parts: int, received: int) -> None:
        """Log the bytes of a part that have been received so far."""
        if self._is_due():
            self._logger.info(
                "Downloading part %d of %d: %.1f MB", part, parts, received / 1_000_000
            )

    def reading(self, part: int, parts: int, rows: int) -> None:
        """Log the rows of the job that have been read so far."""
        if self._is_due():
            seconds = max(self._logged - self._started, 0.001)
            self._logger.info(
                "Reading part %d of %d: %s, %s rows/s",
                part,
                parts,
                counted(rows, "row"),
                f"{rows / seconds:,.0f}",
            )

    def _is_due(self) -> bool:
        now = self._clock.now()
        if now - self._logged < PROGRESS_SECONDS:
            return False
        self._logged = now
        return True
