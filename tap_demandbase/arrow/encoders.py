"""How a stream's rows go out: as RECORD messages, or as batch files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from tap_demandbase.arrow import batch_files, reader, row_filter
from tap_demandbase.arrow.json_lines import record_messages
from tap_demandbase.arrow.row_block import Output
from tap_demandbase.arrow.values import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singer_sdk.helpers._batch import BatchConfig

    from tap_demandbase.arrow.batch_files import Batch
    from tap_demandbase.arrow.reader import Item
    from tap_demandbase.streams import BulkStream


T = TypeVar("T")


class WayOut(Generic[T]):
    """What becomes of a stream's rows.

    Args:
        stream: The stream.
        output: How they are encoded.
        write: Returns what goes out of them.
    """

    def __init__(
        self, stream: BulkStream, output: Output, write: Callable[[Iterator[Item]], Iterator[T]]
    ) -> None:
        reader.use_lean_pool()
        self._replication = stream.replication
        self._columns = [Column.of(*item) for item in stream.selected_properties().items()]
        self._write = write
        self.output = replace(output, keeps_source=self._replication is not None)
        """What blocks are read for."""

    def narrow(self, items: Iterator[Item]) -> Iterator[T]:
        """Return what goes out of a window's rows."""
        if self._replication is not None:
            items = row_filter.wanted(self._replication, items, self._columns)
        return self._write(items)


def as_messages(stream: BulkStream) -> WayOut[Item]:
    """Return the way to RECORD messages."""
    encoder = record_messages(stream.name, _columns_out(stream), stream.version)
    return WayOut(stream, Output(encoder.lines), lambda items: items)


def as_files(stream: BulkStream, config: BatchConfig) -> WayOut[Batch]:
    """Return the way to batch files; see ``FastSyncStream``."""
    files = batch_files.of(stream, config, _columns_out(stream))
    return WayOut(stream, Output(files.encode, files.are_typed), files.write)


def _columns_out(stream: BulkStream) -> list[Column]:
    """Return the properties that go out; one that only the bookmark needs does not."""
    properties = stream.selected_properties().items()
    return [Column.of(*item) for item in properties if stream.mask["properties", item[0]]]
