"""From a record to the row that is staged, or to why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_demandbase.column_types import json_types
from target_demandbase.csv_row import csv_cell, csv_row, header_row
from target_demandbase.encode import encode_cell
from target_demandbase.identity import identity_key
from target_demandbase.schema_check import is_date_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_demandbase.stream_plan import StreamPlan


_BARE_TYPES = ({"integer"}, {"boolean"})


class RowError(Exception):
    """A record that cannot be sent.

    Args:
        field: The column concerned.
        type: Kind of error.
        reason: What is wrong, without a value.
    """

    def __init__(self, field: str | None, type: str, reason: str) -> None:  # noqa: A002
        self.field = field
        self.type = type
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of CSV.

    Args:
        columns: Its columns.
        cells: Their texts.
        line: It, encoded, with its line end.
        key: What tells it apart: its cell of the match key, or all that it may be matched by;
            empty where nothing does.
    """

    columns: tuple[str, ...]
    cells: tuple[str, ...]
    line: bytes
    key: str


class Intake:
    """Encodes records of one stream.

    Args:
        plan: The stream's plan.
        omit_null: Whether null and empty texts are left out instead of blanking a field.
        max_bytes: Bytes in one file at most.
    """

    def __init__(self, plan: StreamPlan, *, omit_null: bool, max_bytes: int) -> None:
        self._columns = tuple(plan.fields)
        self._key = plan.key_column
        self._required = plan.required
        self._must_fill = plan.must_fill
        self._identity = plan.identity
        self._header = plan.header
        self._omit_null = omit_null
        self._max_bytes = max_bytes
        properties: Mapping[str, Any] = plan.schema["properties"]
        self._date_times = {name for name, rule in properties.items() if is_date_time(rule)}
        self._bare = {
            name for name, rule in properties.items() if {*json_types(rule)} in _BARE_TYPES
        }

    def row(self, record: Mapping[str, Any]) -> Row:
        """Return the row of a record.

        Raises:
            RowError: It has none.
        """
        columns: list[str] = []
        texts: list[str] = []
        cells: list[str] = []
        key = ""
        for column in self._columns:
            if column not in record:
                continue
            value = record[column]
            try:
                text = encode_cell(value, is_date_time=column in self._date_times)
                text.encode()
            except ValueError:
                raise RowError(
                    column, "invalid_value", f"the value of {column} cannot be written to CSV"
                ) from None
            if column == self._key:
                key = text
            if not text and self._omit_null:
                continue
            columns.append(column)
            texts.append(text)
            is_bare = column in self._bare and isinstance(value, (int, bool))
            cells.append(csv_cell(None if value is None else text, bare=is_bare))
        if self._key is not None and not key:
            raise RowError(
                self._key, "missing_match_key", f"the match key {self._key} is null or missing"
            )
        if lacking := self._required.difference(columns):
            # One such row would make Demandbase refuse the whole job.
            name = min(lacking)
            raise RowError(
                name, "missing_required", f"{name}, which fills a required field, is missing"
            )
        if not columns:
            raise RowError(None, "empty", "it has no value to send")
        key = self._identified(key, columns, texts)
        line = csv_row(cells)
        if len(line) + len(header_row(self._header(columns))) > self._max_bytes:
            raise RowError(None, "too_large", "the row is larger than max_file_bytes")
        return Row(tuple(columns), tuple(texts), line, key)

    def _identified(self, key: str, columns: Sequence[str], texts: Sequence[str]) -> str:
        """Return what tells a row apart, also where Demandbase matches it by its own rules.

        Raises:
            RowError: A cell is empty without which Demandbase passes the row over.
        """
        if not (self._must_fill or self._identity):
            return key
        cells = dict(zip(columns, texts, strict=True))
        for name, text in cells.items():
            if not text and name in self._must_fill:
                raise RowError(
                    name, "missing_required", f"{name}, which fills a required field, is empty"
                )
        return identity_key(self._identity, cells)
