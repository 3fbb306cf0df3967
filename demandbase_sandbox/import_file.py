"""The uploaded file of an import."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from demandbase_sandbox.refusal import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

csv.field_size_limit(2**31 - 1)


def check_file(path: Path, columns: set[str]) -> int:
    """Return the number of data rows of a well-formed file.

    Raises:
        RefusalError: The file is no CSV with exactly these columns.
    """
    rows = read_rows(path)
    header = next(rows, None)
    if header is None:
        raise bad_request("the file is empty")
    if len(set(header)) != len(header):
        raise bad_request("the header names a column twice")
    if surplus := sorted(set(header) - columns):
        raise bad_request(f"the header does not match field_mappings: unknown {surplus}")
    if missing := sorted(columns - set(header)):
        raise bad_request(f"the header does not match field_mappings: missing {missing}")
    count = 0
    for row in rows:
        count += 1
        if len(row) != len(header):
            raise bad_request(f"data row {count} has {len(row)} cells, the header {len(header)}")
    return count


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield header and rows.

    Raises:
        RefusalError: The file is no CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, strict=True)
    except (csv.Error, UnicodeDecodeError):
        raise bad_request("the file is no valid CSV in UTF-8") from None
