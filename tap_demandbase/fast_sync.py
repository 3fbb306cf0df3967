"""A stream whose rows go out in blocks: the one place that passes by a private part of the SDK.

The SDK's ``_sync_records`` calls some thirty functions for each record, and writes and flushes
each message by itself: more than nine tenths of a run. None of the documented hooks takes more
than one record at a time. What else it does is done here in the same order: the counter and the
timer, STATE messages after every ``STATE_MSG_FREQUENCY`` records, the final state.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.io_base import SingerWriter
from singer_sdk.mapper import SameRecordTransform
from typing_extensions import override

from tap_demandbase.config import batch_config

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context
    from typing_extensions import Buffer

    from tap_demandbase.arrow.batch_files import Batch
    from tap_demandbase.arrow.row_block import Rows


class LineWriter(SingerWriter):
    """The SDK's writer, and one for many messages at a time."""

    def write_lines(self, lines: Buffer) -> None:
        """Write messages to standard output.

        Args:
            lines: Each with its line feed, in UTF-8.
        """
        output = sys.stdout
        if (binary := getattr(output, "buffer", None)) is None:
            # Whoever collects the messages as text has no bytes below it.
            output.write(bytes(lines).decode())
        else:
            output.flush()
            left = memoryview(lines)
            while left:
                # Unbuffered (PYTHONUNBUFFERED) it may take only a part: a signal came in between.
                left = left[binary.write(left) or 0 :]
        output.flush()


class FastSyncStream(Stream):
    """A stream that has its rows in blocks, too."""

    @abstractmethod
    def get_batch_files(
        self, batch_config: BatchConfig
    ) -> tuple[BaseBatchFileEncoding, Iterator[Batch]]:
        """Return how batch files are written, and what yields them.

        Args:
            batch_config: Where to and how many rows a file.

        Returns:
            The encoding for BATCH messages; how many rows went out each time, and the address of
            the file that they are in or, where no file can hold it, a record.
        """

    @abstractmethod
    def get_blocks(self) -> Iterator[Rows]:
        """Yield what ``get_records`` yields, encoded as RECORD messages in blocks."""

    @property
    def version(self) -> int | None:
        """What RECORD messages bear as their version, if anything."""
        return self._stream_version

    def why_by_record(self, context: Context | None) -> str | None:
        """Return why records have to go out one by one; ``None`` where blocks are as good.

        Args:
            context: The SDK's partition.
        """
        (first, *others) = self.stream_maps
        reasons = {
            "stream maps are configured": bool(others) or type(first) is not SameRecordTransform,
            "flattening is configured": first.flattening_enabled,
            "the stream has child streams": bool(self.child_streams),
            "the stream has partitions": bool(context or self.partitions),
            "the number of records is limited": self.ABORT_AT_RECORD_COUNT is not None,
            "the stream is not selected": not self.selected,
            "another message writer is in use": not isinstance(
                self._tap.message_writer, LineWriter
            ),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        # With the SDK's own files, neither selection nor stream maps would count.
        return batch_config(config) if self.why_by_record(None) is None else None

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterator[tuple[BaseBatchFileEncoding, list[str]]]:
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            counter.with_context({})
            timer.with_context({})
            self._write_starting_replication_value(None)
            encoding, batches = self.get_batch_files(batch_config)
            for rows, written in batches:
                if isinstance(written, str):
                    yield encoding, [written]
                else:
                    self._write_record_message(written)
                    self.state_manager.is_flushed = False
                counter.increment(rows)
            self._finalize_state(self.get_context_state(None))
        self._finalize_state(self.stream_state)
        self._write_state_message()

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        reason = self.why_by_record(context) if write_messages else "no messages are wanted"
        if reason is not None:
            self.logger.debug("Records go out one by one: %s", reason)
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            counter.with_context({})
            timer.with_context({})
            self._write_starting_replication_value(None)
            sent = 0
            for item in self.get_blocks():
                for written in self._write(item, sent):
                    sent += written
                    self.state_manager.is_flushed = False
                    if not sent % self.STATE_MSG_FREQUENCY:
                        self._write_state_message()
                    counter.increment(written)
            self._finalize_state(self.get_context_state(None))
        self._finalize_state(self.stream_state)
        self._write_state_message()

    def _write(self, item: Rows, sent: int) -> Iterator[int]:
        """Write some records; yield how many went out, at the latest where STATE is due."""
        from tap_demandbase.arrow.json_lines import pieces  # noqa: PLC0415 - it needs pyarrow

        if isinstance(item, dict):
            self._write_record_message(item)
            yield 1
            return
        writer = self._tap.message_writer
        assert isinstance(writer, LineWriter)  # noqa: S101 - why_by_record() has seen to it
        every = self.STATE_MSG_FREQUENCY
        for lines, count in pieces(item.encoded, every - sent % every, every):
            writer.write_lines(lines)
            yield count
