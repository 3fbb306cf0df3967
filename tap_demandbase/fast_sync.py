"""Streams that write records in blocks, in place of the SDK's ``Stream._sync_records``.

That method calls some thirty functions for each record, and writes and flushes each message: more
than nine tenths of a run's time. None of the documented hooks processes more than one record at a
time. This module does the rest of the method's work in the same order: counter and timer, STATE
messages after every ``STATE_MSG_FREQUENCY`` records, and the final state.
"""

from __future__ import annotations

import errno
import sys
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from singer_sdk.io_base import SingerWriter
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import StateMessage
from typing_extensions import override

from demandbase_api.output import output_problem, write_lines
from tap_demandbase.config import batch_config
from tap_demandbase.errors import OutputError
from tap_demandbase.sync_run import TapStream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context
    from singer_sdk.singerlib import Message
    from typing_extensions import Buffer

    from tap_demandbase.arrow.batch_files import Batch
    from tap_demandbase.arrow.row_block import Rows


def write_output(lines: Buffer) -> None:
    """Write whole lines to standard output.

    Args:
        lines: UTF-8; each line ends with a line feed.

    Raises:
        OutputError: Standard output is closed, its reader has ended, or its disk is full.
    """
    with writing_output():
        write_lines(sys.stdout, lines)


@contextmanager
def writing_output() -> Iterator[None]:
    """Turn an error of writing to standard output into a sentence.

    A ``BrokenPipeError`` would end the command without a message.

    Raises:
        OutputError: Standard output is closed, its reader has ended, or its disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise OutputError("The target stopped reading: see its messages.") from None
        if error.errno == errno.EBADF:
            raise OutputError(
                "Standard output is closed: connect the tap to a target, or to a file."
            ) from None
        raise OutputError(
            f"Cannot write to standard output: {output_problem(error)}. Free some space, or write "
            "to another place."
        ) from None


class LineWriter(SingerWriter):
    """The SDK's message writer, with a method for many encoded messages."""

    last_is_state = False
    """Whether the last message is a STATE."""

    @override
    def write_message(self, message: Message) -> None:
        self.write_lines(f"{self.format_message(message)}\n".encode())
        self.last_is_state = isinstance(message, StateMessage)

    def write_lines(self, lines: Buffer) -> None:
        """Write messages to standard output.

        Args:
            lines: UTF-8; each message ends with a line feed.
        """
        write_output(lines)
        self.last_is_state = False


class FastSyncStream(TapStream):
    """A stream that can also return its records in blocks."""

    @abstractmethod
    def get_blocks(self) -> Iterator[Rows]:
        """Return the records of ``get_records``, encoded as RECORD messages in blocks."""

    @abstractmethod
    def get_batch_files(
        self, batch_config: BatchConfig
    ) -> tuple[BaseBatchFileEncoding, Iterator[Batch]]:
        """Write the records of ``get_records`` to batch files.

        Returns:
            The encoding for BATCH messages; and pairs of a number of rows and the URL of the file
            that has them, or a record that no file can hold.
        """

    @property
    def version(self) -> int | None:
        """Version in RECORD messages, if any."""
        return self._stream_version

    def why_by_record(self, context: Context | None) -> str | None:
        """Return why records must be sent one by one; ``None`` if blocks can be sent.

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
        return next((reason for reason, applies in reasons.items() if applies), None)

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        # The SDK's own batch files ignore selection and stream maps.
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
                    self.figures.rows += rows
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
        reason = self.why_by_record(context) if write_messages else "no messages are written"
        if reason is not None:
            self.logger.debug("Records are sent one by one: %s", reason)
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            counter.with_context({})
            timer.with_context({})
            self._write_starting_replication_value(None)
            sent = 0
            for rows in self.get_blocks():
                for written in self._write_rows(rows, sent):
                    sent += written
                    self.state_manager.is_flushed = False
                    if not sent % self.STATE_MSG_FREQUENCY:
                        self._write_state_message()
                    counter.increment(written)
            self._finalize_state(self.get_context_state(None))
        self._finalize_state(self.stream_state)
        self._write_state_message()

    def _write_rows(self, rows: Rows, sent: int) -> Iterator[int]:
        """Write records; yield how many were written, at the latest when STATE is due."""
        from tap_demandbase.arrow.json_lines import pieces  # noqa: PLC0415 - needs pyarrow

        if isinstance(rows, dict):
            self._write_record_message(rows)
            yield 1
            return
        writer = self._tap.message_writer
        assert isinstance(writer, LineWriter)  # noqa: S101 - checked by why_by_record()
        every = self.STATE_MSG_FREQUENCY
        for lines, count in pieces(rows.encoded, every - sent % every, every):
            writer.write_lines(lines)
            self.figures.rows += count
            yield count
