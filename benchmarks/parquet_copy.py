"""An export job, then pyarrow's own way from CSV to Parquet, typed, as the tap writes it.

It starts and downloads as a tap of the SDK does, and proves nothing: the limit of such a tap.
"""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import requests
import singer_sdk  # noqa: F401 - what a tap begins with
from pyarrow import csv, parquet

TYPES = {
    "string": pa.string(),
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", "UTC"),
}
BLOCK_BYTES = 2 * 1024 * 1024
"""Of 1, 2, 4 and 8 MiB that with which it is fastest."""
CHUNK_BYTES = 256 * 1024
SECONDS = 600


def main() -> None:
    """Copy; arguments: the server, the stream, ``NAME:KIND,…``, how many parts, a folder."""
    url, stream, columns, parts, place = sys.argv[1:]
    folder = Path(place)
    kinds = dict(pair.split(":") for pair in columns.split(","))
    schema = pa.schema([(name, TYPES[kind]) for name, kind in kinds.items()])
    texts = [name for name, kind in kinds.items() if kind == "string"]
    convert = csv.ConvertOptions(column_types=schema, null_values=[""], strings_can_be_null=True)
    request = {"entity_type": stream, "fields": list(kinds)}
    job = requests.post(f"{url}/export/v1/jobs", json=request, timeout=SECONDS).json()["id"]

    def fetched(part: int) -> Path:
        link = f"{url}/export/v1/jobs/{job}/download?part={part}"
        path = folder / f"{part}.csv"
        with requests.get(link, stream=True, timeout=SECONDS) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer.raw, file, CHUNK_BYTES)
        return path

    with (
        ThreadPoolExecutor(1) as ahead,
        parquet.ParquetWriter(
            folder / "rows.parquet", schema, compression="zstd", use_dictionary=texts,
            write_statistics=False,
        ) as writer,
    ):  # fmt: skip
        for path in ahead.map(fetched, range(1, int(parts) + 1)):
            blocks = csv.open_csv(
                path,
                csv.ReadOptions(block_size=BLOCK_BYTES),
                csv.ParseOptions(newlines_in_values=True),
                convert,
            )
            for block in blocks:
                writer.write_batch(block)


if __name__ == "__main__":
    main()
