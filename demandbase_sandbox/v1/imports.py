"""Import jobs: created, given a file, validated, and worked on by the clock."""

from __future__ import annotations

import csv
import shutil
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from demandbase_sandbox.clock import rfc3339
from demandbase_sandbox.exceptions import RefusalError, bad_request, not_found
from demandbase_sandbox.tenant.jobs import TERMINAL, TenantJobs
from demandbase_sandbox.tenant.schema import IMPORTABLE, fits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from demandbase_sandbox.tenant.jobs import JobBook
    from demandbase_sandbox.tenant.schema import TenantEntity
    from demandbase_sandbox.tenant.store import Store


csv.field_size_limit(2**31 - 1)


def check_file(path: Path, columns: set[str]) -> int:
    """Return the number of data rows of a well-formed file.

    Raises:
        RefusalError: The file is no CSV with exactly these columns.
    """
    rows = read_rows(path)
    header = next(rows, None)
    if header is None:
        raise bad_request("the file is empty")
    if len(set(header)) != len(header):
        raise bad_request("the header names a column twice")
    if surplus := sorted(set(header) - columns):
        raise bad_request(f"the header does not match field_mappings: unknown {surplus}")
    if missing := sorted(columns - set(header)):
        raise bad_request(f"the header does not match field_mappings: missing {missing}")
    count = 0
    for row in rows:
        count += 1
        if len(row) != len(header):
            raise bad_request(f"data row {count} has {len(row)} cells, the header {len(header)}")
    return count


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield header and rows.

    Raises:
        RefusalError: The file is no CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, strict=True)
    except (csv.Error, UnicodeDecodeError):
        raise bad_request("the file is no valid CSV in UTF-8") from None


def asked_mapping(
    entity: TenantEntity, operation: str, mappings: Sequence[Mapping[str, str]]
) -> dict[str, str]:
    """Return the field of each CSV column."""
    result: dict[str, str] = {}
    for item in mappings:
        column, name = item["csv_column"], item["demandbase_field"]
        field = entity.field(name)
        if field is None or not field.importable:
            raise bad_request(f"unknown demandbase_field of {entity.name}: {name}")
        if not column:
            raise bad_request(f"the csv_column of {name} is empty")
        if column in result:
            raise bad_request(f"field_mappings names a csv_column twice: {column}")
        if name in result.values():
            raise bad_request(f"field_mappings names a demandbase_field twice: {name}")
        result[column] = name
    if not result:
        raise bad_request("field_mappings is empty")
    required = {item.name for item in entity.fields if item.required and item.importable}
    missing = sorted(required - set(result.values()))
    if missing and operation != "update":
        raise bad_request(f"required fields are not mapped: {', '.join(missing)}")
    return result


def asked_match_key(
    entity: TenantEntity, operation: str, match_key: str | None, mapping: Mapping[str, str]
) -> str:
    """Return the field that rows are matched on; an insert may have none."""
    if match_key is None:
        if operation != "insert":
            raise bad_request(f"{operation} needs a match_key")
        return ""
    field = entity.field(match_key)
    if field is None or not field.key:
        keys = ", ".join(item.name for item in entity.fields if item.key)
        raise bad_request(f"{match_key} is no match_key of {entity.name}; those are {keys}")
    if match_key not in mapping.values():
        raise bad_request(f"match_key is not mapped: {match_key}")
    return match_key


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row is not taken."""

    row_number: int
    field: str
    value: str
    error_type: str
    message: str


class RowImporter:
    """Applies the rows of one job.

    Args:
        store: Where the rows go.
        book: Where the row errors go.
        job: The job.
        row_number_base: Number of the first data row.
        now: The moment that new and changed rows are stamped with.
    """

    def __init__(
        self, store: Store, book: JobBook, job: dict[str, Any], row_number_base: int, now: str
    ) -> None:
        self._store = store
        self._book = book
        self._job_id: str = job["id"]
        self._entity: TenantEntity = store.entities[job["entity_type"]]
        self._operation: str = job["operation"]
        self._match_key: str = job["_match_key"]
        self._mapping: dict[str, str] = job["_mapping"]
        self._base = row_number_base
        self._now = now

    def run(self, path: Path, limit: int) -> tuple[int, int]:
        """Apply at most so many rows; return how many were looked at and how many taken."""
        done, problems = 0, 0
        spoiled = 0
        rows = read_rows(path)
        header = next(rows)
        with self._store.transaction():
            for cells in islice(rows, limit):
                row = {
                    self._mapping[column]: cell for column, cell in zip(header, cells, strict=True)
                }
                found = list(self._problems(self._base + done, row))
                numbered = enumerate((asdict(problem) for problem in found), problems)
                self._book.add_row_errors(self._job_id, numbered)
                problems += len(found)
                spoiled += bool(found)
                done += 1
        return done, done - spoiled

    def _problems(self, number: int, row: dict[str, str]) -> Iterator[RowProblem]:
        bad = False
        for name, value in row.items():
            field = self._entity.field(name)
            if field is None:
                continue
            if not value and (name == self._match_key or field.required):
                kind = "missing_match_key" if name == self._match_key else "required"
                yield RowProblem(number, name, "", kind, f"{name} is required")
                bad = True
            elif value and not fits(field.type, value):
                message = f'"{value}" is no {field.type}'
                yield RowProblem(number, name, value, "invalid_type", message)
                bad = True
        if bad:
            return
        key, matches = self._matches(row)
        if len(matches) > 1:
            kind, message = "ambiguous_match", "several records match"
        elif self._operation == "insert" and matches:
            kind, message = "duplicate", "the record exists already"
        elif self._operation == "update" and not matches:
            kind, message = "not_found", "no record matches"
        else:
            self._write(matches[0] if matches else None, row)
            return
        yield RowProblem(number, key, row.get(key, ""), kind, message)

    def _matches(self, row: dict[str, str]) -> tuple[str, list[int]]:
        """Return the key by which records match, and these; an insert may match by any key."""
        keys = [self._match_key] if self._match_key else []
        if self._operation == "insert":
            keys += [item.name for item in self._entity.fields if item.key and row.get(item.name)]
        for key in keys:
            if matches := self._store.find(self._entity.name, key, row[key]):
                return key, matches
        return self._match_key, []

    def _write(self, row_id: int | None, row: dict[str, str]) -> None:
        cells: dict[str, str | None] = {name: value or None for name, value in row.items()}
        if cells.get(self._entity.id_field) is None:
            # A record keeps its id: blank means that the file does not know it.
            cells.pop(self._entity.id_field, None)
            if row_id is None:
                cells[self._entity.id_field] = str(uuid.uuid4())
        for stamp in ("updated_at", *(("created_at",) if row_id is None else ())):
            if self._entity.field(stamp) is not None:
                cells[stamp] = self._now
        self._store.write(self._entity.name, row_id, cells)


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
