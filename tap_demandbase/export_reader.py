"""Turns the parts of a completed export job into records, and checks that all of it is there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tap_demandbase.csv_part import PartReader
from tap_demandbase.errors import FileSizeError, RecordCountError
from tap_demandbase.plain_file import is_gzip
from tap_demandbase.progress import ReadProgress

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from demandbase_api.jobs.export_scheduler import ExportOrder
    from demandbase_api.models import EntityField, ExportJob
    from tap_demandbase.blocks.output import Output
    from tap_demandbase.blocks.part_blocks import Item
    from tap_demandbase.export_run import ExportRun

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
        run: ExportRun,
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

    def records(self, order: ExportOrder, job: ExportJob) -> Iterator[dict[str, Any]]:
        """Yield the records of a job.

        Raises:
            RecordCountError: They are not as many as Demandbase says.
            FileSizeError: The files are not as large as Demandbase says.
            StreamError: A file or a cell is not what it should be.
            DemandbaseError: A part cannot be had.
        """
        reader = self._part_reader(job)
        return self._read(order, job, reader, reader.records, lambda _: 1)

    def blocks(self, order: ExportOrder, job: ExportJob, output: Output) -> Iterator[Item]:
        """Yield the rows of a job in blocks, and those that need a closer look as records.

        Args:
            order: The order.
            job: Its completed job.
            output: What the rows become.

        Raises:
            StreamError, DemandbaseError: As for ``records``.
        """
        # It needs pyarrow, which only a sync is worth.
        from tap_demandbase.blocks.part_blocks import BlockReader  # noqa: PLC0415

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
        order: ExportOrder,
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
