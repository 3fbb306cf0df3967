"""Export jobs of the published API: created, worked on by the clock, and their results."""

from __future__ import annotations

import csv
import json
import uuid
from datetime import datetime, timedelta
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.clock import rfc3339
from demandbase_sandbox.faults import mangle
from demandbase_sandbox.tenant.jobs import TERMINAL, TenantJobs
from demandbase_sandbox.uapi.entities import ENTITY_TYPES, LIST_ENTITIES
from demandbase_sandbox.uapi.errors import coded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from demandbase_sandbox.uapi.export_query import ExportQuery


Row = tuple[str | None, ...]


def write_results(  # noqa: PLR0913 - what a format needs
    paths: Iterator[Path],
    header: Sequence[str],
    rows: Iterator[Row],
    *,
    part_rows: int | None,
    encoding: str,
    way_to_mangle: str,
) -> list[Path]:
    """Write the rows into as many of the paths as needed, at least one; return these.

    The suffix of a path says which format it gets. The shape of JSON results is not published:
    here it is an array of objects.
    """
    written: list[Path] = []
    first = next(rows, None)
    while first is not None or not written:
        path = next(paths)
        part = _chain(first, rows if part_rows is None else islice(rows, part_rows - 1))
        with path.open("w", encoding=encoding, newline="") as file:
            if path.suffix == ".json":
                json.dump(
                    [dict(zip(header, row, strict=True)) for row in part], file, ensure_ascii=False
                )
            else:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(part)
        mangle(path, way_to_mangle)
        written.append(path)
        first = next(rows, None)
    return written


def _chain(first: Row | None, rows: Iterator[Row]) -> Iterator[Row]:
    if first is not None:
        yield first
        yield from rows


KIND = "uapi export"

TRIAL_SENTENCE = "A trial exports no more than its allowance over a rolling 24-hour period."

_DAY = timedelta(hours=24)


class UapiExportJobs(TenantJobs):
    """The export jobs of a tenant. A job's rows are those of the moment it finishes."""

    def create(
        self,
        entity_type: str,
        asked: dict[str, Any],
        query: ExportQuery,
        secret: dict[str, Any],
    ) -> dict[str, Any]:
        """Create a job; ``secret`` says what shall go wrong with it.

        Raises:
            RefusalError: 429-101 or 429-102.
        """
        if self._bytes_of_a_day() >= self._allowance():
            raise coded("429-101")
        running = [job for job in self._book.all(KIND) if job["status"] not in TERMINAL]
        if len(running) >= self._options.max_concurrent_export_jobs:
            raise coded("429-102")
        now = rfc3339(self._clock.now())
        job: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "entity_type": query.entity,
            "status": "accepted",
            "entityType": entity_type,
            "jobName": asked["jobName"],
            "createdAt": now,
            "updatedAt": now,
            "message": None,
            "request": asked,
            "_query": query.document(),
            "_secret": secret,
        }
        self._book.save(KIND, job)
        return job

    def due(self, job: dict[str, Any]) -> datetime:
        """Return when a job is done."""
        return self._starts(job) + timedelta(seconds=self._options.processing_seconds)

    def settle(self, job: dict[str, Any]) -> None:
        """Bring a job to where the clock says it is."""
        now = self._clock.now()
        gone = job["_secret"].get("job_gone")
        created = datetime.fromisoformat(job["createdAt"])
        if gone is not None and now >= created + timedelta(seconds=gone):
            self._book.delete(job["id"])
            return
        if job["status"] in TERMINAL:
            return
        if now >= self._starts(job):
            job |= {"status": "processing", "updatedAt": rfc3339(self._starts(job))}
        if now >= self.due(job) and not job["_secret"].get("never_ends"):
            self._finish(job)
        self._book.save(KIND, job)

    def get(self, job_id: str) -> dict[str, Any]:
        """Return a job.

        Raises:
            RefusalError: 404-302.
        """
        job = self._book.get(KIND, job_id)
        if job is None:
            raise coded("404-302")
        return job

    def results(self, job: dict[str, Any]) -> list[str]:
        """Return the names of a job's files; none before it has finished or once they are gone."""
        if job["status"] != "finished":
            return []
        expires = self.due(job) + timedelta(seconds=self._options.job_expires_seconds)
        return job["_files"] if self._clock.now() < expires else []

    def _starts(self, job: dict[str, Any]) -> datetime:
        created = datetime.fromisoformat(job["createdAt"])
        return created + timedelta(seconds=self._options.pending_seconds)

    def _finish(self, job: dict[str, Any]) -> None:
        # Nobody watches jobs in between, so its end is when it was due, not when it was seen.
        job["updatedAt"] = rfc3339(self.due(job))
        secret = job["_secret"]
        if "job_fails" in secret:
            job |= {"status": "failed", "message": secret["job_fails"] or "The export failed."}
            return
        paths = self._write(job, secret.get("mangle_csv", ""))
        size = sum(path.stat().st_size for path in paths)
        trial = self._options.trial_export_bytes
        if trial is not None and self._bytes_of_a_day() + size > trial:
            for path in paths:
                path.unlink()
            job |= {"status": "failed", "message": TRIAL_SENTENCE}
            return
        files = [path.name for path in paths]
        job |= {"status": "finished", "_files": files, "_bytes": size}

    def _write(self, job: dict[str, Any], way_to_mangle: str) -> list[Path]:
        query = job["_query"]
        suffix = job["request"].get("format", "CSV").lower()
        paths = (self._folder / f"{job['id']}-part-{part}.{suffix}" for part in count(1))
        rows = self._store.select_sql(
            query["entity"], query["expressions"], query["where"], query["values"]
        )
        return write_results(
            paths,
            query["labels" if self._options.label_headers else "columns"],
            rows,
            part_rows=self._options.part_rows if self._options.results_urls else None,
            encoding="utf-8-sig" if self._options.byte_order_mark else "utf-8",
            way_to_mangle=way_to_mangle,
        )

    def _allowance(self) -> int:
        trial = self._options.trial_export_bytes
        whole = self._options.daily_export_bytes
        return whole if trial is None else min(trial, whole)

    def _bytes_of_a_day(self) -> int:
        """Return the bytes of the last 24 hours.

        Both a calendar day and a rolling window are published; the window is never the laxer.
        """
        since = rfc3339(self._clock.now() - _DAY)
        return sum(job.get("_bytes", 0) for job in self._book.all(KIND) if job["updatedAt"] > since)


ALL = "All"

STATUSES = frozenset({"accepted", "processing", "finished", "failed"})

_ENTITIES = frozenset({*ENTITY_TYPES, *LIST_ENTITIES})

_DIGITS = 9
"""More digits than any page can have, few enough to count with."""


def job_page(
    jobs: Sequence[dict[str, Any]], asked: Mapping[str, str], largest: int, shift: int
) -> dict[str, Any]:
    """Return a page of the list.

    Args:
        jobs: All jobs, newest first.
        asked: ``entityType``, ``jobStatus``, ``sort``, ``page`` and ``perPage`` as texts.
        largest: Jobs on one page at most, whatever ``perPage`` says.
        shift: By how many jobs the page is moved.

    Raises:
        RefusalError: 400-120 to 400-124.
    """
    if asked["sort"] not in {"ascending", "descending"}:
        raise coded("400-120", asked["sort"])
    page = _positive(asked["page"], "400-121")
    size = min(_positive(asked["perPage"], "400-122"), largest)
    entity, status = asked["entityType"], asked["jobStatus"]
    if entity != ALL and entity not in _ENTITIES:
        raise coded("400-123", entity)
    if status != ALL and status not in STATUSES:
        raise coded("400-124", status)
    found = [
        job for job in jobs if entity in {ALL, job["entityType"]} and status in {ALL, job["status"]}
    ]
    if asked["sort"] == "ascending":
        found.reverse()
    start = max(0, (page - 1) * size + shift)
    return {
        "pageNo": page,
        "pageSize": size,
        "data": [listed(job) for job in found[start : start + size]],
        "totalCount": len(found),
    }


def listed(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the list shows it."""
    return {**created(job), "updatedAt": job["updatedAt"]}


def created(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as its creation answers it."""
    names = ("jobName", "entityType", "createdAt")
    return {"jobId": job["id"], "jobStatus": job["status"], **{name: job[name] for name in names}}


def _positive(text: str, code: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text)):
        raise coded(code, text)
    return int(text)
