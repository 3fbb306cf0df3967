"""Export jobs of ``uapi``."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from demandbase_sandbox.clock import rfc3339
from demandbase_sandbox.faults import NO_FAULTS, JobFaults
from demandbase_sandbox.tenant.files import write_parts
from demandbase_sandbox.tenant.jobs import Job, SimulatedJobs
from demandbase_sandbox.uapi.entities import ENTITY_TYPES, LIST_ENTITIES
from demandbase_sandbox.uapi.errors import coded_error
from demandbase_sandbox.uapi.schemas import JobDetailsList, ListedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from demandbase_sandbox.exceptions import ApiError
    from demandbase_sandbox.uapi.export_query import ExportQuery

TRIAL_SENTENCE = "A trial exports no more than its allowance over a rolling 24-hour period."

_DAY = timedelta(hours=24)

ALL = "All"

STATUSES = frozenset({"accepted", "processing", "finished", "failed"})

_ENTITIES = frozenset({*ENTITY_TYPES, *LIST_ENTITIES})

_DIGITS = 9
"""Maximum number of digits of a page number."""


@dataclass(kw_only=True)
class UapiExportJob(Job):
    """An export job of ``uapi``.

    Args:
        published_type: Entity type of the API.
        request: Members of the request.
    """

    published_type: str
    name: str
    updated_at: datetime
    request: dict[str, Any]
    query: ExportQuery
    message: str | None = None
    files: list[Path] = field(default_factory=list)
    size: int = 0


class UapiExportJobs(SimulatedJobs[UapiExportJob]):
    """The export jobs of a tenant. A job exports the rows as of its end."""

    def create(
        self,
        entity_type: str,
        members: dict[str, Any],
        query: ExportQuery,
        faults: JobFaults = NO_FAULTS,
    ) -> UapiExportJob:
        """Create a job.

        Raises:
            ApiError: 429-101 or 429-102.
        """
        if not faults.foreign:
            self._check_limits()
        now = self._clock.now()
        return self.add(
            UapiExportJob(
                id=str(uuid.uuid4()),
                entity_type=query.entity,
                status="accepted",
                created_at=now,
                updated_at=now,
                published_type=entity_type,
                name=members["jobName"],
                request=members,
                query=query,
                faults=faults,
            )
        )

    def _check_limits(self) -> None:
        if self._bytes_of_a_day() >= self._allowance():
            raise coded_error("429-101")
        running = sum(not job.has_ended for job in self.all())
        if running >= self._options.max_concurrent_export_jobs:
            raise coded_error("429-102")

    def results(self, job: UapiExportJob) -> list[str]:
        """Return the names of a job's files: none before its end or after their expiry."""
        expires = self.due(job) + timedelta(seconds=self._options.job_expires_seconds)
        return [path.name for path in job.files] if self._clock.now() < expires else []

    @override
    def document(self, job: UapiExportJob) -> dict[str, Any]:
        return {
            "id": job.id,
            "entity_type": job.entity_type,
            "status": job.status,
            "entityType": job.published_type,
            "jobName": job.name,
            "createdAt": rfc3339(job.created_at),
            "updatedAt": rfc3339(job.updated_at),
            "message": job.message,
            "request": job.request,
        }

    @override
    def _unknown(self) -> ApiError:
        return coded_error("404-302")

    @override
    def _process(self, job: UapiExportJob, now: datetime) -> None:
        job.status = "processing"
        job.updated_at = self.starts(job)

    @override
    def _end(self, job: UapiExportJob, end: datetime) -> None:
        job.updated_at = end
        if job.faults.fails is not None:
            job.status, job.message = "failed", job.faults.fails or "The export failed."
            return
        paths = self._write(job)
        size = sum(path.stat().st_size for path in paths)
        trial = self._options.trial_export_bytes
        if trial is not None and self._bytes_of_a_day() + size > trial:
            for path in paths:
                path.unlink()
            job.status, job.message = "failed", TRIAL_SENTENCE
            return
        job.status, job.files, job.size = "finished", paths, size

    def _write(self, job: UapiExportJob) -> list[Path]:
        query, options = job.query, self._options
        suffix = job.request.get("format", "CSV").lower()
        return write_parts(
            (self._folder / f"{job.id}-part-{part}.{suffix}" for part in itertools.count(1)),
            query.labels if options.label_headers else query.columns,
            self._store.select_sql(query.entity, query.expressions, query.where, query.values),
            part_rows=options.part_rows if options.results_urls else None,
            byte_order_mark=options.byte_order_mark,
            way_to_mangle=job.faults.way_to_mangle,
        )

    def _allowance(self) -> int:
        trial = self._options.trial_export_bytes
        whole = self._options.daily_export_bytes
        return whole if trial is None else min(trial, whole)

    def _bytes_of_a_day(self) -> int:
        """Return the exported bytes of the last 24 hours.

        Both a calendar day and a rolling window are published; the window is the stricter one.
        """
        since = self._clock.now() - _DAY
        return sum(job.size for job in self.all() if job.updated_at > since)


def job_page(
    jobs: Sequence[UapiExportJob],
    parameters: Mapping[str, str],
    largest: int,
    shifted: Callable[[int], int],
) -> JobDetailsList:
    """Return a page of the list.

    Args:
        jobs: All jobs, newest first.
        parameters: ``entityType``, ``jobStatus``, ``sort``, ``page`` and ``perPage`` as texts.
        largest: Maximum number of jobs on a page, whatever ``perPage`` is.
        shifted: Returns where the page starts that is requested at an offset.

    Raises:
        ApiError: 400-120 to 400-124.
    """
    if parameters["sort"] not in {"ascending", "descending"}:
        raise coded_error("400-120", parameters["sort"])
    page = _positive(parameters["page"], "400-121")
    size = min(_positive(parameters["perPage"], "400-122"), largest)
    entity, status = parameters["entityType"], parameters["jobStatus"]
    if entity != ALL and entity not in _ENTITIES:
        raise coded_error("400-123", entity)
    if status != ALL and status not in STATUSES:
        raise coded_error("400-124", status)
    found = [
        job for job in jobs if entity in {ALL, job.published_type} and status in {ALL, job.status}
    ]
    if parameters["sort"] == "ascending":
        found.reverse()
    start = shifted((page - 1) * size)
    return JobDetailsList(
        page_no=page,
        page_size=size,
        data=[ListedJob.model_validate(job) for job in found[start : start + size]],
        total_count=len(found),
    )


def _positive(text: str, code: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text)):
        raise coded_error(code, text)
    return int(text)
