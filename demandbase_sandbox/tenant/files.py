"""The files of jobs: parts of exports, and CSV of imports."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable
from itertools import chain, islice
from typing import TYPE_CHECKING

from demandbase_sandbox.exceptions import bad_request

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


def line_numbers(path: Path) -> list[int]:
    """Return the number of the line on which each data row begins; the header's is 1."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        ends = [rows.line_num for _ in rows]
    return [end + 1 for end in ends[:-1]]


def mangle(path: Path, way: str) -> None:
    """Spoil a small file in one of ``WAYS``; an empty ``way`` leaves it as it is."""
    if way:
        content = path.read_bytes()
        path.write_bytes(_MANGLED[way](content, *_table(content)))


def reverse_rows(content: bytes) -> bytes:
    """Return a file with its rows in reverse order: valid, and of the same length."""
    header, rows = _table(content)
    return _csv([header, *reversed(rows)])


def _table(content: bytes) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return header, rows


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


_MANGLED: dict[str, Callable[[bytes, list[str], list[list[str]]], bytes]] = {
    "empty": lambda _content, _header, _rows: b"",
    "no_header": lambda _content, _header, rows: _csv(rows),
    "blank_lines": lambda content, _header, _rows: content + b"\r\n\r\n",
    "missing_column": lambda _, header, rows: _csv([row[:-1] for row in (header, *rows)]),
    "extra_column": lambda _, header, rows: _csv(
        [[*header, "extra"], *([*row, "1"] for row in rows)]
    ),
    "duplicate_header": lambda _, header, rows: _csv([[header[0], header[0], *header[2:]], *rows]),
    "ragged_row": lambda content, _header, _rows: content + b"only one cell\r\n",
    "nul_bytes": lambda content, _header, _rows: content[:-2] + b"\0\0\r\n",
    "cut_in_quotes": lambda content, _header, _rows: content + b'"never closed',
    "drop_last_row": lambda _, header, rows: _csv([header, *rows[:-1]]),
    "not_utf8": lambda content, _header, _rows: content[:-2] + b"\xff\r\n",
}
"""The spoiled file for each of ``WAYS``, from a file's content, header and rows."""
