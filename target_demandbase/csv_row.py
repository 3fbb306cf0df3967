"""A row of CSV, in one form whichever way it comes about; pure functions.

The file's digest tells whether a file has been sent before, so equal rows must be equal bytes:
texts stand in quotes, whole numbers and booleans do not, and null is nothing at all.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LINE_END = b"\n"

# Python's own limit for a cell is 128 KiB.
csv.field_size_limit(2**31 - 1)


def csv_cell(text: str | None, *, bare: bool) -> str:
    """Return a cell.

    Args:
        text: Its text; ``None`` for null.
        bare: Whether it stands without quotes.
    """
    if text is None:
        return ""
    return text if bare else '"' + text.replace('"', '""') + '"'


def csv_row(cells: Sequence[str]) -> bytes:
    """Return a row as UTF-8.

    Raises:
        UnicodeEncodeError: A text holds half of a character (a lone surrogate).
    """
    # A row of nothing would be a line of nothing, which readers pass over.
    line = ",".join(cells) if len(cells) > 1 else cells[0] or '""'
    return line.encode() + LINE_END


def header_row(columns: Sequence[str]) -> bytes:
    """Return the first line of a file."""
    return csv_row([csv_cell(column, bare=False) for column in columns])


def split_rows(lines: bytes) -> list[bytes]:
    """Return the rows of some lines, each with its line end; line ends in cells are no ends."""
    rows: list[bytes] = []
    open_row = b""
    is_open = False
    for line in lines.split(LINE_END)[:-1]:
        is_open ^= bool(line.count(b'"') % 2)
        open_row += line + LINE_END
        if not is_open:
            rows.append(open_row)
            open_row = b""
    return rows


def read_row(row: bytes) -> list[str]:
    """Return the cells of a row."""
    [cells] = csv.reader(io.StringIO(row.decode(), newline=""), strict=True)
    return cells
