"""The files of jobs: parts of exports, and CSV of imports."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from itertools import chain, islice
from typing import TYPE_CHECKING

from demandbase_sandbox.exceptions import bad_request
from demandbase_sandbox.faults import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Row = tuple[str | None, ...]

csv.field_size_limit(2**31 - 1)


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


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield header and rows.

    Raises:
        ApiError: The file is not CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, strict=True)
    except (csv.Error, UnicodeDecodeError):
        raise bad_request("the file is no valid CSV in UTF-8") from None


def mangle(path: Path, way: str) -> None:
    """Spoil a small file in one of ``WAYS``; an empty ``way`` leaves it as it is.

    Raises:
        ValueError: ``way`` is unknown.
    """
    if not way:
        return
    content = path.read_bytes()
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    match way:
        case "missing_column":
            content = _csv([header[:-1], *(row[:-1] for row in rows)])
        case "extra_column":
            content = _csv([[*header, "extra"], *([*row, "1"] for row in rows)])
        case "duplicate_header":
            content = _csv([[header[0], header[0], *header[2:]], *rows])
        case "ragged_row":
            content += b"only one cell\r\n"
        case "nul_bytes":
            content = content[:-2] + b"\0\0\r\n"
        case "cut_in_quotes":
            content += b'"never closed'
        case "drop_last_row":
            content = _csv([header, *rows[:-1]])
        case "not_utf8":
            content = content[:-2] + b"\xff\r\n"
        case _:
            raise ValueError(f"unknown way to mangle a file: {way}; known are {', '.join(WAYS)}")
    path.write_bytes(content)


def reverse_rows(content: bytes) -> bytes:
    """Return a file with its rows in reverse order: valid, and of the same length."""
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return _csv([header, *reversed(rows)])


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
