"""Makes the data: the same files for the same sizes, wherever and whenever.

50,000 rows are drawn; beyond that they come again under other keys, which takes a second for
millions of rows.
"""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from benchmarks.columns import KEY, KEY_MARK, Column, key_of, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SEED = 20_260_131
BASE_ROWS = 50_000
STATE_ROWS = 10_000
"""Rows between two STATE lines, as the SDK's taps write them."""


@dataclass(frozen=True, slots=True)
class ExportFiles:
    """The CSV files of one export.

    Args:
        source: What they were made from.
        rows: How many rows they hold.
        parts: The files, in order; each begins with a header.
    """

    source: Source
    rows: int
    parts: tuple[Path, ...]

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(part.stat().st_size for part in self.parts)


@dataclass(frozen=True)
class Source:
    """Rows of some columns, as values, as CSV and as Singer lines.

    Args:
        name: Name of the stream.
        columns: The columns.
        limit: The most rows that anybody asks for.
    """

    name: str
    columns: tuple[Column, ...]
    limit: int

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self.columns]

    @cached_property
    def base(self) -> list[list[object]]:
        """The rows that all others are copies of."""
        chance = random.Random(f"{SEED}/{','.join(self.names)}")  # noqa: S311 - no secret
        count = min(self.limit, BASE_ROWS)
        return [[column.value(chance, n) for column in self.columns] for n in range(count)]

    def record(self, row: int) -> dict[str, object]:
        """Return a row, counted from 0, as the record that a tap should make of it."""
        copy, number = divmod(row, BASE_ROWS)
        record = dict(zip(self.names, self.base[number], strict=True))
        return {**record, KEY: key_of(copy, number)}

    def csv_files(self, folder: Path, rows: int, parts: int) -> ExportFiles:
        """Write an export's files, as many rows in each as in the others."""
        each, rest = divmod(rows, parts)
        header = _csv_lines([self.names])[0]
        paths = []
        start = 0
        for part in range(parts):
            count = each + (part < rest)
            path = folder / f"{self.name}-{rows}-part-{part + 1}.csv"
            with path.open("wb") as file:
                file.write(header)
                file.writelines(_copies(self._csv, start, start + count))
            paths.append(path)
            start += count
        return ExportFiles(self, rows, tuple(paths))

    def singer_lines(self, rows: int) -> Iterator[bytes]:
        """Yield a stream of Singer messages in large pieces."""
        schema = {
            "type": "SCHEMA",
            "stream": self.name,
            "schema": schema_of(self.columns),
            "key_properties": [KEY],
        }
        yield json.dumps(schema).encode() + b"\n"
        yield from _copies(self._lines, 0, rows)
        yield _STATE

    def singer_file(self, folder: Path, rows: int) -> Path:
        """Write a file of Singer messages."""
        path = folder / f"{self.name}-{rows}.jsonl"
        with path.open("wb") as file:
            file.writelines(self.singer_lines(rows))
        return path

    @cached_property
    def _csv(self) -> list[bytes]:
        return _csv_lines([[_cell(value) for value in row] for row in self.base])

    @cached_property
    def _lines(self) -> list[bytes]:
        lines = []
        for number, row in enumerate(self.base, 1):
            message = {
                "type": "RECORD",
                "stream": self.name,
                "record": dict(zip(self.names, row, strict=True)),
                "time_extracted": "2026-01-31T06:00:00.000000+00:00",
            }
            text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
            lines.append(text.encode() + b"\n" + (b"" if number % STATE_ROWS else _STATE))
        return lines


_STATE = b'{"type":"STATE","value":{"bookmarks":{}}}\n'


def _copies(base: Sequence[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield rows from ``start`` to before ``stop``, each copy of the base under its own keys."""
    mark = KEY_MARK + b"00000-"
    while start < stop:
        copy, first = divmod(start, BASE_ROWS)
        count = min(stop - start, BASE_ROWS - first)
        block = b"".join(base[first : first + count])
        yield block.replace(mark, KEY_MARK + b"%05d-" % copy) if copy else block
        start += count


def _csv_lines(rows: Sequence[Sequence[object]]) -> list[bytes]:
    lines = []
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for row in rows:
        writer.writerow(row)
        lines.append(buffer.getvalue().encode())
        buffer.seek(0)
        buffer.truncate()
    return lines


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
