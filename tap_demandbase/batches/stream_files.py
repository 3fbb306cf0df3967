"""The batch files of one run of a stream."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tap_demandbase.batch_settings import announced
from tap_demandbase.batches.files import BatchFiles
from tap_demandbase.batches.jsonl import JsonLines
from tap_demandbase.batches.parquet import Parquet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.helpers._batch import BatchConfig

    from tap_demandbase.batches.file_format import FileFormat
    from tap_demandbase.blocks.cells import Column
    from tap_demandbase.bulk_stream import BulkStream


def of(stream: BulkStream, config: BatchConfig, columns: Sequence[Column]) -> BatchFiles:
    """Return what writes the files.

    Args:
        stream: The stream.
        config: Which format, where to, how many rows a file.
        columns: The properties that go out, in the order of the records.
    """
    match config.encoding.format:
        case "parquet":
            file_format: FileFormat = Parquet(columns, config.encoding.compression)
        case _:
            file_format = JsonLines(columns, announced(config).compression)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{stream.tap_name}--{stream.name}")
    return BatchFiles(name, config, file_format, stream.spool)
