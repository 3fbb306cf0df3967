"""Delivers a stream's rows in blocks; what that needs is loaded while the first part comes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

from demandbase_api.process import loading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singer_sdk.helpers._batch import BatchConfig

    from demandbase_api.jobs.export_scheduler import ExportOrder
    from demandbase_api.models import ExportJob
    from tap_demandbase.batches.files import Batch
    from tap_demandbase.blocks.part_blocks import Item
    from tap_demandbase.blocks.ways_out import WayOut
    from tap_demandbase.bulk_stream import BulkStream

T = TypeVar("T")


def messages(stream: BulkStream) -> Iterator[Item]:
    """Yield a stream's rows, encoded as RECORD messages."""

    def way_out() -> WayOut[Item]:
        from tap_demandbase.blocks.ways_out import as_messages  # noqa: PLC0415

        return as_messages(stream)

    return _deliver(stream, way_out)


def files(stream: BulkStream, config: BatchConfig) -> Iterator[Batch]:
    """Yield a stream's batch files; see ``BlockStream``."""

    def way_out() -> WayOut[Batch]:
        from tap_demandbase.blocks.ways_out import as_files  # noqa: PLC0415

        return as_files(stream, config)

    return _deliver(stream, way_out)


def _deliver(stream: BulkStream, find: Callable[[], WayOut[T]]) -> Iterator[T]:
    reader = stream.reader()

    @cache
    def way_out() -> WayOut[T]:
        # It needs an engine that takes its time to load.
        with loading("tap_demandbase.blocks.ways_out"):
            return find()

    def read(order: ExportOrder, job: ExportJob) -> Iterator[Item]:
        return reader.blocks(order, job, way_out().output)

    def narrow(items: Iterator[Item]) -> Iterator[T]:
        return way_out().narrow(items)

    return stream.deliver(read, narrow)
