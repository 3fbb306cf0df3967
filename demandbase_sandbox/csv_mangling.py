"""Spoils an exported file in one of the ways that real ones are spoiled."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WAYS = (
    "missing_column", "extra_column", "duplicate_header", "ragged_row",
    "nul_bytes", "cut_in_quotes", "drop_last_row", "not_utf8",
)  # fmt: skip


def mangle(path: Path, way: str) -> None:
    """Spoil a small file; no way leaves it alone.

    Raises:
        ValueError: The way is unknown.
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
    """Return a file with its rows in reverse: as long and as right, but not to be mixed."""
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return _csv([header, *reversed(rows)])


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
