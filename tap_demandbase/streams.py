"""Streams whose records come from export jobs: the main path of the tap."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import RemoveRecordTransform
from typing_extensions import override

from demandbase_api.errors import ConfigurationError, JobGoneError, PermissionDeniedError
from demandbase_api.jobs.export_provider import ExportTask
from demandbase_api.jobs.export_reuse import DeliveredJob, DeliveredJobs
from demandbase_api.models import DateRange, ExportRequest
from demandbase_api.process import loading
from demandbase_api.words import counted
from tap_demandbase import bookmark, cast
from tap_demandbase.bookmark import Bookmark
from tap_demandbase.catalog import (
    add_fields,
    current_fields,
    replication_method,
    selected_schemas,
)
from tap_demandbase.config import announced_encoding, column_advice
from tap_demandbase.csv_reader import PartReader
from tap_demandbase.errors import (
    DateRangeError,
    EmptyStreamError,
    FileFormatError,
    RecordCountError,
    SelectionError,
)
from tap_demandbase.exporter import ids_request
from tap_demandbase.fast_sync import FastSyncStream
from tap_demandbase.incremental import (
    WindowedExport,
    check_first_day,
    date_key,
    has_whole_days,
)

if TYPE_CHECKING:
    import logging
    from collections.abc import (
        Callable,
        Collection,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from datetime import datetime
    from typing import BinaryIO

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog, MetadataMapping

    from demandbase_api.models import Entity, ExportJob
    from tap_demandbase.arrow.batch_files import Batch
    from tap_demandbase.arrow.row_block import RowEncoder, Rows
    from tap_demandbase.arrow.values import Column
    from tap_demandbase.config import StreamOptions
    from tap_demandbase.discovery import StreamSpec
    from tap_demandbase.exporter import JobParts
    from tap_demandbase.incremental import FilteredRows
    from tap_demandbase.tap import TapDemandbase
    from tap_demandbase.windows import Window

T = TypeVar("T")

MIN_ROWS_OUTSIDE = 100
"""So many rows outside of the requested days, and none inside, are no accident."""


class BulkStream(FastSyncStream):
    """An entity of the export API: one job for each window.

    Args:
        tap: The tap.
        spec: The stream as discovered.
        saved_fields: Field names of a saved catalog by property, where they differ.
        chosen_method: Replication method that the user has chosen in the catalog, if any.
    """

    TYPE_CONFORMANCE_LEVEL: ClassVar = TypeConformanceLevel.NONE  # type: ignore[misc]
    """Cells are converted when they are read."""

    _tap: TapDemandbase

    def __init__(
        self,
        tap: TapDemandbase,
        spec: StreamSpec,
        saved_fields: Mapping[str, str],
        chosen_method: str | None = None,
    ) -> None:
        super().__init__(tap, schema=spec.schema, name=spec.entity.name)
        self._entity = spec.entity
        self._options = spec.options
        self._is_from_catalog = spec.is_from_catalog
        self._chosen_method = chosen_method
        self._catalog_error: ConfigurationError | None = None
        self._delivered: dict[DeliveredJob, ExportRequest] = {}
        self._is_proven = True
        """Whether each job so far had rows, or its count says that there are none."""
        self.primary_keys = spec.key_properties
        self.replication_key = spec.replication_key
        self.selected_by_default = spec.selected_by_default
        self.fields = current_fields(spec.entity, saved_fields)
        """Field by property."""

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Return the records one by one, for runs that need each of them.

        See ``why_by_record``.
        """
        return self._export(lambda: RECORD_PIPELINE)

    @override
    def get_blocks(self) -> Iterator[Rows]:
        """Return RECORD messages, many at a time."""
        return self._export(self._message_pipeline)

    @override
    def get_batch_files(
        self, batch_config: BatchConfig
    ) -> tuple[BaseBatchFileEncoding, Iterator[Batch]]:
        return announced_encoding(batch_config), self._export(
            partial(self._batch_pipeline, batch_config)
        )

    def _export(self, load_pipeline: Callable[[], Pipeline[T]]) -> Iterator[T]:
        """Yield the output of each window, and advance the bookmark after it.

        Args:
            load_pipeline: Called once, while the first part is downloaded, since pyarrow takes a
                while to load.
        """
        if self.is_removed:
            self.logger.info("Stream %s is removed by stream_maps: nothing is exported", self.name)
            return
        exporter, tasks = self._tap.exporter, self.tasks
        warn_unfiltered(self._entity, self._options, self.logger)
        if not tasks:
            self.logger.warning("Nothing is exported of stream %s: %s", self.name, self.why_empty)
        self._begin_version()
        pipeline = cache(load_pipeline)
        for number, (window, task) in enumerate(tasks, 1):
            if window is not None and len(tasks) > 1:
                self.logger.info(
                    "Window %d of %d: %s to %s",
                    number,
                    len(tasks),
                    window.start or "the oldest",
                    window.end,
                )
            delivered = yield from self._export_window(window, task, pipeline)
            self._delivered[delivered] = task.request
            following = tasks[number][0] if number < len(tasks) else None
            is_valid = self._has_sent or not self._options.fail_on_empty
            if window is not None:
                self.figures.windows += 1
                self._advance_bookmark(window, delivered, is_valid=is_valid)
            exporter.scheduler.forget(task)
            if following is not None and is_valid:
                self._write_state()
        if self._options.fail_on_empty and not self._has_sent:
            self._fail_empty()
        if self._stream_version is not None:
            self._activate_version(self._stream_version)
        exporter.stream_done(self.name)
        if self.windowed is not None:
            self.windowed.warn_without_value(self.name, self.logger)

    @property
    def _has_sent(self) -> bool:
        """Whether a row of this run has been sent: stream maps may leave all of them out."""
        return self.figures.rows > 0

    def _fail_empty(self) -> None:
        """Fail, since no row was sent. The next run exports the stream again, by new jobs.

        Raises:
            EmptyStreamError: Always.
        """
        self._write_delivered(self._delivered)
        for job, request in self._delivered.items():
            self._tap.exporter.journal.give_up(request, job.id)
        self._write_state()
        raise EmptyStreamError(
            f"Stream {self.name}: the run sent no row of it, and the setting fail_on_empty names "
            "it. Check the data in Demandbase and the filters in the settings, or remove the "
            "stream from fail_on_empty.",
            stream=self.name,
        )

    def _begin_version(self) -> None:
        """Give the records a version, if the export is one of all records."""
        if self.config["activate_version"] and not self.is_incremental:
            if self.windowed is not None:
                self.logger.warning(
                    "Stream %s is exported by days: what Demandbase no longer has is not removed",
                    self.name,
                )
            else:
                # In seconds: SQL targets of the SDK have a column of 32 bits.
                self._stream_version = int(self._tap.clock.utc().timestamp())

    def _activate_version(self, version: int) -> None:
        """Let the target remove rows of earlier versions, once all rows have been counted."""
        if not self._delivered or not self._is_proven:
            self.logger.warning(
                "No ACTIVATE_VERSION of stream %s: an export has no rows, and Demandbase does not "
                "say that there are none",
                self.name,
            )
            return
        self._write_activate_version_message(version)

    def _export_window(
        self, window: Window | None, task: ExportTask, load_pipeline: Callable[[], Pipeline[T]]
    ) -> Generator[T, None, DeliveredJob]:
        """Yield the output of one window; return its job."""
        exporter, windowed = self._tap.exporter, self.windowed
        while True:
            job, created_at = self._wait(task)
            parts = exporter.open(self.name, task, job)
            pipeline = load_pipeline()
            count = RowCount(self.name, job)
            try:
                rows = self._read(job, parts, pipeline, count)
                filtered = None
                if windowed is not None and window is not None:
                    filtered = windowed.start(window)
                    rows = pipeline.accept(windowed, rows)
                for item in pipeline.write(rows):
                    sent = sent_rows(item)
                    yield item
                    count.sent += sent
                count.check(self.logger, filtered)
                self._is_proven &= count.read > 0 or job.record_count is not None
            except JobGoneError as error:
                exporter.scheduler.resubmit(task, error)  # raises the second time
            except (FileFormatError, RecordCountError, DateRangeError):
                # The next run must not reuse a job whose files are damaged. A wrong size may be
                # an error of the download, which another download corrects.
                self._write_delivered([*self._delivered, DeliveredJob(job.id, created_at)])
                self._tap.exporter.journal.give_up(task.request, job.id)
                self._write_state()
                raise
            else:
                return DeliveredJob(job.id, created_at)

    def _wait(self, task: ExportTask) -> tuple[ExportJob, datetime]:
        """Wait for an export; return its job and when that was created.

        Raises:
            SelectionError: Demandbase does not export what the catalog describes (any more).
        """
        try:
            return self._tap.exporter.wait(self.name, task)
        except (SelectionError, PermissionDeniedError) as error:
            if not self._is_from_catalog:
                raise
            raise SelectionError(
                f"{error} Stream {self.name} is exported as the catalog describes it: if "
                "Demandbase does not export it or some of its fields (any more), run discovery "
                "again or deselect them.",
                stream=self.name,
            ) from error

    def _read(
        self, job: ExportJob, parts: JobParts, pipeline: Pipeline[T], count: RowCount
    ) -> Iterator[Rows]:
        """Yield all rows of a job, and poll the other jobs meanwhile."""
        properties = self.selected_properties()
        reader = PartReader(
            self.name,
            job.id,
            properties,
            self.logger,
            {name: self.fields[name] for name in properties},
            column_advice(self._entity),
        )
        with closing(iter(parts)) as files:
            for number, file in files:
                for rows in pipeline.read(reader, file, number):
                    if count.read >= parts.next_poll:
                        parts.poll(count.read)
                    count.read += 1 if isinstance(rows, dict) else rows.rows
                    yield rows
        parts.check_complete(count.read, reader)

    def _message_pipeline(self) -> Pipeline[Rows]:
        with loading("tap_demandbase.arrow.reader"):
            from tap_demandbase.arrow.json_lines import record_messages  # noqa: PLC0415

            encoder = record_messages(self.name, self._columns_sent(), self.version)
            return self._block_pipeline(encoder, iter)

    def _batch_pipeline(self, batch_config: BatchConfig) -> Pipeline[Batch]:
        with loading("tap_demandbase.arrow.reader"):
            from tap_demandbase.arrow.batch_files import (  # noqa: PLC0415
                BatchFiles,
                file_format,
            )

            encoder = file_format(batch_config, self._columns_sent())
            name = f"{self.tap_name}--{self.name}"
            files = BatchFiles(name, batch_config, encoder, self._tap.exporter.spool)
            return self._block_pipeline(encoder, files.write)

    def _block_pipeline(
        self, encoder: RowEncoder, write: Callable[[Iterator[Rows]], Iterator[T]]
    ) -> Pipeline[T]:
        from tap_demandbase.arrow import row_filter  # noqa: PLC0415
        from tap_demandbase.arrow.reader import BlockReader, use_lean_pool  # noqa: PLC0415

        use_lean_pool()
        columns = _columns(self.selected_properties())
        reader = BlockReader(columns, encoder, keeps_source=self.windowed is not None)
        return Pipeline(reader.read, partial(row_filter.accepted_rows, columns=columns), write)

    def _columns_sent(self) -> list[Column]:
        """Return the columns that are sent; one that only the bookmark needs is not."""
        properties = self.selected_properties()
        return _columns({name: properties[name] for name in properties if self._is_sent(name)})

    @cached_property
    def tasks(self) -> tuple[tuple[Window | None, ExportTask], ...]:
        """The windows of this run and their exports; without a window, one export of all.

        Raises:
            SelectionError: The catalog selects fields that cannot be exported.
            ConfigurationError: The settings do not describe an export.
            StateError: The state cannot be read.
        """
        windows = (None,) if self.windowed is None else self.windowed.windows
        return tuple((window, self._task(window)) for window in windows)

    @property
    def planned_tasks(self) -> list[ExportTask]:
        """Tasks that are known before anything is exported."""
        return [task for _, task in self.tasks]

    def _task(self, window: Window | None, ids: Sequence[str] = ()) -> ExportTask:
        fields = [self.fields[name].job_name for name in self.selected_properties()]
        key = self.fields[self.windowed.key].job_name if self.windowed else ""
        dates = date_range(window, self._options, key)
        request = export_request(self._entity, self._options, fields, dates, ids)
        return ExportTask(request, self.last_delivered)

    @cached_property
    def windowed(self) -> WindowedExport | None:
        """The date windows of this run; ``None`` if nothing bounds it.

        Raises:
            ConfigurationError: The replication key is no date field, or the first day is missing.
            StateError: The state cannot be read.
        """
        entity, options = self._entity, self._options
        key = date_key(entity, options, self.replication_key, is_incremental=self.is_incremental)
        if key is None:
            return None
        whole_days = has_whole_days(self.name, key, self.schema["properties"])
        mark = self._bookmark(key) if self.is_incremental else Bookmark()
        check_first_day(entity, mark, options)
        today = self._tap.clock.utc().date()
        options = options.at_most_days(entity.max_days)
        return WindowedExport(key, mark, options, today, whole_days=whole_days)

    @property
    def is_incremental(self) -> bool:
        """Whether the run starts at the bookmark and advances it."""
        return self.replication_method == "INCREMENTAL"

    @property
    def is_removed(self) -> bool:
        """Whether stream maps remove all records."""
        return all(isinstance(each, RemoveRecordTransform) for each in self.stream_maps)

    @property
    def is_list(self) -> bool:
        """Whether the records are the members of lists."""
        return self._entity.is_list

    @property
    def why_empty(self) -> str:
        """Why the run has no tasks."""
        return "its bookmark or start_date is after end_date or today"

    @property
    def last_delivered(self) -> DeliveredJobs | None:
        """The jobs that the last completed run delivered."""
        return self._bookmark(self.replication_key).delivered

    def _bookmark(self, replication_key: str | None) -> Bookmark:
        return bookmark.read(self.get_context_state(None), replication_key, self.name)

    def _advance_bookmark(self, window: Window, delivered: DeliveredJob, *, is_valid: bool) -> None:
        if self.windowed is not None and self.is_incremental:
            mark = self.windowed.advance(window, delivered.created_at)
            if is_valid:
                bookmark.write(self.get_context_state(None), self.windowed.key, mark)

    @override
    def plan(self) -> None:
        if self._catalog_error is not None:
            raise self._catalog_error
        if not self.is_removed:
            self._tap.exporter.plan(self.name, self.planned_tasks)

    @override
    def give_up(self) -> None:
        tasks = [task for _, task in self.__dict__.get("tasks", ())]
        self._tap.exporter.give_up(self.name, tasks)

    @override
    def complete_run(self) -> None:
        """Record the delivered jobs in the state, once the whole run has completed.

        An interrupted run is different: the next run reuses the jobs of all its streams.
        """
        if self._delivered:
            self._write_delivered(self._delivered)

    @override
    def clear_journal(self) -> None:
        self._tap.exporter.journal.deliver(self._delivered.values())

    def _write_delivered(self, jobs: Collection[DeliveredJob]) -> None:
        max_age = timedelta(hours=self.config["job_reuse_hours"])
        bookmark.write_delivered(self.get_context_state(None), DeliveredJobs.of(jobs, max_age))

    def _write_state(self) -> None:
        # Stream._write_state_message() writes nothing if no record was sent since the last state.
        self._tap.state_writer.write_state(self.tap_state)

    def selected_properties(self) -> dict[str, dict[str, Any]]:
        """Return the JSON Schema of each property to export, in the schema's order.

        Raises:
            SelectionError: Nothing is selected, or a property that is no field (any more), or the
                catalog lacks a date that is needed.
        """
        keys = {self.replication_key}
        if self._entity.max_days is not None and self.windowed is not None:
            keys.add(self.windowed.key)
        properties = self.effective_schema.get("properties", {})
        if missing := keys - properties.keys() - {None}:
            raise SelectionError(
                f"Stream {self.name}: the catalog lacks the field {missing.pop()}, whose dates "
                "bound its exports. Run discovery again.",
                stream=self.name,
            )
        return selected_schemas(
            self.name,
            properties,
            known=self.schema["properties"],
            is_exported=lambda name: name in keys or self._is_sent(name),
        )

    def _is_sent(self, name: str) -> bool:
        is_sent: bool = self.mask["properties", name]
        return is_sent

    @override
    def why_by_record(self, context: Context | None) -> str | None:
        key = None if self.windowed is None else self.windowed.key
        if key is not None:
            to_value = cast.caster(self.selected_properties()[key])
            if to_value not in {cast.to_date, cast.to_date_time}:
                return "the replication key is no date in the catalog"
        if not any(self._is_sent(name) for name in self.selected_properties()):
            return "no field is sent"
        return super().why_by_record(context)

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        """Apply a catalog.

        A replication key makes the stream incremental even if the catalog entry's replication
        method differs: that may have been discovered before the key was set. A method in the
        metadata is the user's, and counts.
        """
        super().apply_catalog(catalog)
        self.replication_key = self._options.replication_key or self.replication_key
        try:
            method = replication_method(self.name, self._chosen_method, self.replication_key)
        except ConfigurationError as error:
            self._catalog_error = error  # of this stream only, and only if it is selected
            return
        if method is None:
            return
        if method == "INCREMENTAL" and self.forced_replication_method == "FULL_TABLE":
            self.logger.info(
                "Stream %s is incremental by %s, though its catalog entry says FULL_TABLE; "
                "to export all of it, remove the key or set replication-method in the metadata",
                self.name,
                self.replication_key,
            )
        self.forced_replication_method = method

    @property
    @override
    def metadata(self) -> MetadataMapping:
        found = super().metadata
        add_fields(found, self.fields)
        return found

    @override
    def get_replication_key_signpost(self, context: Context | None) -> None:  # type: ignore[override]
        """Return ``None``: the window's job bounds the bookmark."""

    @override
    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        # The SDK compares texts, and moves the bookmark before the rows of the job have been
        # counted. Here it advances after a window.
        pass


class IdBatchStream(BulkStream):
    """An entity whose jobs name ids of another entity, some thousands each."""

    @cached_property
    @override
    def tasks(self) -> tuple[tuple[Window | None, ExportTask], ...]:
        self._check_replication()
        parents = self._entity.parent_ids
        assert parents is not None  # noqa: S101 - else the stream would be a BulkStream
        exporter = self._tap.exporter
        account_lists = account_list_filter(self._entity, self._options)
        ids = exporter.parent_ids(self.name, parents, account_lists, self.last_delivered)
        starts = range(0, len(ids), parents.size)
        exporter.check_budget(self.name, len(starts))
        return tuple(
            (None, self._task(None, ids[start : start + parents.size])) for start in starts
        )

    @override
    def clear_journal(self) -> None:
        super().clear_journal()
        parents = self._entity.parent_ids
        if self._delivered and parents is not None:
            lists = account_list_filter(self._entity, self._options)
            self._tap.exporter.journal.deliver([ids_request(parents, lists)])

    def _check_replication(self) -> None:
        if self.is_incremental:
            raise ConfigurationError(
                f"Stream {self.name} cannot be incremental on this API: remove its replication key."
            )

    @property
    @override
    def planned_tasks(self) -> list[ExportTask]:
        _ = self.last_delivered  # an unreadable state is reported before anything is exported
        self._check_replication()
        return []

    @property
    def ids_task(self) -> ExportTask:
        """The export of the ids, which the number of jobs depends on."""
        parents = self._entity.parent_ids
        assert parents is not None  # noqa: S101 - else the stream would be a BulkStream
        account_lists = account_list_filter(self._entity, self._options)
        return ExportTask(ids_request(parents, account_lists), self.last_delivered)

    @property
    def ids_export(self) -> object:
        """Identifies the export of the ids: streams with an equal value share it."""
        return self._entity.parent_ids, account_list_filter(self._entity, self._options)

    @property
    @override
    def why_empty(self) -> str:
        parents = self._entity.parent_ids
        return f"there are no {parents.entity if parents else 'records'} whose ids it needs"


@dataclass(frozen=True, slots=True)
class Pipeline(Generic[T]):
    """Steps of the rows of a window.

    Args:
        read: Reads a part: the job's reader, the file and the part's number.
        accept: Filters the rows of a window.
        write: Returns the output for the rows.
    """

    read: Callable[[PartReader, BinaryIO, int], Iterator[Rows]]
    accept: Callable[[WindowedExport, Iterator[Rows]], Iterator[Rows]]
    write: Callable[[Iterator[Rows]], Iterator[T]]


def _accepted_records(export: WindowedExport, records: Iterator[Any]) -> Iterator[Any]:
    return filter(export.accepts, records)


RECORD_PIPELINE: Pipeline[Any] = Pipeline(PartReader.records, _accepted_records, iter)
"""Reads each record by itself."""


class RowCount:
    """Numbers of rows of one job.

    Args:
        stream: Name of the stream, for messages.
        job: The job.
    """

    def __init__(self, stream: str, job: ExportJob) -> None:
        self._stream = stream
        self._job = job
        self.read = 0
        self.sent = 0

    def check(self, logger: logging.Logger, filtered: FilteredRows | None) -> None:
        """Log the numbers and check that no row was lost, and that the dates were requested.

        Args:
            logger: Receives the numbers.
            filtered: The rows that are left out by their date; ``None`` if none may be.

        Raises:
            RecordCountError: Rows were lost.
            DateRangeError: The server did not filter by the requested dates.
        """
        before, repeated = (filtered.before, filtered.repeated) if filtered else (0, 0)
        reasons = {"before the first day": before, "sent before": repeated}
        left_out = [f"{count:,} {reason}" for reason, count in reasons.items() if count]
        logger.info(
            "Export job %s of stream %s: %s sent%s",
            self._job.id,
            self._stream,
            counted(self.sent, "row"),
            f" of {self.read:,}, the others left out ({', '.join(left_out)})" if left_out else "",
        )
        if self.read - self.sent != before + repeated:
            raise RecordCountError(
                f"Stream {self._stream}: {self.read} rows of the export job {self._job.id} were "
                f"read, and {self.sent} were sent. Report this as a bug of the tap.",
                stream=self._stream,
                job_id=self._job.id,
            )
        if filtered is not None and filtered.far:
            self._check_range(logger, filtered)

    def _check_range(self, logger: logging.Logger, filtered: FilteredRows) -> None:
        window = filtered.window
        days = f"{window.start or 'the oldest'} to {window.end}"
        if filtered.far == self.read >= MIN_ROWS_OUTSIDE:
            raise DateRangeError(
                f"Stream {self._stream}: all {self.read} rows of the export job {self._job.id} "
                f"have a {filtered.key} that is more than a day outside of the requested days, "
                f"{days}, so Demandbase filters by something else. Choose another "
                f"stream_options.{self._stream}.replication_key, or export the stream as a full "
                "table.",
                stream=self._stream,
                job_id=self._job.id,
            )
        logger.warning(
            "Export job %s of stream %s: %d of %d rows have a %s that is more than a day outside "
            "of the requested days, %s; %d rows are not sent because they are before the first "
            "day, and %d because they were sent before. Demandbase may filter by something else",
            self._job.id,
            self._stream,
            filtered.far,
            self.read,
            filtered.key,
            days,
            filtered.before,
            filtered.repeated,
        )


def sent_rows(item: Any) -> int:  # noqa: ANN401 - of any pipeline's output
    """Return the number of rows in a record, a block of rows or a batch file."""
    if isinstance(item, dict):
        return 1
    if isinstance(item, tuple):
        rows: int = item[0]
        return rows
    return len(item)


def _columns(properties: Mapping[str, Mapping[str, Any]]) -> list[Column]:
    from tap_demandbase.arrow.values import Column  # noqa: PLC0415

    return [Column.from_schema(name, schema) for name, schema in properties.items()]


def export_request(
    entity: Entity,
    options: StreamOptions,
    fields: Sequence[str],
    dates: DateRange | None,
    ids: Sequence[str],
) -> ExportRequest:
    """Return the request for one job.

    Args:
        entity: The entity.
        options: The stream's settings.
        fields: Field names in jobs.
        dates: Only records of these dates.
        ids: Only records that belong to these ids.
    """
    return ExportRequest(
        entity.name,
        tuple(fields),
        dates,
        # Ids have been filtered by account lists when they were exported.
        account_list_filter(entity, options) if entity.parent_ids is None else (),
        options.person_list_ids,
        tuple(ids),
        options.ad_report_type,
        options.sources,
    )


def account_list_filter(entity: Entity, options: StreamOptions) -> tuple[str, ...]:
    """Return the account lists to filter by: the stream's own, or the tap's if it can be used."""
    can_filter = entity.takes_account_lists or entity.parent_ids is not None
    return options.account_lists if can_filter else options.account_list_ids


def warn_unfiltered(entity: Entity, options: StreamOptions, logger: logging.Logger) -> None:
    """Warn about a stream that the tap's account list cannot filter."""
    if options.account_lists and not account_list_filter(entity, options):
        logger.warning(
            "The setting account_list_id does not filter stream %s: this API exports all of it",
            entity.name,
        )


def date_range(window: Window | None, options: StreamOptions, field: str) -> DateRange | None:
    """Return the dates that bound a job; ``None`` for no bounds.

    The very first export has no bounds, so that it includes records without a date.

    Args:
        window: The window, if any.
        options: The stream's settings.
        field: The date field's name in jobs.
    """
    if window is None or (window.start is None and options.end_date is None):
        return None
    return DateRange(field, window.start, window.end)
