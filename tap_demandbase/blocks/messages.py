"""What goes out for a stream's rows as RECORD messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tap_demandbase.blocks.record_lines import RecordLines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from tap_demandbase.blocks.cells import Column


def record_messages(stream: str, columns: Sequence[Column], version: int | None) -> RecordLines:
    """Return what writes RECORD messages as the SDK does.

    Args:
        stream: Name of the stream.
        columns: The properties that go out, in the order of the records.
        version: The stream's version; ``None`` where it has none.
    """
    opening = f'{{"type":"RECORD","stream":{json.dumps(stream)},"record":'
    middle = "" if version is None else f',"version":{version}'

    def closing() -> str:
        return f'{middle},"time_extracted":"{datetime.now(UTC).isoformat()}"}}'

    return RecordLines(columns, opening, closing)


def pieces(lines: pa.Array, first: int, every: int) -> Iterator[tuple[memoryview, int]]:
    """Yield the bytes of lines and how many these are, cut where something comes in between.

    Args:
        lines: Each with its line feed.
        first: How many lines may go out before the first cut.
        every: How many between two cuts.
    """
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("i")[lines.offset : lines.offset + len(lines) + 1]
    start = 0
    stop = min(first, len(lines))
    while start < stop:
        yield memoryview(data)[ends[start] : ends[stop]], stop - start
        start, stop = stop, min(stop + every, len(lines))
