"""DuckDB's own way from CSV to JSON lines, typed, on one thread."""

from __future__ import annotations

import sys

import duckdb

TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMP",
}


def main() -> None:
    """Copy files to standard output; arguments: ``NAME:KIND,NAME:KIND,…`` and the files."""
    columns, *paths = sys.argv[1:]
    pairs = [pair.split(":") for pair in columns.split(",")]
    types = ", ".join(f"'{name}': '{TYPES[kind]}'" for name, kind in pairs)
    files = ", ".join(f"'{path}'" for path in paths)
    duckdb.connect(config={"threads": 1}).execute(
        f"COPY (SELECT * FROM read_csv([{files}], header = true, quote = '\"', "  # noqa: S608
        f"escape = '\"', columns = {{{types}}})) TO '/dev/stdout' (FORMAT json)"
    )


if __name__ == "__main__":
    main()
