"""The data: the same rows for the same sizes, in CSV files and as Singer messages.

50,000 rows are random. More rows repeat them under other keys, which takes a second for millions.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from benchmarks.cells import JAVA, PLAIN, QUOTED, Cells
from benchmarks.columns import KEY, KEY_MARK, LINE_FEEDS, VARIED, WIDE, Column, key_of
from benchmarks.spellings import (
    MIXED,
    OWN,
    PIPELINEWISE_POSTGRES,
    SDK_CSV,
    SDK_POSTGRES,
    Spelling,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SEED = 20_260_131
BASE_ROWS = 50_000


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
        spelling: How Singer messages are written.
        cells: How CSV files are written.
    """

    name: str
    columns: tuple[Column, ...]
    limit: int
    spelling: Spelling = OWN
    cells: Cells = PLAIN

    @property
    def stream(self) -> str:
        """Name of the stream in Singer messages."""
        return self.spelling.prefix + self.name

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    @property
    def base(self) -> list[list[object]]:
        """The random rows, of which all others are copies."""
        return _base(self.columns, min(self.limit, BASE_ROWS))

    def record(self, row: int) -> dict[str, object]:
        """Return the record that a tap should write for a row, counted from 0."""
        copy, number = divmod(row, BASE_ROWS)
        record = dict(zip(self.names, self.base[number], strict=True))
        return {**record, KEY: key_of(copy, number)}

    def absent(self, record: Mapping[str, object]) -> set[str]:
        """Return the properties that the record's Singer message leaves out."""
        return self.spelling.absent(record)

    def csv_files(self, folder: Path, rows: int, parts: int) -> ExportFiles:
        """Write the parts of an export, with equal numbers of rows."""
        each, rest = divmod(rows, parts)
        paths = []
        start = 0
        for part in range(parts):
            count = each + (part < rest)
            path = folder / f"{self.name}-{rows}-part-{part + 1}.csv"
            with path.open("wb") as file:
                file.writelines(self.csv_pieces(start, start + count))
            paths.append(path)
            start += count
        return ExportFiles(self, rows, tuple(paths))

    def csv_pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield a header and the rows from ``start`` to before ``stop`` in large pieces."""
        yield self._csv_lines([self.names])[0]
        yield from _copies(self._csv, start, stop)

    def singer_lines(self, rows: int) -> Iterator[bytes]:
        """Yield Singer messages in large pieces."""
        yield self.spelling.head(self.stream, self.columns)
        yield from _copies(self._lines, 0, rows)
        yield self.spelling.tail(self.stream)

    def singer_file(self, folder: Path, rows: int) -> Path:
        """Write a file of Singer messages."""
        path = folder / f"{self.name}-{rows}.jsonl"
        with path.open("wb") as file:
            file.writelines(self.singer_lines(rows))
        return path

    @cached_property
    def _csv(self) -> list[bytes]:
        text = self.cells.text
        rows = [list(map(text, self.names, row)) for row in self.base]
        return self._csv_lines(rows)

    def _csv_lines(self, rows: Sequence[Sequence[object]]) -> list[bytes]:
        lines = []
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, quoting=self.cells.quoting, lineterminator=self.cells.line_end)
        for row in rows:
            writer.writerow(row)
            lines.append(buffer.getvalue().encode())
            buffer.seek(0)
            buffer.truncate()
        return lines

    @cached_property
    def _lines(self) -> list[bytes]:
        line, stream = self.spelling.line, self.stream
        rows = (dict(zip(self.names, row, strict=True)) for row in self.base)
        return [line(stream, number, row) for number, row in enumerate(rows)]


@cache
def _base(columns: tuple[Column, ...], count: int) -> list[list[object]]:
    names = ",".join(column.name for column in columns)
    chance = random.Random(f"{SEED}/{names}")  # noqa: S311 - not for secrets
    return [[column.value(chance, n) for column in columns] for n in range(count)]


def _copies(base: Sequence[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield rows from ``start`` to before ``stop``, each copy of the base with its own keys."""
    mark = KEY_MARK + b"00000-"
    while start < stop:
        copy, first = divmod(start, BASE_ROWS)
        count = min(stop - start, BASE_ROWS - first)
        block = b"".join(base[first : first + count])
        yield block.replace(mark, KEY_MARK + b"%05d-" % copy) if copy else block
        start += count


TARGET_INPUTS = {
    "wide": (WIDE, OWN),
    "tap-postgres": (VARIED, SDK_POSTGRES),
    "pipelinewise-tap-postgres": (VARIED, PIPELINEWISE_POSTGRES),
    "tap-csv": (LINE_FEEDS, SDK_CSV),
    "mixed": (VARIED, MIXED),
}
"""Singer messages for targets, as other taps write them."""
TAP_INPUTS = {
    "wide": (WIDE, PLAIN),
    "java": (VARIED, JAVA),
    "quoted": (VARIED, QUOTED),
}
"""CSV files for taps, as other programs write them."""


def target_input(name: str, limit: int) -> Source:
    """Return the rows of one of the inputs for targets."""
    columns, spelling = TARGET_INPUTS[name]
    return Source("wide", columns, limit, spelling)


def row_of(key: str) -> int:
    """Return the number of a row by its key."""
    copy, number = key.removeprefix(KEY_MARK.decode()).split("-")
    return int(copy) * BASE_ROWS + int(number)


def tap_input(name: str, limit: int) -> Source:
    """Return the rows of one of the inputs for taps."""
    columns, cells = TAP_INPUTS[name]
    return Source(name, columns, limit, cells=cells)


def main() -> None:
    """Write an input to standard output: Singer messages, or CSV.

    Millions of rows need no file this way.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=main.__doc__)
    parser.add_argument("name", choices=sorted({*TARGET_INPUTS, *TAP_INPUTS}))
    parser.add_argument("rows", type=int)
    parser.add_argument("--csv", action="store_true", help="write CSV, an input for taps")
    options = parser.parse_args()
    name, rows = options.name, options.rows
    if name not in (TAP_INPUTS if options.csv else TARGET_INPUTS):
        parser.error(f"there is no {name} of this kind")
    pieces = (
        tap_input(name, rows).csv_pieces(0, rows)
        if options.csv
        else target_input(name, rows).singer_lines(rows)
    )
    for piece in pieces:
        sys.stdout.buffer.write(piece)


if __name__ == "__main__":
    main()
