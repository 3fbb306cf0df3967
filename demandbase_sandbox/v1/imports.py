"""Import jobs of the v1 API: mappings, files, and rows with their errors."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from typing_extensions import override

from demandbase_sandbox.clock import rfc3339
from demandbase_sandbox.exceptions import ApiError, bad_request, not_found
from demandbase_sandbox.faults import NO_FAULTS, JobFaults
from demandbase_sandbox.tenant.files import line_numbers, read_rows
from demandbase_sandbox.tenant.jobs import Job, SimulatedJobs
from demandbase_sandbox.tenant.schema import IMPORTABLE, fits
from demandbase_sandbox.v1.schemas import (
    ImportJobDocument,
    MappingDocument,
    RowErrorDocument,
    RowErrorList,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.schema import TenantEntity
    from demandbase_sandbox.tenant.store import Store


@dataclass(kw_only=True)
class ImportJob(Job):
    """An import job of the v1 API."""

    operation: str
    match_key: str
    mapping: dict[str, str]
    file_name: str | None = None
    file_size_bytes: int | None = None
    total_rows: int | None = None
    processed_rows: int | None = None
    success_count: int | None = None
    error_count: int | None = None
    uploaded_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = None

    @property
    @override
    def queued_at(self) -> datetime | None:
        return self.uploaded_at

    @property
    @override
    def ended_at(self) -> datetime | None:
        return self.completed_at


class ImportJobs(SimulatedJobs[ImportJob]):
    """The import jobs of a tenant."""

    def __init__(
        self, store: Store, folder: Path, clock: SandboxClock, options: SandboxOptions
    ) -> None:
        super().__init__(store, folder, clock, options)
        self.row_errors = RowErrors(store)

    def mappings(self, entity_type: str | None) -> list[MappingDocument]:
        """Return the fields that can be imported."""
        if entity_type is not None and entity_type not in IMPORTABLE:
            raise bad_request(f"unknown entity_type: {entity_type}")
        return [
            MappingDocument(
                entity_type=name,
                field_name=field.name,
                field_type=field.type,
                required=field.required,
                description=field.description,
            )
            for name in IMPORTABLE
            if entity_type in {None, name}
            for field in self._store.entities[name].fields
            if field.importable
        ]

    def create(self, body: dict[str, Any], faults: JobFaults = NO_FAULTS) -> ImportJob:
        """Create a job."""
        name = body["entity_type"]
        if name not in IMPORTABLE:
            raise bad_request(f"unknown entity_type: {name}")
        entity = self._store.entities[name]
        mapping = requested_mapping(entity, body["operation"], body.get("field_mappings") or [])
        match_key = requested_match_key(entity, body["operation"], body.get("match_key"), mapping)
        job = ImportJob(
            id=str(uuid.uuid4()),
            entity_type=name,
            status="pending",
            created_at=self._clock.now(),
            operation=body["operation"],
            match_key=match_key,
            mapping=mapping,
            faults=faults,
        )
        if faults.foreign and faults.never_ends:
            job.status, job.file_name = "processing", "upload.csv"
            job.uploaded_at, job.total_rows = job.created_at, 1
        return self.add(job)

    def upload(
        self, job_id: str, file_name: str, file: BinaryIO, too_large: int | None = None
    ) -> ImportJob:
        """Store a job's file; ``too_large`` is a maximum size in place of ``max_upload_bytes``."""
        job = self.get(job_id)
        if job.status != "pending":
            raise bad_request(f"the job takes no file: it is {job.status}")
        file.seek(0, 2)
        size = file.tell()
        limit = self._options.max_upload_bytes if too_large is None else too_large
        if size > limit:
            raise ApiError(413, f"the file is too large: {size} bytes, at most {limit}")
        file.seek(0)
        path = self.file(job_id)
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        job.total_rows = check_file(path, set(job.mapping))
        job.status = "validating"
        job.file_name = file_name
        job.file_size_bytes = size
        job.processed_rows = 0
        job.uploaded_at = self._clock.now()
        return job

    def errors(self, job_id: str, limit: int, offset: int, way: str) -> RowErrorList:
        """Return a page of a job's row errors, written in one of ``ERROR_WAYS`` or as they are."""
        self.get(job_id)
        page = self.row_errors.page(job_id, limit, offset)
        if way:
            lines = line_numbers(self.file(job_id))
            page.errors = [
                _odd_error(error, way, error.row_number - self._options.row_number_base, lines)
                for error in page.errors
            ]
        return page

    def cancel(self, job_id: str) -> ImportJob:
        """Cancel a job that is not being processed yet."""
        job = self.get(job_id)
        if job.status not in {"pending", "validating"}:
            raise ApiError(409, f"job cannot be cancelled: it is {job.status}")
        job.status = "cancelled"
        job.completed_at = self._clock.now()
        return job

    def file(self, job_id: str) -> Path:
        """Return the path of a job's file."""
        return self._folder / f"{job_id}-import.csv"

    @override
    def document(self, job: ImportJob) -> dict[str, Any]:
        return ImportJobDocument.model_validate(job).model_dump(exclude_defaults=True)

    @override
    def _unknown(self) -> ApiError:
        return not_found("import job not found")

    @override
    def _process(self, job: ImportJob, now: datetime) -> None:
        job.status = "processing"
        job.started_at = self.starts(job)
        worked = (now - job.started_at).total_seconds()
        share = min(1.0, worked / (self._options.processing_seconds or 1))
        job.processed_rows = int((job.total_rows or 0) * share)

    @override
    def _end(self, job: ImportJob, end: datetime) -> None:
        failed = job.faults.fails is not None
        rows = job.faults.rows if failed else job.total_rows
        base = self._options.row_number_base
        importer = RowImporter(self._store, self.row_errors, job, base, rfc3339(end))
        done, taken = importer.run(self.file(job.id), rows)
        job.status = "failed" if failed else "completed"
        job.processed_rows = done
        job.success_count = taken
        job.error_count = done - taken
        job.completed_at = end
        job.error_message = job.faults.fails


class RowImporter:
    """Applies the rows of one job.

    Args:
        row_number_base: Number of the first data row.
        now: Timestamp of new and changed rows.
    """

    def __init__(
        self, store: Store, errors: RowErrors, job: ImportJob, row_number_base: int, now: str
    ) -> None:
        self._store = store
        self._errors = errors
        self._job_id = job.id
        self._entity = store.entities[job.entity_type]
        self._operation = job.operation
        self._match_key = job.match_key
        self._mapping = job.mapping
        self._base = row_number_base
        self._now = now

    def run(self, path: Path, limit: int | None) -> tuple[int, int]:
        """Apply at most ``limit`` rows; return how many were read and how many applied."""
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
                self._errors.add(self._job_id, enumerate(found, problems))
                problems += len(found)
                spoiled += bool(found)
                done += 1
        return done, done - spoiled

    def _problems(self, number: int, row: dict[str, str]) -> Iterator[RowErrorDocument]:
        bad = False
        for name, value in row.items():
            field = self._entity.field(name)
            if field is None:
                continue
            if not value and (name == self._match_key or field.required):
                kind = "missing_match_key" if name == self._match_key else "required"
                yield _error(number, name, "", kind, f"{name} is required")
                bad = True
            elif value and not fits(field.type, value):
                message = f'"{value}" is no {field.type}'
                yield _error(number, name, value, "invalid_type", message)
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
        yield _error(number, key, row.get(key, ""), kind, message)

    def _matches(self, row: dict[str, str]) -> tuple[str, list[int]]:
        """Return the key that matches, and the matching rows. An insert matches on all keys."""
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
            # A blank id means that the file does not know it: the record keeps its own.
            cells.pop(self._entity.id_field, None)
            if row_id is None:
                cells[self._entity.id_field] = str(uuid.uuid4())
        self._store.write(self._entity.name, row_id, cells, self._now)


def _error(row_number: int, field: str, value: str, kind: str, message: str) -> RowErrorDocument:
    return RowErrorDocument(
        row_number=row_number, field=field, value=value, error_type=kind, message=message
    )


def _odd_error(error: RowErrorDocument, way: str, row: int, lines: list[int]) -> RowErrorDocument:
    """Return the error of a row, counted from 0, as some servers write it."""
    number, value = error.row_number, error.value
    match way:
        case "lines":
            number = lines[row]
        case "from_3":
            number = row + 3
        case "shuffled":
            number = len(lines) - row
        case "no_values":
            value = ""
        case "lower_case":
            value = value.lower()
        case "truncated":
            value = value[:3]
        case _:
            pass
    return error.model_copy(update={"row_number": number, "value": value})


class RowErrors:
    """The row errors of all jobs, in SQLite: there may be millions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.clear()

    def clear(self) -> None:
        """Remove all row errors."""
        with self._store.lock:
            self._store.database.executescript("""
                DROP TABLE IF EXISTS "sandbox row errors";
                CREATE TABLE "sandbox row errors" (
                    job_id TEXT, number INTEGER, document TEXT, PRIMARY KEY (job_id, number)
                );
            """)

    def add(self, job_id: str, errors: Iterable[tuple[int, RowErrorDocument]]) -> None:
        """Add row errors of a job with their running numbers."""
        with self._store.lock:
            self._store.database.executemany(
                'INSERT INTO "sandbox row errors" VALUES (?, ?, ?)',
                ((job_id, number, error.model_dump_json()) for number, error in errors),
            )

    def page(self, job_id: str, limit: int, offset: int) -> RowErrorList:
        """Return some row errors of a job in the file's order, and how many there are."""
        with self._store.lock:
            total = self._store.database.execute(
                'SELECT count(*) FROM "sandbox row errors" WHERE job_id = ?', (job_id,)
            ).fetchone()[0]
            # An offset may be larger than what SQLite can count.
            found = self._store.database.execute(
                'SELECT document FROM "sandbox row errors"'
                " WHERE job_id = ? AND number >= ? ORDER BY number LIMIT ?",
                (job_id, min(offset, total), limit),
            ).fetchall()
        errors = [RowErrorDocument.model_validate_json(document) for (document,) in found]
        return RowErrorList(errors=errors, total=total)


def requested_mapping(
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


def requested_match_key(
    entity: TenantEntity, operation: str, match_key: str | None, mapping: Mapping[str, str]
) -> str:
    """Return the field to match rows on; empty for an insert without one."""
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


def check_file(path: Path, columns: set[str]) -> int:
    """Return the number of data rows of a well-formed file.

    Raises:
        ApiError: The file is not CSV with exactly these columns.
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
