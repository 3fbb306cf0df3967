"""Export jobs of the v1 API: requests, filters as SQL, and files."""

from __future__ import annotations

import itertools
import re
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from demandbase_sandbox.exceptions import ApiError, bad_request, not_found
from demandbase_sandbox.faults import NO_FAULTS, JobFaults
from demandbase_sandbox.tenant.files import compress, write_parts
from demandbase_sandbox.tenant.jobs import Job, SimulatedJobs
from demandbase_sandbox.tenant.schema import DATE_TYPES, TenantEntity
from demandbase_sandbox.tenant.store import quoted
from demandbase_sandbox.v1.schemas import ExportJobDocument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIST_PREFIX = "list-"
"""Account list N has the accounts whose id ends in the digit N."""

LISTS = frozenset({f"{LIST_PREFIX}1", f"{LIST_PREFIX}2"})

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(kw_only=True)
class ExportJob(Job):
    """An export job of the v1 API."""

    fields: list[str]
    filters: dict[str, Any]
    record_count: int | None = None
    file_size_bytes: int | None = None
    file_parts: int | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    error_message: str | None = None
    files: list[Path] = field(default_factory=list)


class ExportJobs(SimulatedJobs[ExportJob]):
    """The export jobs of a tenant. A job exports the rows as of its completion."""

    def create(self, body: dict[str, Any], faults: JobFaults = NO_FAULTS) -> ExportJob:
        """Create a job."""
        entity = requested_entity(self._store.v1_entities, body.get("entity_type"))
        fields = requested_fields(entity, body.get("fields"))
        filters = requested_filters(entity, body.get("filters"))
        if self._bytes_today() >= self._options.daily_export_bytes and not faults.foreign:
            raise ApiError(429, "daily export quota exceeded")
        return self.add(
            ExportJob(
                id=str(uuid.uuid4()),
                entity_type=entity.name,
                status="pending",
                created_at=self._clock.now(),
                fields=fields,
                filters=filters,
                faults=faults,
            )
        )

    def cancel(self, job_id: str) -> ExportJob:
        """Cancel a job that has not ended."""
        job = self.get(job_id)
        if job.has_ended:
            raise ApiError(409, f"job cannot be cancelled: it is {job.status}")
        job.status = "cancelled"
        job.completed_at = self._clock.now()
        return job

    def file(self, job_id: str, part: int) -> Path:
        """Return the file of a part.

        Raises:
            ApiError: 404: the job has not completed or has expired, or there is no such part.
        """
        job = self.get(job_id)
        if job.status != "completed":
            raise not_found(f"there is nothing to download: the export job is {job.status}")
        if job.expires_at is not None and job.expires_at <= self._clock.now():
            raise not_found("the export has expired")
        if not 1 <= part <= len(job.files):
            raise not_found(f"the export has {len(job.files)} parts, numbered from 1")
        return job.files[part - 1]

    @override
    def document(self, job: ExportJob) -> dict[str, Any]:
        return ExportJobDocument.model_validate(job).model_dump(exclude_defaults=True)

    @override
    def _unknown(self) -> ApiError:
        return not_found("export job not found")

    @override
    def _process(self, job: ExportJob, now: datetime) -> None:
        job.status = "processing"

    @override
    def _end(self, job: ExportJob, end: datetime) -> None:
        job.completed_at = end
        if job.faults.fails is not None:
            job.status = "failed"
            job.error_message = job.faults.fails
            return
        where, values = condition(job.filters, self._store.entities[job.entity_type])
        rows = self._store.select(job.entity_type, job.fields, where, values)
        read = itertools.count()
        job.files = write_parts(
            (self._folder / f"{job.id}-part-{part}.csv" for part in itertools.count(1)),
            job.fields,
            (row for row, _ in zip(rows, read, strict=False)),
            part_rows=self._options.part_rows,
            byte_order_mark=self._options.byte_order_mark,
            way_to_mangle=job.faults.way_to_mangle,
        )
        if self._options.gzip:
            job.files = [compress(path) for path in job.files]
        job.status = "completed"
        job.record_count = next(read)
        job.file_size_bytes = sum(path.stat().st_size for path in job.files)
        job.file_parts = len(job.files)
        job.expires_at = end + timedelta(seconds=self._options.job_expires_seconds)

    def _bytes_today(self) -> int:
        today = self._clock.now().date()
        return sum(
            job.file_size_bytes or 0
            for job in self.all()
            if job.completed_at is not None and job.completed_at.date() == today
        )


def requested_entity(entities: Mapping[str, TenantEntity], name: object) -> TenantEntity:
    """Return the requested entity."""
    if not isinstance(name, str) or name not in entities:
        raise bad_request(f"unknown entity_type: {name}")
    return entities[name]


def requested_fields(entity: TenantEntity, wanted: list[str] | None) -> list[str]:
    """Return the requested fields. Default: all."""
    if wanted is None:
        return [field.name for field in entity.fields]
    if unknown := [name for name in wanted if entity.field(name) is None]:
        raise bad_request(f"unknown fields of {entity.name}: {', '.join(unknown)}")
    if twice := sorted({name for name in wanted if wanted.count(name) > 1}):
        raise bad_request(f"fields are named twice: {', '.join(twice)}")
    if not wanted:
        raise bad_request("fields is empty")
    return wanted


def requested_filters(entity: TenantEntity, filters: dict[str, Any] | None) -> dict[str, Any]:
    """Return the requested filters after checking them."""
    filters = filters or {}
    window = filters.get("date_range")
    if window is not None:
        field = entity.field(str(window.get("field")))
        if field is None or field.type not in DATE_TYPES:
            raise bad_request(
                f"date_range.field is no date field of {entity.name}: {window.get('field')}"
            )
        start, end = (_day(name, window.get(name)) for name in ("start", "end"))
        if start and end and start > end:
            raise bad_request("date_range.start is after date_range.end")
    list_id = filters.get("account_list_id")
    if list_id is not None and list_id not in LISTS:
        raise bad_request(f"unknown account_list_id: {list_id}")
    return filters


def condition(filters: Mapping[str, Any], entity: TenantEntity) -> tuple[str, list[str]]:
    """Return filters as SQL and its values. Days are in UTC and inclusive; empty never matches."""
    conditions, values = ["1"], []
    if window := filters.get("date_range"):
        # Timestamps are stored in UTC, so their first ten characters are the day.
        day = f"substr({quoted(window['field'])}, 1, 10)"
        conditions.append(f"{day} IS NOT NULL")
        for name, sign in (("start", ">="), ("end", "<=")):
            if bound := window.get(name):
                conditions.append(f"{day} {sign} ?")
                values.append(bound)
    if (list_id := filters.get("account_list_id")) and entity.field("account_id"):
        conditions.append("account_id LIKE ?")
        values.append("%" + list_id.removeprefix(LIST_PREFIX))
    return " AND ".join(conditions), values


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise bad_request(f"date_range.{name} is no date (YYYY-MM-DD): {text}")
