"""Export jobs: created, worked on by the clock, and their files."""

from __future__ import annotations

import csv
import gzip
import re
import shutil
import uuid
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.clock import SandboxClock, rfc3339
from demandbase_sandbox.exceptions import RefusalError, bad_request, not_found
from demandbase_sandbox.faults import mangle
from demandbase_sandbox.tenant.jobs import TERMINAL, JobBook, TenantJobs
from demandbase_sandbox.tenant.schema import DATE_TYPES, TenantEntity
from demandbase_sandbox.tenant.store import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.store import Store


class ExportFiles:
    """The files of all exports of a tenant.

    Args:
        folder: Where they are.
        options: How many rows a part has, and how it is encoded.
    """

    def __init__(self, folder: Path, options: SandboxOptions) -> None:
        self._folder = folder
        self._options = options

    def path(self, job_id: str, part: int) -> Path:
        """Return where a part is."""
        return self._folder / self.name(job_id, part)

    def name(self, job_id: str, part: int) -> str:
        """Return the file name of a part."""
        return f"{job_id}-part-{part}.csv{'.gz' if self._options.gzip else ''}"

    def write(
        self,
        job_id: str,
        fields: Sequence[str],
        rows: Iterator[tuple[str | None, ...]],
        way_to_mangle: str,
    ) -> tuple[int, list[int]]:
        """Write all parts, at least one; return the rows and each part's bytes."""
        sizes: list[int] = []
        count = 0
        first: tuple[str | None, ...] | None = next(rows, None)
        while first is not None or not sizes:
            path = self._folder / f"{job_id}-part-{len(sizes) + 1}.csv"
            encoding = "utf-8-sig" if self._options.byte_order_mark else "utf-8"
            with path.open("w", encoding=encoding, newline="") as file:
                writer = csv.writer(file)
                writer.writerow(fields)
                written = 0
                while first is not None:
                    writer.writerow(first)
                    written += 1
                    first = next(rows, None)
                    if written == self._options.part_rows:
                        break
            count += written
            mangle(path, way_to_mangle)
            if self._options.gzip:
                path = _zipped(path)
            sizes.append(path.stat().st_size)
        return count, sizes


def _zipped(path: Path) -> Path:
    zipped = path.with_name(f"{path.name}.gz")
    with (
        path.open("rb") as plain,
        zipped.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as body,
    ):
        shutil.copyfileobj(plain, body)
    path.unlink()
    return zipped


LIST_PREFIX = "list-"
"""Account list N holds the accounts whose id ends in the digit N."""

LISTS = frozenset({f"{LIST_PREFIX}1", f"{LIST_PREFIX}2"})

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def asked_entity(entities: Mapping[str, TenantEntity], name: object) -> TenantEntity:
    """Return the entity that is asked for."""
    if not isinstance(name, str) or name not in entities:
        raise bad_request(f"unknown entity_type: {name}")
    return entities[name]


def asked_fields(entity: TenantEntity, wanted: list[str] | None) -> list[str]:
    """Return the fields that are asked for; all where none are named."""
    if wanted is None:
        return [field.name for field in entity.fields]
    if unknown := [name for name in wanted if entity.field(name) is None]:
        raise bad_request(f"unknown fields of {entity.name}: {', '.join(unknown)}")
    if twice := sorted({name for name in wanted if wanted.count(name) > 1}):
        raise bad_request(f"fields are named twice: {', '.join(twice)}")
    if not wanted:
        raise bad_request("fields is empty")
    return wanted


def asked_filters(entity: TenantEntity, filters: dict[str, Any] | None) -> dict[str, Any]:
    """Return the filters that are asked for."""
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
    """Return SQL and its values for filters: days are of UTC and inclusive, empty is outside."""
    conditions, values = ["1"], []
    if window := filters.get("date_range"):
        # Moments are kept in UTC, so their first ten characters are the day.
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
