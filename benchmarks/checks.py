"""Checks of what a program wrote: it must have all rows, and the values of every 37th."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from benchmarks.columns import KEY, KEY_MARK, Kind
from benchmarks.data import row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from benchmarks.data import Source

SAMPLE_EVERY = 37
"""All rows are counted; the values of every 37th are compared."""
CHUNK_BYTES = 1024 * 1024


class CheckError(Exception):
    """Wrong output of a run."""


def check_count(found: int, rows: int, what: str) -> None:
    """Check the number of rows.

    Raises:
        CheckError: It differs.
    """
    if found != rows:
        raise CheckError(f"{found:,} rows instead of {rows:,} {what}")


def check_record_lines(path: Path, source: Source, rows: int) -> None:
    """Check the RECORD messages of a tap.

    Raises:
        CheckError: Rows are missing or wrong.
    """
    number = 0
    with path.open("rb") as file:
        for line in file:
            if b'"RECORD"' in line[:80]:
                if number < rows and not number % SAMPLE_EVERY:
                    _compare(source, number, json.loads(line)["record"])
                number += 1
    check_count(number, rows, "were written")


def check_json_lines(path: Path, source: Source, rows: int) -> None:
    """Check plain JSON lines.

    Raises:
        CheckError: Rows are missing or wrong.
    """
    number = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number <= rows and number % SAMPLE_EVERY == 1:
                _compare(source, number - 1, json.loads(line))
    check_count(number, rows, "were written")


def check_csv_files(paths: Iterable[Path], source: Source, rows: int) -> None:
    """Check CSV files, each with a header.

    Raises:
        CheckError: Rows are missing or wrong.
    """
    number = compared = 0
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            names = next(reader)
            key = names.index(KEY)
            for row in reader:
                # A target may write rows that lack a property into a file of their own.
                place = row_of(row[key])
                if place < rows and not place % SAMPLE_EVERY:
                    _compare(source, place, dict(zip(names, row, strict=True)))
                    compared += 1
                number += 1
    check_count(number, rows, "arrived")
    check_count(compared, -(-rows // SAMPLE_EVERY), "were compared")


def check_parquet_files(paths: Iterable[Path], source: Source, rows: int) -> None:
    """Check Parquet files.

    Raises:
        CheckError: Rows are missing or wrong.
    """
    import pyarrow.parquet as pq

    number = 0
    for path in paths:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(1000):
            if number < rows:
                _compare(source, number, batch.slice(0, 1).to_pylist()[0])
            number += batch.num_rows
    check_count(number, rows, "were written")


def marks_in(path: Path) -> int:
    """Count the keys in a file."""
    count = 0
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            piece = tail + chunk
            count += piece.count(KEY_MARK)
            tail = piece[-len(KEY_MARK) + 1 :]
    return count


def _compare(source: Source, number: int, found: Mapping[str, object]) -> None:
    expected = source.record(number)
    if missing := expected.keys() - found.keys() - source.absent(expected):
        raise CheckError(f"row {number:,} lacks {', '.join(missing)}")
    for column in source.columns:
        want, have = expected[column.name], found.get(column.name)
        if not _is_same(column.kind, want, have):
            raise CheckError(f"row {number:,} ({expected[KEY]}) has a wrong {column.name}")


def _is_same(kind: Kind, want: object, have: object) -> bool:  # noqa: PLR0911 - one a kind
    if want is None or have in {None, ""}:
        return want is None and have in {None, ""}
    text = str(have)
    match kind:
        case Kind.STRING:
            return have == want
        case Kind.INTEGER:
            return text == str(want)
        case Kind.NUMBER:
            return Decimal(text) == Decimal(str(want))
        case Kind.BOOLEAN:
            return text.lower() == str(want).lower()
        case Kind.DATE:
            return (have.isoformat() if isinstance(have, date) else text)[:10] == want
        case Kind.DATE_TIME:
            return _utc(have) == _utc(want)


def _utc(value: object) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
