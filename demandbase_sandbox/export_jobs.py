"""Export jobs: created, worked on by the clock, and their files."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.clock import SandboxClock, rfc3339
from demandbase_sandbox.export_files import ExportFiles
from demandbase_sandbox.export_request import (
    asked_entity,
    asked_fields,
    asked_filters,
    condition,
)
from demandbase_sandbox.job_book import TERMINAL, JobBook
from demandbase_sandbox.refusal import RefusalError, not_found
from demandbase_sandbox.tenant_jobs import TenantJobs

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.store import Store


class ExportJobs(TenantJobs):
    """The export jobs of a tenant. A job's rows are those of the moment it completes."""

    def __init__(
        self,
        store: Store,
        book: JobBook,
        folder: Path,
        clock: SandboxClock,
        options: SandboxOptions,
    ) -> None:
        super().__init__(store, book, folder, clock, options)
        self.files = ExportFiles(folder, options)

    def create(self, body: dict[str, Any], secret: dict[str, Any]) -> dict[str, Any]:
        """Create a job; ``secret`` says what shall go wrong with it."""
        entity = asked_entity(self._store.v1_entities, body.get("entity_type"))
        fields = asked_fields(entity, body.get("fields"))
        filters = asked_filters(entity, body.get("filters"))
        if self._bytes_today() >= self._options.daily_export_bytes:
            raise RefusalError(429, "daily export quota exceeded")
        job: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "entity_type": entity.name,
            "status": "pending",
            "fields": fields,
            "filters": filters,
            "created_at": rfc3339(self._clock.now()),
            "_secret": secret,
        }
        self._book.save("export", job)
        return job

    def due(self, job: dict[str, Any]) -> datetime:
        """Return when a job is done."""
        seconds = self._options.pending_seconds + self._options.processing_seconds
        return datetime.fromisoformat(job["created_at"]) + timedelta(seconds=seconds)

    def settle(self, job: dict[str, Any]) -> None:
        """Bring a job to where the clock says it is."""
        now = self._clock.now()
        created = datetime.fromisoformat(job["created_at"])
        gone = job["_secret"].get("job_gone")
        if gone is not None and now >= created + timedelta(seconds=gone):
            self._book.delete(job["id"])
            return
        if job["status"] in TERMINAL:
            return
        if now >= created + timedelta(seconds=self._options.pending_seconds):
            job["status"] = "processing"
        if now >= self.due(job) and not job["_secret"].get("never_ends"):
            self._complete(job)
        self._book.save("export", job)

    def get(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        job = self._book.get("export", job_id)
        if job is None:
            raise not_found("export job not found")
        return job

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancel a job."""
        job = self.get(job_id)
        if job["status"] in TERMINAL:
            raise RefusalError(409, f"job cannot be cancelled: it is {job['status']}")
        job["status"] = "cancelled"
        job["completed_at"] = rfc3339(self._clock.now())
        self._book.save("export", job)
        return job

    def file(self, job_id: str, part: int) -> Path:
        """Return the file of a part that can be downloaded now."""
        job = self.get(job_id)
        if job["status"] != "completed":
            raise not_found(f"there is nothing to download: the export job is {job['status']}")
        if datetime.fromisoformat(job["expires_at"]) <= self._clock.now():
            raise not_found("the export has expired")
        if not 1 <= part <= job["file_parts"]:
            raise not_found(f"the export has {job['file_parts']} parts, numbered from 1")
        return self.files.path(job_id, part)

    def _complete(self, job: dict[str, Any]) -> None:
        # Nobody watches jobs in between, so its end is when it was due, not when it was seen.
        end = self.due(job)
        secret = job["_secret"]
        job["completed_at"] = rfc3339(end)
        if "job_fails" in secret:
            job["status"] = "failed"
            job["error_message"] = secret["job_fails"]
            return
        where, values = condition(job["filters"], self._store.entities[job["entity_type"]])
        rows = self._store.select(job["entity_type"], job["fields"], where, values)
        count, sizes = self.files.write(
            job["id"], job["fields"], rows, secret.get("mangle_csv", "")
        )
        job |= {
            "status": "completed",
            "record_count": count,
            "file_size_bytes": sum(sizes),
            "file_parts": len(sizes),
            "expires_at": rfc3339(end + timedelta(seconds=self._options.job_expires_seconds)),
        }

    def _bytes_today(self) -> int:
        today = rfc3339(self._clock.now())[:10]
        return sum(
            job.get("file_size_bytes", 0)
            for job in self._book.all("export")
            if job.get("completed_at", "").startswith(today)
        )
