"""Engines and loops without an API, a state or any checks: what a plugin could reach at best.

Each is a program: ``python limits.py NAME ARGUMENT…``. It imports its library when it runs, since
each runs in another environment.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CASTS: dict[str, Callable[[str], object]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: text == "true",
    "string": str,
}
DUCKDB_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "offset": "TIMESTAMPTZ",
}
"""``TIMESTAMP`` drops an offset."""
BLOCK_BYTES = 2 * 1024 * 1024
"""The fastest of 1, 2, 4 and 8 MiB for pyarrow."""
CHUNK_BYTES = 256 * 1024
TIMEOUT_SECONDS = 600


def msgspec_loop(path: str, order: str) -> None:
    """Decode the Singer lines of standard input and write the records as CSV.

    Args:
        path: File to write.
        order: Properties, separated by commas, if their order varies; otherwise, values are
            written as they come.
    """
    import msgspec

    names = order.split(",") if order else []
    has_header = False

    decode = msgspec.json.Decoder().decode
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for line in sys.stdin.buffer:
            message = decode(line)
            if message["type"] == "RECORD":
                record = message["record"]
                if not has_header:
                    writer.writerow(names or record)
                    has_header = True
                writer.writerow(map(record.get, names) if names else record.values())


def singer_python_loop(config_path: str) -> None:
    """Write CSV files as Singer messages with singer-python, as taps did before the SDK.

    Values are cast as in the textbook tap.
    """
    import singer

    config = json.loads(Path(config_path).read_text(encoding="utf-8"))
    stream, schema = config["stream"], config["schema"]
    singer.write_schema(stream, schema, config["key_properties"])
    casts = {name: CASTS[rule["type"][1]] for name, rule in schema["properties"].items()}
    for path in config["paths"]:
        with Path(path).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                record = {name: casts[name](text) if text else None for name, text in row.items()}
                singer.write_record(stream, record)


def duckdb_copy(columns: str, *paths: str) -> None:
    """Copy CSV files to standard output as JSON lines with DuckDB, on one thread.

    Args:
        columns: ``NAME:KIND,NAME:KIND,…``.
        paths: CSV files, each with a header.
    """
    import duckdb

    pairs = [pair.split(":") for pair in columns.split(",")]
    types = ", ".join(f"'{name}': '{DUCKDB_TYPES[kind]}'" for name, kind in pairs)
    files = ", ".join(f"'{path}'" for path in paths)
    connection = duckdb.connect(config={"threads": 1})
    if "offset" in columns:
        connection.execute("SET timezone = 'UTC'")
    connection.execute(
        f"COPY (SELECT * FROM read_csv([{files}], header = true, quote = '\"', "  # noqa: S608
        f"escape = '\"', columns = {{{types}}})) TO '/dev/stdout' (FORMAT json)"
    )


def polars_copy(columns: str, *paths: str) -> None:
    """Copy CSV files to standard output as typed JSON lines with polars, on all threads.

    Args:
        columns: ``NAME:KIND,NAME:KIND,…``.
        paths: CSV files, each with a header.
    """
    import polars as pl

    types = {
        "string": pl.String(),
        "long": pl.Int64(),
        "double": pl.Float64(),
        "boolean": pl.Boolean(),
        "date": pl.Date(),
        "datetime": pl.Datetime("us", "UTC"),
    }
    pairs = [pair.split(":") for pair in columns.split(",")]
    schema = {name: types[kind] for name, kind in pairs}
    pl.scan_csv(list(paths), schema=schema).sink_ndjson("/dev/stdout")


def pyarrow_copy(url: str, stream: str, columns: str, parts: str, place: str) -> None:
    """Export a stream, and write its CSV parts as one Parquet file with pyarrow.

    It starts and downloads like a tap of the SDK, so that it is the limit of such a tap.

    Args:
        url: The server.
        stream: Entity to export.
        columns: ``NAME:KIND,NAME:KIND,…``.
        parts: Number of CSV parts.
        place: Folder to write into.
    """
    import shutil
    from concurrent.futures import ThreadPoolExecutor

    import pyarrow as pa
    import requests
    import singer_sdk  # noqa: F401 - each tap imports it
    from pyarrow import csv as pa_csv
    from pyarrow import parquet

    types = {
        "string": pa.string(),
        "long": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us", "UTC"),
    }
    folder = Path(place)
    kinds = dict(pair.split(":") for pair in columns.split(","))
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    texts = [name for name, kind in kinds.items() if kind == "string"]
    convert = pa_csv.ConvertOptions(column_types=schema, null_values=[""], strings_can_be_null=True)
    request = {"entity_type": stream, "fields": list(kinds)}
    job = requests.post(f"{url}/export/v1/jobs", json=request, timeout=TIMEOUT_SECONDS).json()["id"]

    def fetched(part: int) -> Path:
        link = f"{url}/export/v1/jobs/{job}/download?part={part}"
        path = folder / f"{part}.csv"
        with (
            requests.get(link, stream=True, timeout=TIMEOUT_SECONDS) as response,
            path.open("wb") as file,
        ):
            shutil.copyfileobj(response.raw, file, CHUNK_BYTES)
        return path

    with (
        ThreadPoolExecutor(1) as ahead,
        parquet.ParquetWriter(
            folder / "rows.parquet", schema, compression="zstd", use_dictionary=texts,
            write_statistics=False,
        ) as writer,
    ):  # fmt: skip
        for path in ahead.map(fetched, range(1, int(parts) + 1)):
            blocks = pa_csv.open_csv(
                path,
                pa_csv.ReadOptions(block_size=BLOCK_BYTES),
                pa_csv.ParseOptions(newlines_in_values=True),
                convert,
            )
            for block in blocks:
                writer.write_batch(block)


PROGRAMS: dict[str, Callable[..., None]] = {
    "msgspec": msgspec_loop,
    "singer-python": singer_python_loop,
    "duckdb": duckdb_copy,
    "polars": polars_copy,
    "pyarrow": pyarrow_copy,
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
