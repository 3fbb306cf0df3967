"""The data: the same rows for the same sizes, in CSV files and as Singer messages.

50,000 rows are random. More rows repeat them under other keys, which takes a second for millions.
"""

from __future__ import annotations

import csv
import io
import json
import random
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Draw = Callable[[random.Random, int], object]

KEY = "account_id"
KEY_MARK = b"bench-"
"""Start of each row's key. It occurs nowhere else, so that counting it counts rows."""

SEED = 20_260_131
BASE_ROWS = 50_000
STATE_ROWS = 10_000
"""Rows between two STATE messages, as in the SDK's taps."""
_STATE = b'{"type":"STATE","value":{"bookmarks":{}}}\n'


class Kind(StrEnum):
    """Type of a column, in the words of the export API."""

    STRING = "string"
    INTEGER = "long"
    NUMBER = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    DATE_TIME = "datetime"


_SCHEMAS: dict[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": ["null", "string"]},
    Kind.INTEGER: {"type": ["null", "integer"]},
    Kind.NUMBER: {"type": ["null", "number"]},
    Kind.BOOLEAN: {"type": ["null", "boolean"]},
    Kind.DATE: {"type": ["null", "string"], "format": "date"},
    Kind.DATE_TIME: {"type": ["null", "string"], "format": "date-time"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Args:
        draw: Returns a value from a random generator and the row's number.
        empty: Share of empty values, from 0 to 1.
    """

    name: str
    kind: Kind
    draw: Draw
    empty: float = 0.0

    def value(self, chance: random.Random, number: int) -> object:
        """Return a row's value; ``None`` is an empty one."""
        if self.empty and chance.random() < self.empty:
            return None
        return self.draw(chance, number)


def schema_of(columns: tuple[Column, ...]) -> dict[str, Any]:
    """Return the JSON Schema of columns."""
    return {
        "type": "object",
        "properties": {column.name: dict(_SCHEMAS[column.kind]) for column in columns},
    }


def key_of(copy: int, number: int) -> str:
    """Return the key of a row in a copy of the base rows; all keys have the same length."""
    return f"{KEY_MARK.decode()}{copy:05d}-{number:07d}"


def _choice(*values: object) -> Draw:
    return lambda chance, _: chance.choice(values)


def _whole(least: int, most: int) -> Draw:
    return lambda chance, _: chance.randint(least, most)


def _decimal(most: float, digits: int) -> Draw:
    return lambda chance, _: round(chance.random() * most, digits)


def _day(chance: random.Random, _: int) -> str:
    return (date(2018, 1, 1) + timedelta(days=chance.randrange(3000))).isoformat()


def _timestamp(chance: random.Random, _: int) -> str:
    at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(2 * 10**8))
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


BOOLEANS = (True, False)
_NAMES = (
    "Acme", "Łódź Motors", "Müller & Söhne", "東京ソフト", "Initech, Inc.", 'The "Blue" Company',
    "Østfjord", "Nuñez Hermanos", "Café Noir",
)  # fmt: skip
_TEXTS = (
    "Call back in May", "Line one\nline two", 'She said "yes", then left', "naïve 😀, with a comma",
    " leading and trailing ", "NULL", "first\r\nsecond\r\nthird",
)  # fmt: skip
_LONG = (
    "Met at the fair in Köln; they compare three vendors, want a pilot before the summer, and "
    "asked for a quote with support in two languages."
)

WIDE = (
    Column(KEY, Kind.STRING, lambda _, number: key_of(0, number)),
    Column("domain", Kind.STRING, lambda _, number: f"company{number}.example"),
    Column("name", Kind.STRING, lambda chance, number: f"{chance.choice(_NAMES)} {number}"),
    Column("industry", Kind.STRING, _choice("Software", "Retail", "Finance|Insurance", "Health")),
    Column("country", Kind.STRING, _choice("Türkiye", "Deutschland", "日本", "United States")),
    Column("website", Kind.STRING, lambda _, number: f"https://company{number}.example/?a=1,2"),
    Column("notes", Kind.STRING, _choice(*_TEXTS), 0.3),
    Column("description", Kind.STRING, lambda chance, _: f"{chance.choice(_TEXTS)}. {_LONG}"),
    Column("segment", Kind.STRING, _choice("enterprise", "Größe S", "mid"), 0.5),
    Column("owner", Kind.STRING, _choice("Zoë", "李雷", "O'Neill, Siobhán", "de Vries")),
    Column("phone", Kind.STRING, lambda chance, _: f"+1 555 {chance.randrange(10**6):06d}", 0.2),
    Column("zip_code", Kind.STRING, lambda chance, _: f"{chance.randrange(10**5):05d}"),
    Column("employee_count", Kind.INTEGER, _whole(1, 100_000), 0.1),
    Column("global_number", Kind.INTEGER, lambda _, number: 2**53 + 1 + number),
    Column("visits", Kind.INTEGER, _whole(0, 10**6)),
    Column("balance", Kind.INTEGER, _whole(-(10**12), 10**12)),
    Column("open_tasks", Kind.INTEGER, _whole(0, 50), 0.3),
    Column("annual_revenue", Kind.NUMBER, _decimal(10**7, 2), 0.1),
    Column("engagement_score", Kind.NUMBER, _decimal(100, 4)),
    Column("latitude", Kind.NUMBER, _decimal(90, 6)),
    Column("probability", Kind.NUMBER, _decimal(1, 3), 0.4),
    Column("is_target", Kind.BOOLEAN, _choice(*BOOLEANS)),
    Column("is_customer", Kind.BOOLEAN, _choice(*BOOLEANS)),
    Column("has_intent", Kind.BOOLEAN, _choice(*BOOLEANS), 0.3),
    Column("renewal_date", Kind.DATE, _day),
    Column("founded_on", Kind.DATE, _day, 0.2),
    Column("created_at", Kind.DATE_TIME, _timestamp),
    Column("updated_at", Kind.DATE_TIME, _timestamp),
    Column("scored_at", Kind.DATE_TIME, _timestamp, 0.2),
    Column("unused", Kind.STRING, _choice("x"), 1.0),
)
"""30 columns."""
HALF = WIDE[::2]
"""15 of them, of all kinds, with the key."""
NARROW = (
    WIDE[0],
    Column("visits", Kind.INTEGER, _whole(0, 10**6)),
    Column("updated_at", Kind.DATE_TIME, _timestamp),
)
"""3 columns."""


@dataclass(frozen=True, slots=True)
class ExportFiles:
    """The CSV files of one export.

    Args:
        parts: The files, in order, each with a header.
    """

    source: Source
    rows: int
    parts: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum(part.stat().st_size for part in self.parts)


@dataclass(frozen=True)
class Source:
    """Rows of a stream, as values, CSV and Singer messages.

    Args:
        name: Name of the stream.
        limit: Maximum number of rows that are requested.
    """

    name: str
    columns: tuple[Column, ...]
    limit: int

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    @cached_property
    def base(self) -> list[list[object]]:
        """The random rows, of which all others are copies."""
        chance = random.Random(f"{SEED}/{','.join(self.names)}")  # noqa: S311 - not for secrets
        count = min(self.limit, BASE_ROWS)
        return [[column.value(chance, n) for column in self.columns] for n in range(count)]

    def record(self, row: int) -> dict[str, object]:
        """Return the record that a tap should write for a row, counted from 0."""
        copy, number = divmod(row, BASE_ROWS)
        record = dict(zip(self.names, self.base[number], strict=True))
        return {**record, KEY: key_of(copy, number)}

    def csv_files(self, folder: Path, rows: int, parts: int) -> ExportFiles:
        """Write the parts of an export, with equal numbers of rows."""
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
        """Yield Singer messages in large pieces."""
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


def _copies(base: Sequence[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield rows from ``start`` to before ``stop``, each copy of the base with its own keys."""
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


def main() -> None:
    """Write Singer messages to standard output; arguments: the stream's name, rows.

    Millions of rows need no file this way.
    """
    name, rows = sys.argv[1], int(sys.argv[2])
    for piece in Source(name, WIDE, rows).singer_lines(rows):
        sys.stdout.buffer.write(piece)


if __name__ == "__main__":
    main()
