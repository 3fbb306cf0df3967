"""Counts the rows of a job as they are read and as they go out: none may be lost between."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tap_demandbase.blocks.row_block import RowBlock
from tap_demandbase.errors import RecordCountError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from demandbase_api.models import ExportJob

T = TypeVar("T")


class RowTally:
    """The rows of one job.

    Args:
        stream: Name of the stream, for messages.
        job: The job.
    """

    def __init__(self, stream: str, job: ExportJob) -> None:
        self._stream = stream
        self._job = job
        self._read = 0
        self._sent = 0

    def read(self, items: Iterator[T]) -> Iterator[T]:
        """Yield records or blocks of them, and count their rows as read."""
        for item in items:
            self._read += _rows(item)
            yield item

    def sent(self, items: Iterator[T]) -> Iterator[T]:
        """Yield records or blocks of them, and count their rows as sent."""
        for item in items:
            rows = _rows(item)
            yield item
            self._sent += rows

    def check(self, logger: logging.Logger, *, may_leave_out: bool) -> None:
        """Tell the figures.

        Args:
            logger: Where.
            may_leave_out: Whether rows outside of the days that are wanted, and rows that went
                out before, stay behind.

        Raises:
            RecordCountError: Rows were lost.
        """
        left = self._read - self._sent
        logger.info(
            "Export job %s of stream %s: %d rows read, %d sent, %d outside of what was wanted or "
            "sent before",
            self._job.id,
            self._stream,
            self._read,
            self._sent,
            left,
        )
        if left < 0 or (left and not may_leave_out):
            raise RecordCountError(
                f"Stream {self._stream}: {self._read} rows of the export job {self._job.id} were "
                f"read, and {self._sent} went out. Report this as a bug of the tap.",
                stream=self._stream,
                job_id=self._job.id,
            )


def _rows(item: object) -> int:
    """Return how many rows go out with an item: a record, a block of them, or a batch file."""
    match item:
        case RowBlock():
            return len(item)
        case (int() as rows, _):
            return rows
        case _:
            return 1
