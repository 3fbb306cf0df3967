"""Reads Singer messages, many records at a time; errors never quote a line of the input."""

from __future__ import annotations

import codecs
import json
import os
import select
import sys
from collections import Counter
from functools import cache
from io import UnsupportedOperation
from itertools import groupby
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from singer_sdk.io_base import SingerReader
from singer_sdk.singerlib.json import deserialize_json
from typing_extensions import override

from demandbase_api.process import enlarge_pipe
from target_demandbase.errors import InputError
from target_demandbase.schema import schema_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


BLOCK_BYTES = 768 * 1024

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Maximum length of a line, of the input and of a BATCH file: it is read into memory as a whole."""

_SILENT_SECONDS = 1.0

_GATHERING_SECONDS = 0.01


def input_blocks(
    source: IO[str], idle: Callable[[], None], block_bytes: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """Yield the input in blocks of whole lines; the last block may lack its line end.

    Args:
        source: The input, before anything was read. If it has no file descriptor, its text is
            encoded as UTF-8.
        idle: Called about once a second while no input arrives.
        block_bytes: Approximate size of a block; one with a longer line is as long as the line.

    Raises:
        LongLineError: The line behind the last block is too long.
    """
    try:
        descriptor = source.fileno()
    except (UnsupportedOperation, AttributeError):
        yield from _encoded_blocks(source, block_bytes)
        return
    enlarge_pipe(descriptor)
    pieces: list[bytes] = []
    size = 0
    while chunk := _read(descriptor, idle, block_bytes):
        _check_line(size + (chunk.find(b"\n") + 1 or len(chunk)))
        end = chunk.rfind(b"\n") + 1
        if not end:
            pieces.append(chunk)
            size += len(chunk)
            continue
        yield b"".join([*pieces, memoryview(chunk)[:end]])
        pieces = [chunk[end:]]
        size = len(pieces[0])
    if last := b"".join(pieces):
        yield last


def _read(descriptor: int, idle: Callable[[], None], size: int) -> bytes:
    """Return the available input, gathered while more follows at once; nothing at its end."""
    while not _is_ready(descriptor, _SILENT_SECONDS):
        idle()
    chunks = [os.read(descriptor, size)]
    while chunks[-1] and (left := size - sum(map(len, chunks))) > 0:
        if not _is_ready(descriptor, _GATHERING_SECONDS):
            break
        chunks.append(os.read(descriptor, left))
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_ready(descriptor: int, seconds: float) -> bool:
    if sys.platform == "win32":
        return True  # select works with sockets only
    return bool(select.select([descriptor], [], [], seconds)[0])


def _encoded_blocks(source: IO[str], block_bytes: int) -> Iterator[bytes]:
    lines: list[bytes] = []
    size = 0
    for text in source:
        line = text.encode("utf-8", "surrogatepass")
        if size + len(line) > block_bytes and lines:
            yield b"".join(lines)
            lines, size = [], 0
        _check_line(len(line))
        lines.append(line)
        size += len(line)
    if lines:
        yield b"".join(lines)


class LongLineError(Exception):
    """A line of the input is too long."""


def _check_line(size: int) -> None:
    if size > MAX_LINE_BYTES:
        raise LongLineError


class Consumed(NamedTuple):
    """How many of some lines were processed, from the first."""

    records: int
    size: int
    """In bytes."""


NOTHING = Consumed(0, 0)


class LineSink(Protocol):
    """Processes the records of a stream as lines."""

    def process_record_lines(self, lines: bytes) -> Consumed:
        """Process the first of some lines, each with its line end."""


def record_runs(lines: Sequence[bytes]) -> Iterator[tuple[str | None, list[bytes]]]:
    """Yield consecutive lines of the same stream, with the stream.

    The stream is ``None`` for lines that are not RECORD messages.
    """
    for stream, run in groupby(lines, stream_of):
        yield stream, list(run)


def stream_of(line: bytes) -> str | None:
    """Return the stream of a line; ``None`` if it is not a RECORD message."""
    try:
        header = _header_decoder()(line)
    except (ValueError, RecursionError):  # of msgspec, and of UTF-8
        return None
    stream: str | None = header.stream if header.type == "RECORD" else None
    return stream


@cache
def _header_decoder() -> Callable[[bytes], Any]:
    import msgspec  # noqa: PLC0415 - needed only if records are read

    header = msgspec.defstruct("Header", [("type", str), ("stream", str | None, None)])
    return msgspec.json.Decoder(header).decode


# Without this check the SDK would skip a record that is null, and print others in a traceback.
_KINDS = {"type": str, "stream": str, "record": dict, "schema": dict}

_FEW = 8
"""Number of records that cost as much together as alone."""

_MOST_ALONE = 256
"""Maximum number of records that are processed alone before they are tried together again."""


def pass_records(
    lines: list[bytes],
    offer: Callable[[bytes], Consumed | None],
    each: Callable[[list[bytes]], None],
) -> None:
    """Process records of a stream, together while they are plain and else alone.

    Fewer records are tried together while there are others among them, and more are processed
    alone each time that none is plain.

    Args:
        lines: RECORD messages without line ends.
        offer: Processes the first of some lines; ``None`` if the stream's sink accepts no lines.
        each: Processes one message after the other.
    """
    start, most, alone = 0, len(lines), 1
    while start < len(lines):
        tried = lines[start : start + most]
        offered = None if len(lines) - start <= _FEW else offer(b"\n".join([*tried, b""]))
        if offered is None:
            each(lines[start:])
            return
        start += offered.records
        if offered.records == len(tried):
            most, alone = 4 * most, 1
            continue
        most = 4 * max(offered.records, _FEW)
        alone = 1 if offered.records > _FEW else min(2 * alone, _MOST_ALONE)
        each(lines[start : start + alone])
        start += alone


class SilentReader(SingerReader):
    """Reads messages; the SDK's own reader logs a line that it cannot parse, with its values."""

    block_bytes = BLOCK_BYTES
    """Approximate size of the blocks that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: Callable[[], None] = lambda: None
        """Called after each block, and about once a second while no input arrives."""
        self.sink_of: Callable[[str], LineSink | None] = lambda _stream: None
        """Returns the sink that processes a stream's records as lines, if any."""
        self._callbacks: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._counts: Counter[str] = Counter()
        self._line = 0
        self._stream = ""
        self._rest = b""
        """Lines that are processed with the next block."""

    @override
    def process_lines(
        self,
        file_input: IO[str] | None,
        callbacks: dict[str, Callable[[dict[str, Any]], None]],
    ) -> Counter[str]:
        """Pass each message on; skip blank lines.

        The SDK's own method processes line after line. Here the records of a stream are passed to
        their sink many at a time if it accepts lines, and else to the callbacks.
        """
        self._callbacks = callbacks
        source = file_input or sys.stdin
        if source is None:  # the descriptor was closed before Python started
            raise InputError("Standard input is closed: connect a tap, or pass a file as --input.")
        try:
            for block in self._blocks(source):
                self._block(block)
                self.idle()
            self._finish_block()
        except LongLineError:
            self._finish_block()
            raise InputError(
                f"Line {self._line + 1} of the input is longer than {MAX_LINE_BYTES >> 20} MiB. "
                "Leave out the large values at the source."
            ) from None
        return self._counts

    def _blocks(self, source: IO[str]) -> Iterator[bytes]:
        """Yield the input in blocks.

        Raises:
            InputError: It cannot be read.
        """
        blocks = input_blocks(source, self._silence, self.block_bytes)
        while True:
            try:
                block = next(blocks, None)
            except OSError as error:
                self._finish_block()
                raise InputError(
                    f"The input cannot be read: {error.strerror or type(error).__name__}. Check "
                    "what standard input is connected to."
                ) from None
            if block is None:
                return
            yield block

    def _silence(self) -> None:
        self._finish_block()
        self.idle()

    def _finish_block(self) -> None:
        """Process the lines that wait for the next block."""
        lines, self._rest = self._rest, b""
        self._process(lines)

    def _block(self, block: bytes) -> None:
        half = self.block_bytes // 2
        # A tap that is slow leaves nothing: its states do not wait.
        min_bytes = half if len(block) >= half else 0
        block = block.removeprefix(codecs.BOM_UTF8)
        if not block.endswith(b"\n"):
            block += b"\n"
        block, self._rest = self._rest + block, b""
        self._rest = self._process(block, min_bytes)

    def _process(self, block: bytes, min_bytes: int = 0) -> bytes:
        """Process lines.

        Args:
            block: The lines, each with its end.
            min_bytes: Leave what follows a message of another type if it is smaller: few records
                cost almost as much as many.

        Returns:
            What is left.
        """
        # Most blocks contain little but records of the same stream as the block before.
        was_few = is_few = False
        while not (was_few and is_few):
            consumed = self._offer(self._stream, block) or NOTHING
            block = block[consumed.size :]
            line, _, rest = block.partition(b"\n")
            if not block or stream_of(line) is not None:
                break
            self._each([line])
            block = rest
            if len(block) < min_bytes:
                return block
            was_few, is_few = is_few, consumed.records <= _FEW
        if not block:
            return b""
        for stream, run in record_runs(block.split(b"\n")[:-1]):
            if stream is None:
                self._each(run)
            else:
                self._stream = stream
                self._records(stream, run)
        return b""

    def _records(self, stream: str, lines: list[bytes]) -> None:
        pass_records(lines, lambda text: self._offer(stream, text), self._each)

    def _offer(self, stream: str, lines: bytes) -> Consumed | None:
        sink = self.sink_of(stream)
        if sink is None:
            return None
        consumed = sink.process_record_lines(lines)
        self._line += consumed.records
        self._counts["RECORD"] += consumed.records
        return consumed

    def _each(self, lines: Sequence[bytes]) -> None:
        """Pass on one message after the other."""
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
                f"Line {self._line} of the input is no UTF-8 text. Check the tap: it may write "
                "nothing but Singer messages to its standard output."
            ) from None

    @override
    def deserialize_json(self, line: str) -> dict[str, Any]:
        """Return a message.

        Raises:
            InputError: The line is no JSON object, or a member has the wrong type.
        """
        try:
            message = deserialize_json(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"Line {self._line} of the input is not JSON (at character {error.pos}). "
                "Check the tap: it may write nothing but Singer messages to its standard output."
            ) from None
        except (ValueError, RecursionError):
            raise InputError(
                f"Line {self._line} of the input contains a number of too many digits or too many "
                "nested arrays. Correct it at the source."
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
        """Check that a message has the required members.

        Raises:
            InputError: One is missing.
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
