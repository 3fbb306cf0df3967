"""What the file of one export looks like: forms and numbers, never a cell."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as member
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from tap_demandbase.cast import type_name
from tap_demandbase.csv_reader import DAMAGE, as_properties, is_gzip, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from demandbase_api.models import Entity, EntityField, ExportJob, ExportRequest

_FIRST_BYTES = 64 * 1024
_BOM = b"\xef\xbb\xbf"
_NULLS = frozenset(
    {"null", "NULL", "Null", "None", "\\N", "N/A", "n/a", "NaN", "nan", "-", "undefined"}
)
"""Texts that may stand for null. A finding may show them, and no other cell."""

_NUMBER_FORMS = (
    (re.compile(r"[+-]?\d+"), "digits"),
    (re.compile(r"[+-]?\d+\.0+"), "digits and .0"),
    (re.compile(r"[+-]?\d*\.\d+"), "with decimals"),
    (re.compile(r"[+-]?\d*\.?\d+[eE][+-]?\d+"), "with an exponent"),
    (re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"), "with thousands separators"),
)
_BOOLEANS = (
    frozenset({"true", "false"}),
    frozenset({"True", "False"}),
    frozenset({"TRUE", "FALSE"}),
    frozenset({"0", "1"}),
    frozenset({"yes", "no"}),
    frozenset({"Yes", "No"}),
)
_OTHER = "of another form"
_MAX_SHAPE = 40


@dataclass
class Sample:
    """The file of an export, or what a finding may say of it.

    Args:
        entity: The exported entity.
        request: The request of the job.
        schemas: JSON Schema by exported property.
        fields: Field by exported property.
        key: Properties that identify a record.
        first: First of two days; ``None`` if no date bounds the export.
        date_property: Property whose dates bound it.
    """

    entity: Entity
    request: ExportRequest
    schemas: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, EntityField]
    key: Sequence[str]
    first: date | None
    date_property: str | None
    job: ExportJob | None = None
    created_at: datetime | None = None
    """When the job was created, by the local clock; ``None`` if it existed before."""
    parts: int = 0
    received: int = 0
    """Bytes of the files."""
    plain_bytes: int = 0
    """Bytes of the files without gzip."""
    gzip_parts: int = 0
    empty_parts: int = 0
    rows: int = 0
    columns: int = 0
    problem: str | None = None
    """Why a part is no strict CSV in UTF-8."""
    ragged_rows: int = 0
    line_ends: Counter[str] = member(default_factory=Counter)
    has_mark: bool = False
    headings: Counter[str] = member(default_factory=Counter)
    """How the columns are spelt."""
    in_order: bool = True
    """Whether columns are in the order of the request."""
    forms: dict[str, Counter[str]] = member(default_factory=dict)
    """Forms of cells that are not empty, by type of their field."""
    empty_cells: int = 0
    nulls: Counter[str] = member(default_factory=Counter)
    """Texts that may stand for null, in fields that are no texts."""
    null_texts: Counter[str] = member(default_factory=Counter)
    """The same texts in fields that are texts, where they may be values."""
    days: dict[str, Counter[str]] = member(default_factory=dict)
    """Where the dates are, by property of a date: on the first or the second day, or elsewhere."""
    keys: set[int] = member(default_factory=set)
    folded_keys: set[int] = member(default_factory=set)
    keys_with_empty: int = 0
    numeric_keys: int = 0

    def read(self, file: BinaryIO) -> None:
        """Read a part."""
        self.parts += 1
        self.received += file.seek(0, io.SEEK_END)
        file.seek(0)
        self.gzip_parts += is_gzip(file)
        try:
            with plain(file) as content:
                self._look(content.read(_FIRST_BYTES))
            with plain(file) as content:
                content.seek(0)
                text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
                self._read_rows(text)
                self.plain_bytes += content.tell()
                text.detach()
        except csv.Error:
            self.problem = "not strict CSV"
        except UnicodeDecodeError:
            self.problem = "not UTF-8"
        except DAMAGE:
            self.problem = "a damaged gzip file"

    def _look(self, beginning: bytes) -> None:
        self.has_mark = self.has_mark or beginning.startswith(_BOM)
        with_return = beginning.count(b"\r\n")
        self.line_ends["CRLF"] += with_return
        self.line_ends["LF"] += beginning.count(b"\n") - with_return
        self.line_ends["CR"] += beginning.count(b"\r") - with_return

    def _read_rows(self, text: io.TextIOWrapper) -> None:
        rows = csv.reader(text, strict=True)
        header = next(rows, None)
        if header is None:
            self.empty_parts += 1
            return
        known = as_properties(header, self.fields)
        if self.parts == 1:
            self._look_at_header(header, known)
        columns = [
            (number, name, type_name(self.schemas[name]))
            for number, name in enumerate(known)
            if name in self.schemas
        ]
        key = [known.index(name) for name in self.key if name in known]
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                self.ragged_rows += 1
                continue
            self.rows += 1
            for number, name, kind in columns:
                self._look_at_cell(name, kind, row[number])
            if key and len(key) == len(self.key):
                self._look_at_key([row[number] for number in key])

    def _look_at_header(self, header: Sequence[str], known: Sequence[str]) -> None:
        self.columns = len(header)
        for column, name in zip(header, known, strict=True):
            self.headings[self._spelling(column, name)] += 1
        requested = [name for name in self.fields if name in known]
        self.in_order = [name for name in known if name in self.fields] == requested

    def _spelling(self, column: str, name: str) -> str:
        field = self.fields.get(name)
        if field is None:
            folded = column.casefold()
            spellings = {
                text.casefold()
                for name, field in self.fields.items()
                for text in (name, field.job_name, field.label or "")
            }
            return "in another case" if folded in spellings else "of no field"
        if column == field.job_name:
            return "the name"
        return "the label" if column == field.label else "the property"

    def _look_at_cell(self, name: str, kind: str, cell: str) -> None:
        if name in self._dates:
            self.days.setdefault(name, Counter())[self._place(cell)] += 1
        if not cell:
            self.empty_cells += 1
        elif cell in _NULLS:
            (self.null_texts if kind == "string" else self.nulls)[cell] += 1
        elif (form := form_of(kind, cell)) is not None:
            self.forms.setdefault(kind, Counter())[form] += 1

    @property
    def _dates(self) -> list[str]:
        if self.first is None:
            return []
        return [name for name, each in self.schemas.items() if each.get("format") in _DATE_FORMATS]

    def _place(self, cell: str) -> str:
        if not cell:
            return "empty"
        assert self.first is not None  # noqa: S101 - else no date is looked at
        try:
            day = date.fromisoformat(cell[:10])
        except ValueError:
            return "of another form"
        if day == self.first:
            return "first day"
        return "second day" if day == self.first + timedelta(days=1) else "other days"

    def _look_at_key(self, cells: Sequence[str]) -> None:
        self.keys_with_empty += not all(cells)
        self.numeric_keys += all(cell.isascii() and cell.isdigit() for cell in cells)
        self.keys.add(hash(tuple(cells)))
        self.folded_keys.add(hash(tuple(cell.casefold() for cell in cells)))


_DATE_FORMATS = frozenset({"date", "date-time"})


def form_of(kind: str, cell: str) -> str | None:
    """Return the form of a cell; ``None`` for texts, which may have any.

    Args:
        kind: Type of its field, as ``type_name`` gives it.
        cell: A cell that is not empty.
    """
    match kind:
        case "integer" | "number":
            return next((form for rule, form in _NUMBER_FORMS if rule.fullmatch(cell)), _OTHER)
        case "boolean":
            words = next((words for words in _BOOLEANS if cell in words), None)
            return _OTHER if words is None else " or ".join(sorted(words))
        case "date" | "date-time":
            return date_shape(cell)
        case _:
            return None


def date_shape(cell: str) -> str:
    """Return a date with 9 for each digit and a for each letter but T and Z."""
    shape = "".join(
        "9" if letter.isdigit() else letter if letter in _DATE_MARKS else "a" for letter in cell
    )
    return shape if len(shape) <= _MAX_SHAPE else _OTHER


_DATE_MARKS = frozenset("TZ-:/. +,")
