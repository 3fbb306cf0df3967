"""A stream whose records come from export jobs."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import RemoveRecordTransform
from typing_extensions import override

from demandbase_api.errors import ConfigurationError, JobGoneError
from demandbase_api.jobs.export_reuse import DeliveredJob
from demandbase_api.jobs.export_scheduler import ExportTask
from demandbase_api.models import DateRange, ExportRequest
from demandbase_api.process import loading
from tap_demandbase import bookmark, cast
from tap_demandbase.arrow.row_block import RowBlock
from tap_demandbase.catalog import add_fields, current_fields, selected
from tap_demandbase.config import announced, column_advice
from tap_demandbase.errors import FileFormatError, RecordCountError
from tap_demandbase.exporter import ExportReader
from tap_demandbase.fast_sync import FastSyncStream
from tap_demandbase.incremental import replication_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog, MetadataMapping

    from demandbase_api.models import Entity, ExportJob
    from tap_demandbase.arrow.batch_files import Batch
    from tap_demandbase.arrow.encoders import WayOut
    from tap_demandbase.arrow.reader import Item
    from tap_demandbase.config import StreamOptions
    from tap_demandbase.incremental import Replication
    from tap_demandbase.spool import Spool
    from tap_demandbase.tap import TapDemandbase
    from tap_demandbase.windows import Window

    Read = Callable[[ExportTask, ExportJob], "Iterator[T]"]
    Narrow = Callable[["Iterator[T]"], "Iterator[U]"]

T = TypeVar("T")


def messages(stream: BulkStream) -> Iterator[Item]:
    """Yield a stream's rows, encoded as RECORD messages."""

    def way_out() -> WayOut[Item]:
        from tap_demandbase.arrow.encoders import as_messages  # noqa: PLC0415

        return as_messages(stream)

    return _deliver(stream, way_out)


def files(stream: BulkStream, config: BatchConfig) -> Iterator[Batch]:
    """Yield a stream's batch files; see ``FastSyncStream``."""

    def way_out() -> WayOut[Batch]:
        from tap_demandbase.arrow.encoders import as_files  # noqa: PLC0415

        return as_files(stream, config)

    return _deliver(stream, way_out)


def _deliver(stream: BulkStream, find: Callable[[], WayOut[T]]) -> Iterator[T]:
    reader = stream.reader()

    @cache
    def way_out() -> WayOut[T]:
        # It needs an engine that takes its time to load.
        with loading("tap_demandbase.arrow.encoders"):
            return find()

    def read(order: ExportTask, job: ExportJob) -> Iterator[Item]:
        return reader.blocks(order, job, way_out().output)

    def narrow(items: Iterator[Item]) -> Iterator[T]:
        return way_out().narrow(items)

    return stream.deliver(read, narrow)


def request_for(
    entity: Entity,
    options: StreamOptions,
    fields: Sequence[str],
    days: DateRange | None,
    ids: Sequence[str],
) -> ExportRequest:
    """Return the request for one job.

    Args:
        entity: What to export.
        options: The stream's settings.
        fields: Which fields, as jobs call them.
        days: Only records of these days.
        ids: Only what belongs to these records of another entity.
    """
    return ExportRequest(
        entity.name,
        tuple(fields),
        days,
        # Where ids are named, they have been narrowed already.
        account_lists_of(entity, options) if entity.id_pages is None else (),
        options.person_list_ids,
        tuple(ids),
        options.ad_report_type,
        options.sources,
    )


def account_lists_of(entity: Entity, options: StreamOptions) -> tuple[str, ...]:
    """Return the account lists that narrow a stream; that of all streams only where it can be."""
    can_be = entity.takes_account_lists or entity.id_pages is not None
    return options.account_lists if can_be else options.account_list_ids


def warn_unfiltered(entity: Entity, options: StreamOptions, logger: logging.Logger) -> None:
    """Tell of a stream that the account list of all streams cannot narrow."""
    if options.account_lists and not account_lists_of(entity, options):
        logger.warning(
            "The setting account_list_id does not narrow stream %s: on this API all of it is "
            "exported",
            entity.name,
        )


def days_of(window: Window | None, options: StreamOptions, field: str) -> DateRange | None:
    """Return the days that a job is bound to; ``None`` for all.

    The first export of all has no bounds: records without a date come with it.

    Args:
        window: The days that are wanted.
        options: The stream's settings.
        field: The date field, as jobs call it.
    """
    if window is None or (window.start is None and options.end_date is None):
        return None
    return DateRange(field, window.start, window.end)


class RowCount:
    """The rows of one job.

    Args:
        stream: Name of the stream, for messages.
        job: The job.
    """

    def __init__(self, stream: str, job: ExportJob) -> None:
        self._stream = stream
        self._job = job
        self._read = 0
        self._sent = 0

    def read(self, items: Iterator[T]) -> Iterator[T]:
        """Yield records or blocks of them, and count their rows as read."""
        for item in items:
            self._read += _rows(item)
            yield item

    def sent(self, items: Iterator[T]) -> Iterator[T]:
        """Yield records or blocks of them, and count their rows as sent."""
        for item in items:
            rows = _rows(item)
            yield item
            self._sent += rows

    def check(self, logger: logging.Logger, *, may_leave_out: bool) -> None:
        """Tell the figures.

        Args:
            logger: Where.
            may_leave_out: Whether rows outside of the days that are wanted, and rows that went
                out before, stay behind.

        Raises:
            RecordCountError: Rows were lost.
        """
        left = self._read - self._sent
        logger.info(
            "Export job %s of stream %s: %d rows read, %d sent, %d outside of what was wanted or "
            "sent before",
            self._job.id,
            self._stream,
            self._read,
            self._sent,
            left,
        )
        if left < 0 or (left and not may_leave_out):
            raise RecordCountError(
                f"Stream {self._stream}: {self._read} rows of the export job {self._job.id} were "
                f"read, and {self._sent} went out. Report this as a bug of the tap.",
                stream=self._stream,
                job_id=self._job.id,
            )


def _rows(item: object) -> int:
    """Return how many rows go out with an item: a record, a block of them, or a batch file."""
    match item:
        case RowBlock():
            return len(item)
        case (int() as rows, _):
            return rows
        case _:
            return 1


U = TypeVar("U")


class BulkStream(FastSyncStream):
    """An entity of the export API: one job a window, every part of it, row by row."""

    TYPE_CONFORMANCE_LEVEL: ClassVar = TypeConformanceLevel.NONE  # type: ignore[misc]
    """Cells are cast when they are read."""

    def __init__(
        self, tap: TapDemandbase, entity: Entity, schema: dict[str, Any], options: StreamOptions
    ) -> None:
        super().__init__(tap, schema=schema, name=entity.name)
        self._tap_demandbase = tap
        self._entity = entity
        self._options = options
        self._taken: DeliveredJob | None = None
        self.fields = current_fields(entity, tap.saved_fields.get(entity.name) or {})
        """The field of each property."""

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        """Take over a catalog.

        A replication key makes the stream incremental wherever it is named: the catalog's own
        replication method may be what discovery wrote before the key was chosen.
        """
        super().apply_catalog(catalog)
        entry = catalog.get_stream(self.name)
        root = None if entry is None else entry.metadata.get(())
        forced = getattr(root, "forced_replication_method", None)
        self.replication_key = self._options.replication_key or self.replication_key
        if self.replication_key and forced != "FULL_TABLE":
            if self.forced_replication_method == "FULL_TABLE":
                self.logger.info(
                    "Stream %s is incremental by %s, though its catalog entry says FULL_TABLE; "
                    "to export all of it, take the key away or set forced-replication-method",
                    self.name,
                    self.replication_key,
                )
            self.forced_replication_method = "INCREMENTAL"
        elif forced == "FULL_TABLE":
            self.forced_replication_method = forced

    @property
    @override
    def metadata(self) -> MetadataMapping:
        found = super().metadata
        add_fields(found, self.fields)
        return found

    @property
    def is_removed(self) -> bool:
        """Whether stream maps let nothing of the stream out."""
        return all(isinstance(each, RemoveRecordTransform) for each in self.stream_maps)

    @cached_property
    def replication(self) -> Replication | None:
        """The incremental run, or the days that a full one is cut into; ``None`` for neither.

        Raises:
            ConfigurationError: The replication key is no date field, or days are needed and none
                is given.
            StateError: The state cannot be read.
        """
        return replication_of(
            self._entity,
            self._options,
            self.schema["properties"],
            key=self.replication_key,
            is_incremental=self.is_incremental,
            bookmark=self._bookmark,
            today=self._tap_demandbase.clock.utc().date(),
        )

    @property
    def is_incremental(self) -> bool:
        """Whether the run goes on where the last one ended."""
        return self.replication_method == "INCREMENTAL"

    is_planned = True
    """Whether the orders are known before anything is exported."""

    @cached_property
    def orders(self) -> tuple[tuple[Window | None, ExportTask], ...]:
        """The exports that this run of the stream needs, and their windows.

        Raises:
            SelectionError: The selection makes no export.
            ConfigurationError: The settings make none.
        """
        replication = self.replication
        windows = (None,) if replication is None else replication.windows
        return tuple((window, self._order(window)) for window in windows)

    def _order(self, window: Window | None, ids: Sequence[str] = ()) -> ExportTask:
        fields = [self.fields[name].job_name for name in self.selected_properties()]
        key = self.fields[self.replication.key].job_name if self.replication else ""
        days = days_of(window, self._options, key)
        request = request_for(self._entity, self._options, fields, days, ids)
        return ExportTask(request, self.last_delivered)

    @property
    def last_delivered(self) -> DeliveredJob | None:
        """The last job that a run delivered which came to its end."""
        return self._bookmark(self.replication_key).taken

    def _bookmark(self, replication_key: str | None) -> bookmark.Bookmark:
        return bookmark.read(self.get_context_state(None), replication_key, self.name)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        replication = self.replication
        wants = (lambda _: True) if replication is None else replication.wants
        return self.deliver(self.reader().records, lambda records: filter(wants, records))

    @override
    def get_blocks(self) -> Iterator[Item]:
        return messages(self)

    @override
    def get_batch_files(
        self, batch_config: BatchConfig
    ) -> tuple[BaseBatchFileEncoding, Iterator[Batch]]:
        return announced(batch_config), files(self, batch_config)

    @override
    def why_by_record(self, context: Context | None) -> str | None:
        key = None if self.replication is None else self.replication.key
        if key is not None:
            to_value = cast.caster(self.selected_properties()[key])
            if to_value not in {cast.to_date, cast.to_date_time}:
                return "the catalog makes the replication key no date"
        if not any(self.mask["properties", name] for name in self.selected_properties()):
            return "no field goes out"
        return super().why_by_record(context)

    @property
    def spool(self) -> Spool:
        """Where files lie while they are read or written."""
        return self._tap_demandbase.exports.spool

    def reader(self) -> ExportReader:
        """Return what reads the files of a job."""
        run = self._tap_demandbase.exports
        properties = self.selected_properties()
        fields = {name: self.fields[name] for name in properties}
        advice = column_advice(self._entity)
        return ExportReader(run, self.name, properties, self.logger, fields, advice=advice)

    def deliver(self, read: Read[T], narrow: Narrow[T, U]) -> Iterator[U]:
        """Yield the rows of all windows, and keep the state as they go out.

        Args:
            read: Returns the rows of a job.
            narrow: Returns what goes out of a window's rows.
        """
        if self.is_removed:
            self.logger.info("Stream %s is removed by stream_maps: nothing is exported", self.name)
            return
        run, replication = self._tap_demandbase.exports, self.replication
        orders = self.orders
        warn_unfiltered(self._entity, self._options, self.logger)
        if not orders:
            self.logger.warning("Nothing is exported of stream %s: %s", self.name, self.why_empty)
        for number, (window, order) in enumerate(orders, 1):
            if window is not None and len(orders) > 1:
                self.logger.info("Window %d of %d: %s to %s", number, len(orders), window.start,
                                 window.end)  # fmt: skip
            taken = yield from self._window(window, order, read, narrow)
            self._taken = taken
            following = orders[number][0] if number < len(orders) else None
            if replication is not None and window is not None and self.is_incremental:
                bookmark.write(
                    self.get_context_state(None),
                    replication.key,
                    replication.finish(window, taken.created_at),
                    None if following is None else following.start,
                )
            run.order_done(order)
            if following is not None:
                # The stream's own method writes nothing where no record went out since.
                self._tap_demandbase.state_writer.write_state(self.tap_state)
        run.stream_done(self.name)
        if replication is not None:
            replication.tell_missing(self.name, self.logger)

    @property
    def why_empty(self) -> str:
        """Why there are no orders, where there are none."""
        return "its bookmark or start_date lies after end_date or today"

    def run_done(self) -> None:
        """Note in the state that the whole run has come to its end."""
        if self._taken is not None:
            bookmark.write_delivered(self.get_context_state(None), self._taken)

    def _window(
        self, window: Window | None, order: ExportTask, read: Read[T], narrow: Narrow[T, U]
    ) -> Generator[U, None, DeliveredJob]:
        """Yield the rows of one order; return the job that they came from."""
        run = self._tap_demandbase.exports
        replication = self.replication
        while True:
            job, created_at = run.take(self.name, order)
            run.begin(order, job)
            try:
                if replication is not None and window is not None:
                    replication.begin(window)
                tally = RowCount(self.name, job)
                yield from tally.sent(narrow(tally.read(read(order, job))))
                tally.check(self.logger, may_leave_out=replication is not None)
            except JobGoneError as error:
                run.replace(order, error)
            except (FileFormatError, RecordCountError):
                # The next run must not adopt a job whose files are damaged. A wrong size is
                # rather the transfer's fault, which another download may mend.
                bookmark.write_delivered(
                    self.get_context_state(None), DeliveredJob(job.id, created_at)
                )
                self._tap_demandbase.state_writer.write_state(self.tap_state)
                raise
            else:
                return DeliveredJob(job.id, created_at)

    @property
    def _keys_needed(self) -> set[str | None]:
        by_days = self._entity.max_days is not None
        return {self.replication_key, self.replication.key if by_days and self.replication else ""}

    def selected_properties(self) -> dict[str, dict[str, Any]]:
        """Return the JSON Schema of each property to export, in the schema's order.

        Raises:
            SelectionError: Nothing is selected, or something that is no field (any more).
        """
        return selected(
            self.name,
            self.effective_schema["properties"],
            known=self.schema["properties"],
            wants=lambda name: self.mask["properties", name] or name in self._keys_needed,
        )

    @override
    def get_replication_key_signpost(self, context: Context | None) -> None:  # type: ignore[override]
        """Return nothing: a window's job bounds the bookmark."""

    @override
    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        # The SDK compares texts and moves the bookmark before a job's count is checked; here
        # it moves when a window is done.
        pass


class IdBatchStream(BulkStream):
    """One job for some thousands of ids, which an export of the other entity tells."""

    is_planned = False

    @property
    def source_of_ids(self) -> object:
        """What tells streams apart whose ids are not of the same export."""
        return self._entity.id_pages, account_lists_of(self._entity, self._options)

    @cached_property
    @override
    def orders(self) -> tuple[tuple[Window | None, ExportTask], ...]:
        if self.is_incremental:
            raise ConfigurationError(
                f"Stream {self.name} cannot be incremental on this API: take its replication key "
                "away."
            )
        pages = self._entity.id_pages
        assert pages is not None  # noqa: S101 - else it would be another kind of stream
        run = self._tap_demandbase.exports
        ids = run.ids(
            self.name, pages, account_lists_of(self._entity, self._options), self.last_delivered
        )
        starts = range(0, len(ids), pages.size)
        run.need(self.name, len(starts))
        return tuple((None, self._order(None, ids[start : start + pages.size])) for start in starts)

    @property
    @override
    def why_empty(self) -> str:
        pages = self._entity.id_pages
        return f"there are no {pages.entity if pages else 'records'} that it could be about"
