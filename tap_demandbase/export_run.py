"""What the streams of one run share: the jobs ahead of them and the next part's download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.config import poll_policy
from demandbase_api.downloads import Downloader, PartFetcher
from demandbase_api.errors import InvalidRequestError, JobGoneError, QuotaExceededError
from demandbase_api.jobs.export_scheduler import ExportOrder, ExportQueue
from demandbase_api.jobs.poller import JobWatch
from demandbase_api.models import ExportRequest
from tap_demandbase import settings
from tap_demandbase.errors import QuotaStopError, SelectionError
from tap_demandbase.id_export import read_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import BinaryIO

    from demandbase_api.errors import DemandbaseError
    from demandbase_api.jobs.export_reuse import TakenJob
    from demandbase_api.models import ExportJob, IdPages
    from tap_demandbase.tap import TapDemandbase


class ExportRun:
    """The exports of one run.

    Args:
        tap: Whose settings, port and clock it uses.
    """

    def __init__(self, tap: TapDemandbase) -> None:
        api, config, clock = tap.export_api, tap.config, tap.clock
        watch = JobWatch("export", api, poll_policy(config), clock)
        policy = settings.export_policy(config, tap.retry, api.capabilities)
        self._queue = ExportQueue(api, watch, policy, clock)
        self.spool = settings.spool(config)
        """Where files lie while they are read or written."""
        downloader = Downloader(api, tap.retry, self.spool.need, clock)
        self._fetcher = PartFetcher(downloader, self.spool.open)
        self._logger = tap.logger
        self._waiting: list[str] = []
        self._done: list[str] = []
        self._ids: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def plan(self, orders: Sequence[tuple[str, Sequence[ExportOrder]]], later: int = 0) -> None:
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
        self, stream: str, pages: IdPages, account_lists: tuple[str, ...], taken: TakenJob | None
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
            order = ExportOrder(request, taken)
            while key not in self._ids:
                job, _ = self.take(stream, order)
                try:
                    self._ids[key] = read_ids(self, pages, order, job, self._logger)
                except JobGoneError as error:
                    self.replace(order, error)
            self.order_done(order)
        return self._ids[key]

    def take(self, stream: str, order: ExportOrder) -> tuple[ExportJob, datetime]:
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

    def replace(self, order: ExportOrder, error: DemandbaseError) -> None:
        """Let another job take the place of one that is gone, once; else raise the error."""
        self._queue.replace(order, error)

    def order_done(self, order: ExportOrder) -> None:
        """Note that an order's records have all gone out."""
        self._queue.done(order)

    def stream_done(self, stream: str) -> None:
        """Note that a stream is done."""
        if stream in self._waiting:
            self._waiting.remove(stream)
        self._done.append(stream)

    def begin(self, order: ExportOrder, job: ExportJob) -> None:
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

    def tick(self, order: ExportOrder, job: ExportJob, part: int, parts: int) -> None:
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
