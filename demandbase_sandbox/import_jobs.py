"""Import jobs: created, given a file, validated, and worked on by the clock."""

from __future__ import annotations

import shutil
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from demandbase_sandbox.clock import rfc3339
from demandbase_sandbox.import_file import check_file
from demandbase_sandbox.import_request import asked_mapping, asked_match_key
from demandbase_sandbox.import_rows import RowImporter
from demandbase_sandbox.job_book import TERMINAL
from demandbase_sandbox.refusal import RefusalError, bad_request, not_found
from demandbase_sandbox.tenant_jobs import TenantJobs
from demandbase_sandbox.tenant_schema import IMPORTABLE

if TYPE_CHECKING:
    from pathlib import Path


class ImportJobs(TenantJobs):
    """The import jobs of a tenant."""

    def mappings(self, entity_type: str | None) -> list[dict[str, Any]]:
        """Return the fields that can be imported."""
        if entity_type is not None and entity_type not in IMPORTABLE:
            raise bad_request(f"unknown entity_type: {entity_type}")
        return [
            {
                "entity_type": name,
                "field_name": field.name,
                "field_type": field.type,
                "required": field.required,
                "description": field.description,
            }
            for name in IMPORTABLE
            if entity_type in {None, name}
            for field in self._store.entities[name].fields
            if field.importable
        ]

    def create(self, body: dict[str, Any], secret: dict[str, Any]) -> dict[str, Any]:
        """Create a job; ``secret`` says what shall go wrong with it."""
        name = body.get("entity_type")
        if name not in IMPORTABLE:
            raise bad_request(f"unknown entity_type: {name}")
        entity = self._store.entities[name]
        mapping = asked_mapping(entity, body["operation"], body.get("field_mappings") or [])
        match_key = asked_match_key(entity, body["operation"], body.get("match_key"), mapping)
        job: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "entity_type": name,
            "operation": body["operation"],
            "status": "pending",
            "created_at": rfc3339(self._clock.now()),
            "_match_key": match_key,
            "_mapping": mapping,
            "_secret": secret,
        }
        self._book.save("import", job)
        return job

    def upload(
        self, job_id: str, file_name: str, file: BinaryIO, too_large: int | None = None
    ) -> dict[str, Any]:
        """Take a job's file; ``too_large`` bytes are refused, whatever the options say."""
        job = self.get(job_id)
        if job["status"] != "pending":
            raise bad_request(f"the job takes no file: it is {job['status']}")
        file.seek(0, 2)
        size = file.tell()
        limit = self._options.max_upload_bytes if too_large is None else too_large
        if size > limit:
            raise RefusalError(413, f"the file is too large: {size} bytes, at most {limit}")
        file.seek(0)
        path = self.file(job_id)
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        rows = check_file(path, set(job["_mapping"]))
        job |= {
            "status": "validating",
            "file_name": file_name,
            "file_size_bytes": size,
            "total_rows": rows,
            "processed_rows": 0,
            "_uploaded_at": rfc3339(self._clock.now()),
        }
        self._book.save("import", job)
        return job

    def due(self, job: dict[str, Any]) -> datetime:
        """Return when a job is done; one without a file never is."""
        if "_uploaded_at" not in job:
            return datetime.max.replace(tzinfo=self._clock.now().tzinfo)
        return self._starts(job) + timedelta(seconds=self._options.processing_seconds)

    def settle(self, job: dict[str, Any]) -> None:
        """Bring a job to where the clock says it is."""
        now = self._clock.now()
        gone = job["_secret"].get("job_gone")
        created = datetime.fromisoformat(job["created_at"])
        if gone is not None and now >= created + timedelta(seconds=gone):
            self._book.delete(job["id"])
            return
        if job["status"] in TERMINAL or "_uploaded_at" not in job or now < self._starts(job):
            return
        job["status"] = "processing"
        job["started_at"] = rfc3339(self._starts(job))
        worked = (now - self._starts(job)).total_seconds()
        share = min(1.0, worked / (self._options.processing_seconds or 1))
        job["processed_rows"] = int(job["total_rows"] * share)
        if now >= self.due(job) and not job["_secret"].get("never_ends"):
            self._complete(job)
        self._book.save("import", job)

    def get(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        job = self._book.get("import", job_id)
        if job is None:
            raise not_found("import job not found")
        return job

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancel a job."""
        job = self.get(job_id)
        if job["status"] not in {"pending", "validating"}:
            raise RefusalError(409, f"job cannot be cancelled: it is {job['status']}")
        job["status"] = "cancelled"
        job["completed_at"] = rfc3339(self._clock.now())
        self._book.save("import", job)
        return job

    def file(self, job_id: str) -> Path:
        """Return where a job's file is kept."""
        return self._folder / f"{job_id}-import.csv"

    def _starts(self, job: dict[str, Any]) -> datetime:
        uploaded = datetime.fromisoformat(job["_uploaded_at"])
        return uploaded + timedelta(seconds=self._options.pending_seconds)

    def _complete(self, job: dict[str, Any]) -> None:
        end = rfc3339(self.due(job))
        failed = "job_fails" in job["_secret"]
        rows = job["_secret"]["rows"] if failed else job["total_rows"]
        importer = RowImporter(self._store, self._book, job, self._options.row_number_base, end)
        done, taken = importer.run(self.file(job["id"]), rows)
        job |= {
            "status": "failed" if failed else "completed",
            "processed_rows": done,
            "success_count": taken,
            "error_count": done - taken,
            "completed_at": end,
        }
        if failed:
            job["error_message"] = job["_secret"]["job_fails"]
