"""Streams of the tenant's jobs, of their row errors and of the import mappings."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from singer_sdk import typing as th
from singer_sdk.helpers.conform import TypeConformanceLevel
from typing_extensions import override

from demandbase_api.errors import NotFoundError
from demandbase_api.jobs.job_reader import recent
from demandbase_api.models import ExportJob, ImportJob
from tap_demandbase import bookmark
from tap_demandbase.config import stream_options
from tap_demandbase.sync_run import TapStream
from tap_demandbase.windows import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from demandbase_api.ports import ExportApi, ImportApi


J = TypeVar("J", ExportJob, ImportJob)

_UNKNOWN_STATUS_AGE = timedelta(days=1)
"""Age from which a job whose status is unknown counts as ended."""

_JOB = (
    th.Property("id", th.StringType, required=True, description="Id of the job."),
    th.Property("entity_type", th.StringType, description="Entity of the job."),
    th.Property("status", th.StringType, description="Status of the job."),
    th.Property("created_at", th.DateTimeType, description="When the job was created."),
    th.Property("completed_at", th.DateTimeType, description="When the job ended."),
    th.Property("file_size_bytes", th.IntegerType, description="Size of the file in bytes."),
    th.Property("error_message", th.StringType, description="Why the job failed."),
)


class ListStream(TapStream):
    """A stream that comes from a list of the API, not from an export job."""

    selected_by_default = False
    TYPE_CONFORMANCE_LEVEL: ClassVar = TypeConformanceLevel.NONE  # type: ignore[misc]

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        """Return ``None``: a few rows need no file, and the SDK's would have deselected fields."""

    @override
    def get_replication_key_signpost(self, context: Context | None) -> None:  # type: ignore[override]
        """Return ``None``: the bookmark is that of the listed jobs."""

    @override
    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        # The SDK's bookmark would skip jobs that have not ended.
        pass


class JobStream(ListStream):
    """A stream of jobs, or of what belongs to them."""

    def since_bookmark(self, jobs: Iterable[J], record: Callable[[J], Record]) -> Iterable[Record]:
        """Yield the records of jobs that are not older than the bookmark, then advance it.

        It stays at the oldest job that has not ended, which is sent again until it has. A job whose
        status is unknown may have ended: it keeps the bookmark back for at most a day.
        """
        state = self.get_context_state(None)
        start = bookmark.read(state, self.replication_key, self.name).value
        since = start or stream_options(self.config, self.name).start_date
        newest = start
        oldest_running: datetime | None = None
        oldest_unknown: datetime | None = None
        for job in jobs if since is None else recent(jobs, since):
            yield record(job)
            if job.created_at is not None:
                newest = job.created_at if newest is None else max(newest, job.created_at)
                if job.status.is_running:
                    oldest_running = min(oldest_running or job.created_at, job.created_at)
                elif not job.status.is_terminal:
                    oldest_unknown = min(oldest_unknown or job.created_at, job.created_at)
        if newest is not None and self.replication_key:
            unknown = max(oldest_unknown or newest, newest - _UNKNOWN_STATUS_AGE)
            mark = bookmark.Bookmark(min(oldest_running or newest, unknown))
            bookmark.write(state, self.replication_key, mark)


class ExportJobsStream(JobStream):
    """Export jobs of the tenant."""

    name = "export_jobs"
    primary_keys = ("id",)
    replication_key = "created_at"
    schema: ClassVar[dict[str, Any]] = th.PropertiesList(
        *_JOB,
        th.Property("fields", th.ArrayType(th.StringType), description="Exported fields."),
        th.Property("filters", th.ObjectType(additional_properties=True)),
        th.Property("record_count", th.IntegerType, description="Number of exported records."),
        th.Property("file_parts", th.IntegerType, description="Number of files."),
        th.Property("expires_at", th.DateTimeType, description="When the file expires."),
    ).to_dict()

    def __init__(self, tap: Tap, api: ExportApi) -> None:
        super().__init__(tap)
        self._api = api

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        return self.since_bookmark(self._api.jobs(complete=True), _export_job)


class ImportStream(JobStream):
    """A stream that comes from the import API."""

    def __init__(self, tap: Tap, api: ImportApi) -> None:
        super().__init__(tap)
        self._api = api


class ImportJobsStream(ImportStream):
    """Import jobs of the tenant."""

    name = "import_jobs"
    primary_keys = ("id",)
    replication_key = "created_at"
    schema: ClassVar[dict[str, Any]] = th.PropertiesList(
        *_JOB,
        th.Property("operation", th.StringType, description="insert, update or upsert."),
        th.Property("total_rows", th.IntegerType, description="Number of rows in the file."),
        th.Property("processed_rows", th.IntegerType, description="Number of processed rows."),
        th.Property("success_count", th.IntegerType, description="Number of accepted rows."),
        th.Property("error_count", th.IntegerType, description="Number of rejected rows."),
        th.Property("file_name", th.StringType, description="Name of the file."),
        th.Property("started_at", th.DateTimeType, description="When the job started."),
    ).to_dict()

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        return self.since_bookmark(self._api.jobs(complete=True), _import_job)

    @override
    def get_child_context(self, record: Record, context: Context | None) -> Context:
        return {"import_job_id": record["id"]}


class ImportErrorsStream(ImportStream):
    """Rows that import jobs rejected."""

    name = "import_errors"
    parent_stream_type = ImportJobsStream
    state_partitioning_keys = ()
    primary_keys = ("import_job_id", "row_number", "field", "error_type")
    schema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property(
            "import_job_id", th.StringType, required=True, description="The import job's id."
        ),
        th.Property(
            "row_number",
            th.IntegerType,
            description="Number of the row in Demandbase's count; -1 if unknown.",
        ),
        th.Property("field", th.StringType, description="Field of the error; empty if unknown."),
        th.Property("value", th.StringType, description="Value of the field."),
        th.Property(
            "error_type", th.StringType, description="Type of the error; empty if unknown."
        ),
        th.Property("message", th.StringType, description="Message of Demandbase."),
    ).to_dict()

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        job_id = (context or {})["import_job_id"]
        try:
            for error in self._api.row_errors(job_id, complete=True):
                yield {
                    "import_job_id": job_id,
                    # Databases reject null in key fields, which the contract has optional.
                    "row_number": -1 if error.row_number is None else error.row_number,
                    "field": error.field or "",
                    "value": error.value,
                    "error_type": error.error_type or "",
                    "message": error.message,
                }
        except NotFoundError:
            self.logger.warning("Demandbase has no row errors of the import job %s", job_id)


class FieldMappingsStream(ImportStream):
    """Fields that can be imported."""

    name = "field_mappings"
    primary_keys = ("entity_type", "field_name")
    schema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("entity_type", th.StringType, required=True, description="The entity."),
        th.Property("field_name", th.StringType, required=True, description="The field."),
        th.Property("field_type", th.StringType, description="Type of the field."),
        th.Property("required", th.BooleanType, description="Whether imports require the field."),
        th.Property("description", th.StringType),
    ).to_dict()

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        for mapping in self._api.mappings():
            yield {
                "entity_type": mapping.entity,
                "field_name": mapping.name,
                "field_type": mapping.type,
                "required": mapping.required,
                "description": mapping.description or None,
            }


def job_streams(tap: Tap, exports: ExportApi, imports: ImportApi) -> list[JobStream]:
    """Return the streams of the tenant's jobs and mappings that the API can serve."""
    able = imports.capabilities
    streams: list[JobStream] = [ExportJobsStream(tap, exports)]
    if able.mappings:
        streams.append(FieldMappingsStream(tap, imports))
    streams.append(ImportJobsStream(tap, imports))
    if able.row_errors:
        streams.append(ImportErrorsStream(tap, imports))
    return streams


def _export_job(job: ExportJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "entity_type": job.entity,
        "status": job.status_text,
        "created_at": _timestamp(job.created_at),
        "completed_at": _timestamp(job.completed_at),
        "file_size_bytes": job.file_size_bytes,
        "error_message": job.error_message,
        "fields": None if job.fields is None else list(job.fields),
        "filters": job.filters if isinstance(job.filters, dict) else None,
        "record_count": job.record_count,
        "file_parts": job.file_parts,
        "expires_at": _timestamp(job.expires_at),
    }


def _import_job(job: ImportJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "entity_type": job.entity,
        "status": job.status_text,
        "created_at": _timestamp(job.created_at),
        "completed_at": _timestamp(job.completed_at),
        "file_size_bytes": job.file_size_bytes,
        "error_message": job.error_message,
        "operation": job.operation,
        "total_rows": job.total_rows,
        "processed_rows": job.processed_rows,
        "success_count": job.success_count,
        "error_count": job.error_count,
        "file_name": job.file_name,
        "started_at": _timestamp(job.started_at),
    }


def _timestamp(timestamp: datetime | None) -> str | None:
    return None if timestamp is None else format_timestamp(timestamp)
