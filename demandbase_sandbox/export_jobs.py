"""Export jobs: what is asked is checked, files are written when the job completes."""

from __future__ import annotations

import csv
import uuid
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.clock import SandboxClock, rfc3339
from demandbase_sandbox.csv_mangling import mangle
from demandbase_sandbox.refusal import RefusalError, bad_request, not_found
from demandbase_sandbox.tenant_schema import DATE_TYPES, TenantEntity

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.store import Store

LIST_PREFIX = "list-"
TERMINAL = frozenset({"completed", "failed", "cancelled"})


class ExportJobs:
    """The export jobs of a tenant. A job's rows are those of the moment it completes."""

    def __init__(
        self, store: Store, folder: Path, clock: SandboxClock, options: SandboxOptions
    ) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._options = options

    def create(self, body: dict[str, Any], secret: dict[str, Any]) -> dict[str, Any]:
        """Create a job; ``secret`` says what shall go wrong with it."""
        entity = self._entity(body.get("entity_type"))
        fields = _fields(entity, body.get("fields"))
        filters = self._filters(entity, body.get("filters"))
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
        self._store.save_job("export", job)
        return job

    def settle(self) -> None:
        """Bring each job to where the clock says it is."""
        for job in self._store.jobs("export"):
            if job["status"] in TERMINAL:
                continue
            age = self._age(job)
            if age >= self._options.pending_seconds:
                job["status"] = "processing"
            done = self._options.pending_seconds + self._options.processing_seconds
            if age >= done and not job["_secret"].get("never_ends"):
                self._complete(job)
            self._store.save_job("export", job)

    def get(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        job = self._store.job("export", job_id)
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
        self._store.save_job("export", job)
        return job

    def file(self, job_id: str, part: int) -> Path:
        """Return the file of a part that can be downloaded now."""
        job = self.get(job_id)
        path = self._folder / part_name(job_id, part)
        expired = (
            job["status"] == "completed"
            and datetime.fromisoformat(job["expires_at"]) <= self._clock.now()
        )
        if job["status"] != "completed" or expired or not path.is_file():
            raise not_found("export job not completed, expired, or without such a part")
        return path

    def _complete(self, job: dict[str, Any]) -> None:
        secret = job["_secret"]
        now = self._clock.now()
        job["completed_at"] = rfc3339(now)
        if "job_fails" in secret:
            job["status"] = "failed"
            job["error_message"] = secret["job_fails"]
            return
        count, sizes = self._write_parts(job)
        job |= {
            "status": "completed",
            "record_count": count,
            "file_size_bytes": sum(sizes),
            "file_parts": len(sizes),
            "expires_at": rfc3339(now + timedelta(seconds=self._options.job_expires_seconds)),
        }

    def _write_parts(self, job: dict[str, Any]) -> tuple[int, list[int]]:
        where, values = _condition(job["filters"], self._store.entities[job["entity_type"]])
        rows = self._store.select(job["entity_type"], job["fields"], where, values)
        sizes: list[int] = []
        count = 0
        exhausted = False
        while not exhausted:
            path = self._folder / part_name(job["id"], len(sizes) + 1)
            encoding = "utf-8-sig" if self._options.byte_order_mark else "utf-8"
            with path.open("w", encoding=encoding, newline="") as file:
                writer = csv.writer(file)
                writer.writerow(job["fields"])
                written = 0
                exhausted = True
                for row in rows:
                    writer.writerow(row)
                    written += 1
                    if written == self._options.part_rows:
                        exhausted = False
                        break
            if written or not sizes:
                mangle(path, job["_secret"].get("mangle_csv", ""))
                sizes.append(path.stat().st_size)
            else:
                path.unlink()
            count += written
        return count, sizes

    def _entity(self, name: object) -> TenantEntity:
        if not isinstance(name, str) or name not in self._store.entities:
            raise bad_request(f"unknown entity_type: {name}")
        return self._store.entities[name]

    def _filters(self, entity: TenantEntity, filters: dict[str, Any] | None) -> dict[str, Any]:
        filters = filters or {}
        window = filters.get("date_range")
        if window is not None:
            field = entity.field(str(window.get("field")))
            if field is None or field.type not in DATE_TYPES:
                raise bad_request(f"not a date field of {entity.name}: {window.get('field')}")
            start, end = (_day(window.get(name)) for name in ("start", "end"))
            if start and end and start > end:
                raise bad_request("date_range.start is after date_range.end")
        list_id = filters.get("account_list_id")
        if list_id is not None and not _is_list(list_id):
            raise bad_request(f"unknown account_list_id: {list_id}")
        return filters

    def _bytes_today(self) -> int:
        today = rfc3339(self._clock.now())[:10]
        return sum(
            job.get("file_size_bytes", 0)
            for job in self._store.jobs("export")
            if job.get("completed_at", "").startswith(today)
        )

    def _age(self, job: dict[str, Any]) -> float:
        return (self._clock.now() - datetime.fromisoformat(job["created_at"])).total_seconds()


def part_name(job_id: str, part: int) -> str:
    """Return the file name of a part."""
    return f"{job_id}-part-{part}.csv"


def _fields(entity: TenantEntity, wanted: list[str] | None) -> list[str]:
    if wanted is None:
        return [field.name for field in entity.fields]
    if unknown := [name for name in wanted if entity.field(name) is None]:
        raise bad_request(f"unknown fields of {entity.name}: {', '.join(unknown)}")
    if len(set(wanted)) != len(wanted):
        raise bad_request("fields are named twice")
    if not wanted:
        raise bad_request("fields is empty")
    return wanted


def _day(text: object) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(str(text), "%Y-%m-%d").date()  # noqa: DTZ007 - a day, no moment
    except ValueError:
        raise bad_request(f"not a date (YYYY-MM-DD): {text}") from None


def _is_list(list_id: str) -> bool:
    return list_id.startswith(LIST_PREFIX) and list_id.removeprefix(LIST_PREFIX) in {"1", "2"}


def _condition(filters: dict[str, Any], entity: TenantEntity) -> tuple[str, list[str]]:
    """Return SQL for filters: days are inclusive; list N holds the accounts ending in digit N."""
    conditions, values = ["1"], []
    if window := filters.get("date_range"):
        day = f'substr("{window["field"]}", 1, 10)'
        if start := window.get("start"):
            conditions.append(f"{day} >= ?")
            values.append(start)
        if end := window.get("end"):
            conditions.append(f"{day} <= ?")
            values.append(end)
    if (list_id := filters.get("account_list_id")) and entity.field("account_id"):
        conditions.append("account_id LIKE ?")
        values.append("%" + list_id.removeprefix(LIST_PREFIX))
    return " AND ".join(conditions), values
