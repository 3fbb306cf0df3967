"""The files of an export job: CSV or JSON, one file or several parts."""

from __future__ import annotations

import csv
import json
from itertools import islice
from typing import TYPE_CHECKING

from demandbase_sandbox.csv_mangling import mangle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Row = tuple[str | None, ...]


def write_results(  # noqa: PLR0913 - what a format needs
    paths: Iterator[Path],
    header: Sequence[str],
    rows: Iterator[Row],
    *,
    part_rows: int | None,
    encoding: str,
    way_to_mangle: str,
) -> list[Path]:
    """Write the rows into as many of the paths as needed, at least one; return these.

    The suffix of a path says which format it gets. The shape of JSON results is not published:
    here it is an array of objects.
    """
    written: list[Path] = []
    first = next(rows, None)
    while first is not None or not written:
        path = next(paths)
        part = _chain(first, rows if part_rows is None else islice(rows, part_rows - 1))
        with path.open("w", encoding=encoding, newline="") as file:
            if path.suffix == ".json":
                json.dump(
                    [dict(zip(header, row, strict=True)) for row in part], file, ensure_ascii=False
                )
            else:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(part)
        mangle(path, way_to_mangle)
        written.append(path)
        first = next(rows, None)
    return written


def _chain(first: Row | None, rows: Iterator[Row]) -> Iterator[Row]:
    if first is not None:
        yield first
        yield from rows
