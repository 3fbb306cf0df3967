"""The files of export jobs."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from itertools import chain, islice
from typing import TYPE_CHECKING

from demandbase_sandbox.faults import mangle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Row = tuple[str | None, ...]


def write_parts(  # noqa: PLR0913 - the options of a format
    paths: Iterator[Path],
    header: Sequence[str],
    rows: Iterator[Row],
    *,
    part_rows: int | None,
    byte_order_mark: bool,
    way_to_mangle: str,
) -> list[Path]:
    """Write the rows to as many of the paths as needed, at least one; return these.

    The suffix of a path determines the format. The structure of JSON results is not published:
    here it is an array of objects.
    """
    written: list[Path] = []
    first = [*islice(rows, 1)]
    while first or not written:
        path = next(paths)
        part = chain(first, rows if part_rows is None else islice(rows, part_rows - 1))
        encoding = "utf-8-sig" if byte_order_mark else "utf-8"
        with path.open("w", encoding=encoding, newline="") as file:
            if path.suffix == ".json":
                objects = [dict(zip(header, row, strict=True)) for row in part]
                json.dump(objects, file, ensure_ascii=False)
            else:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(part)
        mangle(path, way_to_mangle)
        written.append(path)
        first = [*islice(rows, 1)]
    return written


def compress(path: Path) -> Path:
    """Replace a file with its gzip file; return the path of that."""
    zipped = path.with_name(f"{path.name}.gz")
    with (
        path.open("rb") as plain,
        zipped.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as body,
    ):
        shutil.copyfileobj(plain, body)
    path.unlink()
    return zipped
