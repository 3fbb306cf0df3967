"""Reads Singer messages, many records at a time, without ever showing a line that is none."""

from __future__ import annotations

import codecs
import json
import sys
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

from singer_sdk.io_base import SingerReader
from singer_sdk.singerlib.json import deserialize_json
from typing_extensions import override

from target_demandbase.errors import InputError
from target_demandbase.input_blocks import BLOCK_BYTES, input_blocks
from target_demandbase.message_lines import NOTHING
from target_demandbase.record_runs import record_runs
from target_demandbase.schema_check import schema_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_demandbase.message_lines import LineSink, Taken

# Without this check the SDK would skip a record that is null, and show others in a traceback.
_KINDS = {"type": str, "stream": str, "record": dict, "schema": dict}
_FEW = 16
"""So few lines are not worth another try at once."""


class SilentReader(SingerReader):
    """The SDK's reader; the SDK's own logs a line that it cannot parse, record values and all."""

    block_bytes = BLOCK_BYTES
    """About how much of the input is read at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: Callable[[], None] = lambda: None
        """Called after each block, and about once a second while the input is silent."""
        self.sink_of: Callable[[str], LineSink | None] = lambda _stream: None
        """Returns what takes a stream's records as lines."""
        self._callbacks: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._counts: Counter[str] = Counter()
        self._line = 0
        self._stream = ""

    @override
    def process_lines(
        self,
        file_input: IO[str] | None,
        callbacks: dict[str, Callable[[dict[str, Any]], None]],
    ) -> Counter[str]:
        """Hand each message on; lines without text are passed over.

        The SDK's own takes line after line. Here the records of a stream go to their sink many at
        a time where it takes them so, and to the callbacks where not.
        """
        self._callbacks = callbacks
        for block in input_blocks(file_input or sys.stdin, self.idle, self.block_bytes):
            self._block(block.removeprefix(codecs.BOM_UTF8))
            self.idle()
        return self._counts

    def _block(self, block: bytes) -> None:
        if not block.endswith(b"\n"):
            block += b"\n"
        # Most blocks hold hardly more than records of the stream that the last one held.
        was_odd = False
        while True:
            taken = self._offer(self._stream, block)
            block = block[taken.size :]
            if not block:
                return
            is_odd = taken.records <= _FEW
            if is_odd and was_odd:
                break
            if is_odd:
                line, _, block = block.partition(b"\n")
                self._each([line])
            was_odd = is_odd
        for stream, run in record_runs(block.split(b"\n")[:-1]):
            if stream is None:
                self._each(run)
            else:
                self._stream = stream
                self._records(stream, run)

    def _records(self, stream: str, lines: list[bytes]) -> None:
        """Hand on records of a stream; around those that are not taken, smaller pieces may be."""
        was_odd = False
        while lines:
            if self.sink_of(stream) is None or len(lines) <= _FEW:
                self._each(lines)
                return
            taken = self._offer(stream, b"\n".join([*lines, b""])).records
            lines = lines[taken:]
            is_odd = taken <= _FEW
            if is_odd and was_odd:
                middle = len(lines) // 2
                self._records(stream, lines[:middle])
                lines = lines[middle:]
                is_odd = False
            elif is_odd:
                self._each(lines[:1])
                lines = lines[1:]
            was_odd = is_odd

    def _offer(self, stream: str, lines: bytes) -> Taken:
        sink = self.sink_of(stream)
        taken = NOTHING if sink is None else sink.take_lines(lines)
        self._line += taken.records
        self._counts["RECORD"] += taken.records
        return taken

    def _each(self, lines: Sequence[bytes]) -> None:
        """Hand on one message after the other."""
        for line in lines:
            self._line += 1
            text = self._decoded(line).strip()
            if not text:
                continue
            message = self.deserialize_json(text)
            self.assert_line_requires(message, {"type"})
            kind = message["type"]
            callback = self._callbacks.get(kind)
            if callback is None:
                self._process_unknown_message(message)
                continue
            callback(message)
            self._counts[kind] += 1

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise InputError(
                f"Line {self._line} of the input is no text in UTF-8. Check the tap: nothing but "
                "Singer messages may go to its standard output."
            ) from None

    @override
    def deserialize_json(self, line: str) -> dict[str, Any]:
        """Return a message.

        Raises:
            InputError: The line is no JSON object, or a member of it is of the wrong type.
        """
        try:
            message = deserialize_json(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"Line {self._line} of the input is no JSON (at character {error.pos}). "
                "Check the tap: nothing but Singer messages may go to its standard output."
            ) from None
        except (ValueError, RecursionError):
            raise InputError(
                f"Line {self._line} of the input holds a number of too many digits or too many "
                "arrays in each other. Correct it at the source."
            ) from None
        if not isinstance(message, dict):
            raise InputError(f"Line {self._line} of the input is no Singer message.")
        for name, kind in _KINDS.items():
            if name in message and not isinstance(message[name], kind):
                raise InputError(
                    f"Line {self._line} of the input has a {name} of the wrong type: it is no "
                    "valid Singer message. Check the tap."
                )
        if message.get("type") == "SCHEMA" and (problem := schema_problem(message)):
            raise InputError(
                f"Line {self._line} of the input {problem}: it is no valid Singer message. "
                "Check the tap."
            )
        return message

    @override
    def assert_line_requires(  # type: ignore[override]
        self, line_dict: dict[str, Any], requires: set[str]
    ) -> None:
        """Check that a message has some members.

        Raises:
            InputError: It lacks one.
        """
        missing = sorted(requires - line_dict.keys())
        if missing:
            raise InputError(
                f"Line {self._line} of the input lacks {', '.join(missing)}: it is no valid "
                "Singer message. Check the tap."
            )

    @override
    def _process_unknown_message(self, message_dict: dict[str, Any]) -> None:
        raise InputError(
            f"Line {self._line} of the input is a Singer message of unknown type. Check the tap."
        )
