"""What the streams of one run share: the jobs ahead of them and the next part's download."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.config import poll_policy
from demandbase_api.downloads import Downloader, PartFetcher
from demandbase_api.errors import InvalidRequestError, JobGoneError, QuotaExceededError
from demandbase_api.jobs.export_scheduler import ExportScheduler, ExportTask
from demandbase_api.jobs.poller import JobPoller
from demandbase_api.models import EntityField, ExportRequest
from tap_demandbase.config import export_policy, spool
from tap_demandbase.csv_reader import PartReader, is_gzip
from tap_demandbase.errors import FileSizeError, QuotaStopError, RecordCountError, SelectionError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import BinaryIO

    from demandbase_api.errors import DemandbaseError
    from demandbase_api.jobs.export_reuse import DeliveredJob
    from demandbase_api.models import ExportJob, ParentIds
    from tap_demandbase.arrow.reader import Item
    from tap_demandbase.arrow.row_block import Output
    from tap_demandbase.tap import TapDemandbase


EVERY_SECONDS = 10.0


class ReadProgress:
    """Logs part, bytes or rows, and rows/s at least every 10 seconds of work.

    Args:
        logger: Where to.
        clock: Time; tests pass one of their own.
    """

    def __init__(self, logger: logging.Logger, clock: Clock | None = None) -> None:
        self._logger = logger
        self._clock = clock or SystemClock()
        self._started = self._said = self._clock.now()

    def downloading(self, part: int, parts: int, received: int) -> None:
        """Note the bytes of a part received so far."""
        if self._due():
            self._logger.info(
                "Downloading part %d of %d: %.1f MB", part, parts, received / 1_000_000
            )

    def reading(self, part: int, parts: int, rows: int) -> None:
        """Note the rows read so far."""
        if self._due():
            seconds = max(self._said - self._started, 0.001)
            self._logger.info(
                "Reading part %d of %d: %d rows, %.0f rows/s", part, parts, rows, rows / seconds
            )

    def _due(self) -> bool:
        now = self._clock.now()
        if now - self._said < EVERY_SECONDS:
            return False
        self._said = now
        return True


T = TypeVar("T")

_TICK_ROWS = 5000


class ExportReader:
    """Reads exports of one stream.

    Args:
        run: What the streams of a run share.
        stream: Name of the stream.
        properties: JSON Schema by selected property, in the order of the records.
        logger: Where to say what is going on.
        fields: What files may call the properties.
        advice: What to do where a file lacks one, without a full stop.
    """

    def __init__(  # noqa: PLR0913 - the last has its default
        self,
        run: Exporter,
        stream: str,
        properties: Mapping[str, Mapping[str, Any]],
        logger: logging.Logger,
        fields: Mapping[str, EntityField],
        *,
        advice: str = "Run discovery again",
    ) -> None:
        self._run = run
        self._stream = stream
        self._properties = properties
        self._logger = logger
        self._fields = fields
        self._advice = advice

    def records(self, order: ExportTask, job: ExportJob) -> Iterator[dict[str, Any]]:
        """Yield the records of a job.

        Raises:
            RecordCountError: They are not as many as Demandbase says.
            FileSizeError: The files are not as large as Demandbase says.
            StreamError: A file or a cell is not what it should be.
            DemandbaseError: A part cannot be had.
        """
        reader = self._part_reader(job)
        return self._read(order, job, reader, reader.records, lambda _: 1)

    def blocks(self, order: ExportTask, job: ExportJob, output: Output) -> Iterator[Item]:
        """Yield the rows of a job in blocks, and those that need a closer look as records.

        Args:
            order: The order.
            job: Its completed job.
            output: What the rows become.

        Raises:
            StreamError, DemandbaseError: As for ``records``.
        """
        # It needs pyarrow, which only a sync is worth.
        from tap_demandbase.arrow.reader import BlockReader  # noqa: PLC0415

        reader = self._part_reader(job)
        blocks = BlockReader(reader, output)
        return self._read(
            order,
            job,
            reader,
            blocks.items,
            lambda item: 1 if isinstance(item, dict) else item.rows,
        )

    def _part_reader(self, job: ExportJob) -> PartReader:
        return PartReader(
            self._stream, job.id, self._properties, self._logger, self._fields, advice=self._advice
        )

    def _read(
        self,
        order: ExportTask,
        job: ExportJob,
        reader: PartReader,
        items: Callable[[BinaryIO, int], Iterator[T]],
        rows_in: Callable[[T], int],
    ) -> Iterator[T]:
        """Yield what all parts hold, and check that it is all.

        Args:
            order: The order.
            job: Its completed job.
            reader: What counts bytes.
            items: Reads a part.
            rows_in: Returns how many rows of the file an item stands for.
        """
        progress = ReadProgress(self._logger)
        parts = job.file_parts if job.file_parts is not None else 1
        rows = received = 0
        for part in range(1, parts + 1):
            with self._part(job, part, parts, progress) as (file, size):
                received += size
                if part == parts and not is_gzip(file):
                    self._check_size(job, received)
                due = rows
                for item in items(file, part):
                    if rows >= due:
                        self._run.tick(order, job, part, parts)
                        progress.reading(part, parts, rows)
                        due = rows + _TICK_ROWS
                    rows += rows_in(item)
                    yield item
        # Whether the size of packed files is that before or after is documented nowhere.
        self._check_size(job, received, reader.plain_bytes)
        self._check_count(job, rows)
        if reader.nul_bytes:
            self._logger.warning(
                "%d NUL bytes were removed from the export job %s of stream %s",
                reader.nul_bytes,
                job.id,
                self._stream,
            )

    @contextmanager
    def _part(
        self, job: ExportJob, part: int, parts: int, progress: ReadProgress
    ) -> Iterator[tuple[BinaryIO, int]]:
        file, size = self._run.part(
            job, self._stream, part, lambda received: progress.downloading(part, parts, received)
        )
        try:
            self._logger.info("Part %d of %d is here: %d bytes", part, parts, size)
            yield file, size
        finally:
            self._run.part_done(file)

    def _check_size(self, job: ExportJob, *sizes: int) -> None:
        if job.file_size_bytes is not None and job.file_size_bytes not in sizes:
            raise FileSizeError(
                f"Stream {self._stream}: Demandbase says that the files of the export job "
                f"{job.id} have {job.file_size_bytes} bytes, and {sizes[0]} were received. "
                "Run again; if it stays, export anew with job_reuse_hours: 0 and ask Demandbase's "
                "support about the job.",
                stream=self._stream,
                job_id=job.id,
            )

    def _check_count(self, job: ExportJob, rows: int) -> None:
        if job.record_count is not None and job.record_count != rows:
            raise RecordCountError(
                f"Stream {self._stream}: Demandbase counted {job.record_count} records in the "
                f"export job {job.id}, its files hold {rows}. Run again; if it stays, ask "
                "Demandbase's support about the job.",
                stream=self._stream,
                job_id=job.id,
            )


_ID = "id"

_SCHEMA = {_ID: {"type": ["null", "string"]}}


def read_ids(
    run: Exporter, pages: ParentIds, order: ExportTask, job: ExportJob, logger: logging.Logger
) -> tuple[str, ...]:
    """Return the ids that a job holds, each once, in an order that stays.

    Args:
        run: What brings the files.
        pages: Whose ids they are.
        order: The order.
        job: Its completed job.
        logger: Where to say what is going on.

    Raises:
        DemandbaseError: They cannot be had.
    """
    fields = {_ID: EntityField(_ID, "", api_name=pages.field, label=pages.label)}
    reader = ExportReader(run, pages.entity, _SCHEMA, logger, fields)
    found = {str(record[_ID]) for record in reader.records(order, job) if record[_ID] is not None}
    return tuple(sorted(found, key=lambda text: (len(text), text)))


class Exporter:
    """The exports of one run.

    Args:
        tap: Whose settings, port and clock it uses.
    """

    def __init__(self, tap: TapDemandbase) -> None:
        api, config, clock = tap.export_api, tap.config, tap.clock
        watch = JobPoller("export", api, poll_policy(config), clock)
        policy = export_policy(config, tap.retry, api.capabilities)
        self._queue = ExportScheduler(api, watch, policy, clock)
        self.spool = spool(config)
        """Where files lie while they are read or written."""
        downloader = Downloader(api, tap.retry, self.spool.need, clock)
        self._fetcher = PartFetcher(downloader, self.spool.open)
        self._logger = tap.logger
        self._waiting: list[str] = []
        self._done: list[str] = []
        self._ids: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def plan(self, orders: Sequence[tuple[str, Sequence[ExportTask]]], later: int = 0) -> None:
        """Say what will be needed.

        Args:
            orders: The orders of each stream, in the order of the streams.
            later: How many jobs at least will be needed that are not known yet.

        Raises:
            QuotaStopError: The day's calls are not enough for it; nothing has been created.
        """
        for stream, its_orders in orders:
            self._waiting.append(stream)
            self._queue.plan(its_orders)
        if self._waiting:
            self.need(self._waiting[0], later)

    def need(self, stream: str, jobs: int) -> None:
        """Make sure that the day's calls are enough for what is planned and some jobs beside it.

        Args:
            stream: The stream that is in work.
            jobs: How many jobs beside what is planned.

        Raises:
            QuotaStopError: They are not.
        """
        try:
            self._queue.check_budget(jobs)
        except QuotaExceededError as error:
            raise self._stopped(stream, error) from error

    def ids(
        self,
        stream: str,
        pages: ParentIds,
        account_lists: tuple[str, ...],
        taken: DeliveredJob | None,
    ) -> tuple[str, ...]:
        """Return the ids of all records of an entity, from an export of nothing else.

        Args:
            stream: The stream that needs them.
            pages: Whose ids.
            account_lists: Only accounts of these lists.
            taken: The stream's last job that has been delivered; ids from before are too old.

        Raises:
            DemandbaseError: They cannot be had.
        """
        key = (pages.entity, account_lists)
        if key not in self._ids:
            request = ExportRequest(pages.entity, (pages.field,), account_lists=account_lists)
            order = ExportTask(request, taken)
            while key not in self._ids:
                job, _ = self.take(stream, order)
                try:
                    self._ids[key] = read_ids(self, pages, order, job, self._logger)
                except JobGoneError as error:
                    self.replace(order, error)
            self.order_done(order)
        return self._ids[key]

    def take(self, stream: str, order: ExportTask) -> tuple[ExportJob, datetime]:
        """Return the completed job for an order, and when it was created.

        Raises:
            QuotaStopError: The day's quota is used up.
            DemandbaseError: There is no such job.
        """
        try:
            return self._queue.take(order)
        except InvalidRequestError as error:
            request = order.request
            by = f", filtered by {request.date_range.field}" if request.date_range else ""
            raise SelectionError(
                f"{error} Stream {stream} asked for the fields {', '.join(request.fields)}{by}.",
                stream=stream,
            ) from error
        except QuotaExceededError as error:
            raise self._stopped(stream, error) from error

    def _stopped(self, stream: str, error: QuotaExceededError) -> QuotaStopError:
        done = f" ({', '.join(self._done)})" if self._done else ""
        total = len(self._done) + len(self._waiting)
        return QuotaStopError(
            f"{error} {len(self._done)} of {total} streams are done{done}, to do remain "
            f"{', '.join(self._waiting)}. The state holds all that has gone out: the next "
            "run goes on from there. Or let the tap wait: set quota_wait_hours.",
            stream=stream,
        )

    def replace(self, order: ExportTask, error: DemandbaseError) -> None:
        """Let another job take the place of one that is gone, once; else raise the error."""
        self._queue.replace(order, error)

    def order_done(self, order: ExportTask) -> None:
        """Note that an order's records have all gone out."""
        self._queue.done(order)

    def stream_done(self, stream: str) -> None:
        """Note that a stream is done."""
        if stream in self._waiting:
            self._waiting.remove(stream)
        self._done.append(stream)

    def begin(self, order: ExportTask, job: ExportJob) -> None:
        """Let the first part of a job come while the caller does what it needs."""
        if job.file_parts != 0:
            self._fetcher.start(job, order.request.entity, 1, is_alone=True)

    def part(
        self, job: ExportJob, entity: str, part: int, progress: Callable[[int], None]
    ) -> tuple[BinaryIO, int]:
        """Return the file of a part, which the caller gives back, and its size in bytes.

        Raises:
            QuotaStopError: The day's calls are used up.
            DemandbaseError: The part cannot be had.
        """
        try:
            return self._fetcher.take(job, entity, part, progress)
        except QuotaExceededError as error:
            raise self._stopped(entity, error) from error

    def part_done(self, file: BinaryIO) -> None:
        """Let go of the file of a part."""
        self.spool.close(file)

    def tick(self, order: ExportTask, job: ExportJob, part: int, parts: int) -> None:
        """Keep things going while a part is read: the next download, jobs and their states."""
        self._queue.tick()
        if part < parts:
            self._fetcher.start(job, order.request.entity, part + 1)
        elif (following := self._queue.next_ready(order)) is not None:
            next_order, next_job = following
            self._fetcher.start(next_job, next_order.request.entity, 1)

    def close(self) -> None:
        """Cancel jobs that were created and not finished; stop the download."""
        self._fetcher.close()
        self._queue.close()
