"""Import jobs: created, given a file, validated, worked on, and their row errors."""

from __future__ import annotations

import shutil
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from demandbase_sandbox.clock import SandboxClock, rfc3339
from demandbase_sandbox.import_rows import RowImporter, check_file
from demandbase_sandbox.refusal import RefusalError, bad_request, not_found
from demandbase_sandbox.tenant_schema import IMPORTABLE, TenantEntity

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.store import Store

TERMINAL = frozenset({"completed", "failed", "cancelled"})


class ImportJobs:
    """The import jobs of a tenant."""

    def __init__(
        self, store: Store, folder: Path, clock: SandboxClock, options: SandboxOptions
    ) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._options = options

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
        mapping = _mapping(entity, body.get("field_mappings") or [])
        match_key = body.get("match_key") or ""
        if body["operation"] != "insert" and not match_key:
            raise bad_request(f"{body['operation']} needs a match_key")
        field = entity.field(match_key)
        if match_key and (field is None or not field.key or match_key not in mapping.values()):
            raise bad_request(f"match_key is no mapped key field: {match_key}")
        required = {item.name for item in entity.fields if item.required and item.importable}
        missing = sorted(required - set(mapping.values()))
        if missing and body["operation"] != "update":
            raise bad_request(f"required fields are not mapped: {', '.join(missing)}")
        job: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "entity_type": name,
            "operation": body["operation"],
            "status": "pending",
            "created_at": rfc3339(self._clock.now()),
            "_match_key": match_key,
            "_mapping": mapping,
            "_secret": secret,
            "_errors": [],
        }
        self._store.save_job("import", job)
        return job

    def upload(self, job_id: str, file_name: str, file: BinaryIO) -> dict[str, Any]:
        """Take a job's file."""
        job = self.get(job_id)
        if job["status"] != "pending":
            raise bad_request(f"the job takes no file: it is {job['status']}")
        file.seek(0, 2)
        size = file.tell()
        if size > self._options.max_upload_bytes:
            raise RefusalError(413, "file too large")
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
        self._store.save_job("import", job)
        return job

    def settle(self) -> None:
        """Bring each job to where the clock says it is."""
        for job in reversed(self._store.jobs("import")):
            if job["status"] in TERMINAL or "_uploaded_at" not in job:
                continue
            now = self._clock.now()
            age = (now - datetime.fromisoformat(job["_uploaded_at"])).total_seconds()
            working = age - self._options.pending_seconds
            if working >= 0:
                job["status"] = "processing"
                job.setdefault("started_at", rfc3339(now))
                share = min(1.0, working / (self._options.processing_seconds or 1))
                job["processed_rows"] = int(job["total_rows"] * share)
            if working >= self._options.processing_seconds and not job["_secret"].get("never_ends"):
                self._complete(job)
            self._store.save_job("import", job)

    def get(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        job = self._store.job("import", job_id)
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
        self._store.save_job("import", job)
        return job

    def file(self, job_id: str) -> Path:
        """Return where a job's file is kept."""
        return self._folder / f"{job_id}-import.csv"

    def _complete(self, job: dict[str, Any]) -> None:
        taken, problems = RowImporter(self._store, job, self._options.row_number_base).run(
            self.file(job["id"])
        )
        failed = "job_fails" in job["_secret"]
        job |= {
            "status": "failed" if failed else "completed",
            "processed_rows": job["total_rows"],
            "success_count": taken,
            "error_count": job["total_rows"] - taken,
            "completed_at": rfc3339(self._clock.now()),
            "_errors": [problem.document() for problem in problems],
        }
        if failed:
            job["error_message"] = job["_secret"]["job_fails"]


def _mapping(entity: TenantEntity, mappings: list[dict[str, str]]) -> dict[str, str]:
    result: dict[str, str] = {}
    for item in mappings:
        column, name = item.get("csv_column", ""), item.get("demandbase_field", "")
        field = entity.field(name)
        if field is None or not field.importable:
            raise bad_request(f"unknown demandbase_field of {entity.name}: {name}")
        if not column or column in result or name in result.values():
            raise bad_request(f"field_mappings names a column or field twice: {column} → {name}")
        result[column] = name
    if not result:
        raise bad_request("field_mappings is empty")
    return result
