"""Export jobs of the published API: created, worked on by the clock, and their results."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.clock import rfc3339
from demandbase_sandbox.job_book import TERMINAL
from demandbase_sandbox.tenant_jobs import TenantJobs
from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.result_files import write_results

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.uapi.export_query import ExportQuery

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
