"""Rows of an import file: checked against the mappings, then really written."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.cell_types import fits
from demandbase_sandbox.import_file import read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demandbase_sandbox.job_book import JobBook
    from demandbase_sandbox.store import Store
    from demandbase_sandbox.tenant_schema import TenantEntity


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
