"""How a stream's rows go out in blocks: as RECORD messages, or as batch files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from tap_demandbase.batches import stream_files
from tap_demandbase.blocks import memory, window
from tap_demandbase.blocks.cells import Column
from tap_demandbase.blocks.messages import record_messages
from tap_demandbase.blocks.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig

    from demandbase_api.export_order import ExportOrder
    from demandbase_api.models import ExportJob
    from tap_demandbase.batches.files import Batch
    from tap_demandbase.blocks.part_blocks import Item
    from tap_demandbase.bulk_stream import BulkStream

T = TypeVar("T")


class BlockDelivery:
    """Delivers one stream.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: BulkStream) -> None:
        memory.use_lean_pool()
        self._stream = stream
        self._properties = stream.selected_properties()

    def messages(self) -> Iterator[Item]:
        """Yield the rows, encoded as RECORD messages."""
        stream = self._stream
        encoder = record_messages(stream.name, self._columns_out(), stream.version)
        return self._deliver(Output(encoder.lines), lambda items: items)

    def files(self, config: BatchConfig) -> tuple[BaseBatchFileEncoding, Iterator[Batch]]:
        """Return how batch files are written, and what yields them; see ``BlockStream``."""
        encoding, files = stream_files.of(self._stream, config, self._columns_out())
        return encoding, self._deliver(Output(files.encode, files.are_typed), files.write)

    def _columns_out(self) -> list[Column]:
        """Return the properties that go out; one that only the bookmark needs does not."""
        mask = self._stream.mask
        properties = self._properties.items()
        return [Column.of(*item) for item in properties if mask["properties", item[0]]]

    def _deliver(
        self, output: Output, write: Callable[[Iterator[Item]], Iterator[T]]
    ) -> Iterator[T]:
        stream = self._stream
        columns = [Column.of(*item) for item in self._properties.items()]
        reader = stream.reader()
        output = replace(output, keeps_source=stream.replication is not None)

        def read(order: ExportOrder, job: ExportJob) -> Iterator[Item]:
            return reader.blocks(order, job, output)

        def narrow(items: Iterator[Item]) -> Iterator[T]:
            if stream.replication is not None:
                items = window.wanted(stream.replication, items, columns)
            return write(items)

        return stream.deliver(read, narrow)
