"""Rows of an import file: checked against the mappings, then really written."""

from __future__ import annotations

import csv
import re
import uuid
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.refusal import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demandbase_sandbox.store import Store
    from demandbase_sandbox.tenant_schema import TenantEntity, TenantField

csv.field_size_limit(2**31 - 1)
_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?$")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row is not taken."""

    row_number: int
    field: str
    value: str
    error_type: str
    message: str

    def document(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return asdict(self)


def check_file(path: Path, columns: set[str]) -> int:
    """Return the number of data rows of a well-formed file.

    Raises:
        RefusalError: The file is no CSV with exactly these columns.
    """
    rows = _read(path)
    header = next(rows, None)
    if header is None:
        raise bad_request("the file is empty")
    if len(set(header)) != len(header) or set(header) != columns:
        raise bad_request("the header does not match field_mappings")
    count = 0
    for row in rows:
        count += 1
        if len(row) != len(header):
            raise bad_request(f"data row {count} has {len(row)} cells, the header {len(header)}")
    return count


def _read(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, strict=True)
    except (csv.Error, UnicodeDecodeError):
        raise bad_request("the file is no valid CSV in UTF-8") from None


class RowImporter:
    """Applies the rows of one job."""

    def __init__(self, store: Store, job: dict[str, Any], row_number_base: int) -> None:
        self._store = store
        self._entity: TenantEntity = store.entities[job["entity_type"]]
        self._operation: str = job["operation"]
        self._match_key: str = job["_match_key"]
        self._mapping: dict[str, str] = job["_mapping"]
        self._base = row_number_base

    def run(self, path: Path) -> tuple[int, list[RowProblem]]:
        """Apply all rows; return how many were taken, and the problems of the others."""
        taken, problems = 0, []
        rows = _read(path)
        header = next(rows)
        with self._store.lock, self._store.transaction():
            for number, cells in enumerate(rows, self._base):
                row = {
                    self._mapping[column]: cell for column, cell in zip(header, cells, strict=True)
                }
                found = list(self._problems(number, row))
                if found:
                    problems += found
                else:
                    taken += 1
        return taken, problems

    def _problems(self, number: int, row: dict[str, str]) -> Iterator[RowProblem]:
        bad = False
        for name, value in row.items():
            field = self._entity.field(name)
            if field is None:
                continue
            if value == "" and (name == self._match_key or field.required):
                kind = "missing_match_key" if name == self._match_key else "required"
                yield RowProblem(number, name, "", kind, f"{name} is required")
                bad = True
            elif value and not fits(field, value):
                message = f'"{value}" is no {field.type}'
                yield RowProblem(number, name, value, "invalid_type", message)
                bad = True
        if bad:
            return
        matches = self._matches(row)
        if len(matches) > 1:
            yield self._match_problem(number, row, "ambiguous_match", "several records match")
        elif self._operation == "insert" and matches:
            yield self._match_problem(number, row, "duplicate", "the record exists already")
        elif self._operation == "update" and not matches:
            yield self._match_problem(number, row, "not_found", "no record matches")
        else:
            self._write(matches[0] if matches else None, row)

    def _matches(self, row: dict[str, str]) -> list[int]:
        if not self._match_key:
            return []
        return self._store.find(self._entity.name, self._match_key, row[self._match_key])

    def _match_problem(
        self, number: int, row: dict[str, str], kind: str, message: str
    ) -> RowProblem:
        value = row.get(self._match_key, "")
        return RowProblem(number, self._match_key, value, kind, message)

    def _write(self, row_id: int | None, row: dict[str, str]) -> None:
        cells: dict[str, str | None] = {name: value or None for name, value in row.items()}
        if row_id is None:
            cells.setdefault(self._entity.id_field, str(uuid.uuid4()))
        self._store.write(self._entity.name, row_id, cells)


def fits(field: TenantField, value: str) -> bool:  # noqa: PLR0911
    """Whether a cell fits a field's type."""
    try:
        match field.type:
            case "integer" | "long":
                return re.fullmatch(r"[+-]?\d+", value) is not None
            case "number" | "double" | "currency" | "percent":
                return _DECIMAL.fullmatch(value) is not None
            case "boolean":
                return value in {"true", "false"}
            case "date":
                return date.fromisoformat(value).isoformat() == value
            case "datetime":
                datetime.fromisoformat(value)
                return "T" in value and value.endswith("Z")
            case "email":
                return "@" in value
            case _:
                return True
    except ValueError:
        return False
