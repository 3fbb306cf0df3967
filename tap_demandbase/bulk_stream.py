"""A stream whose records come from an export job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from typing_extensions import override

from demandbase_api.download import download_part
from demandbase_api.job_life import JobLife
from demandbase_api.models import ExportRequest
from tap_demandbase import settings
from tap_demandbase.csv_part import PartReader
from tap_demandbase.errors import RecordCountError, SelectionError
from tap_demandbase.export_task import ExportTask
from tap_demandbase.progress import ReadProgress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record

    from demandbase_api.models import ExportJob
    from tap_demandbase.tap import TapDemandbase


class BulkStream(Stream):
    """An entity of the export API: one job a sync, every part of it, row by row."""

    TYPE_CONFORMANCE_LEVEL: ClassVar = TypeConformanceLevel.NONE  # type: ignore[misc]
    """Cells are cast when they are read."""

    def __init__(self, tap: TapDemandbase, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self._api = tap.export_api
        self._retry = tap.retry
        self._life = JobLife(settings.poll_policy(tap.config))
        self._spool = settings.spool(tap.config)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        properties = self.selected_properties()
        request = ExportRequest(entity=self.name, fields=tuple(properties))
        job = self._life.run(ExportTask(self._api, request))
        reader = PartReader(self.name, job.id, properties, self.logger)
        rows = 0
        progress = ReadProgress(self.logger)
        parts = job.file_parts if job.file_parts is not None else 1
        for part in range(1, parts + 1):
            for record in self._part(job, part, parts, reader, progress):
                rows += 1
                yield record
                progress.reading(part, parts, rows)
        self._check_count(job, rows)

    def selected_properties(self) -> dict[str, dict[str, Any]]:
        """Return the JSON Schema of each property to export, in the schema's order.

        Raises:
            SelectionError: Nothing is selected, or something that is no field (any more).
        """
        properties = {
            name: schema
            for name, schema in self.effective_schema["properties"].items()
            if self.mask[("properties", name)]
        }
        gone = [name for name in properties if name not in self.schema["properties"]]
        if gone:
            raise SelectionError(
                f"Stream {self.name}: the catalog selects fields that Demandbase does not export "
                f"(any more): {', '.join(gone)}. Run discovery again or deselect them.",
                stream=self.name,
            )
        if not properties:
            raise SelectionError(
                f"Stream {self.name}: no field is selected. Select one, or deselect the stream.",
                stream=self.name,
            )
        return properties

    def _part(
        self,
        job: ExportJob,
        part: int,
        parts: int,
        reader: PartReader,
        progress: ReadProgress,
    ) -> Iterator[Record]:
        with self._spool.open() as file:
            size = download_part(
                self._api,
                job_id=job.id,
                entity=self.name,
                part=part,
                file=file,
                retry=self._retry,
                progress=lambda received: progress.downloading(part, parts, received),
            )
            self.logger.info("Part %d of %d is here: %d bytes", part, parts, size)
            yield from reader.records(file, part)

    def _check_count(self, job: ExportJob, rows: int) -> None:
        if job.record_count is not None and job.record_count != rows:
            raise RecordCountError(
                f"Stream {self.name}: Demandbase counted {job.record_count} records in the export "
                f"job {job.id}, its files hold {rows}. Run again; if it stays, ask Demandbase's "
                "support about the job.",
                stream=self.name,
                job_id=job.id,
            )
