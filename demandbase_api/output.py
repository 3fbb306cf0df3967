"""Standard output of a command: whole lines, also if a signal arrives."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from demandbase_api.clock import SystemClock
from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.process import signals_deferred

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from typing_extensions import Buffer

    from demandbase_api.clock import Clock


STUCK_SECONDS = 5.0
"""Longest time for which a signal waits for the reader of a line that has begun."""

_CHUNK_BYTES = 64 * 1024
_PIECE_SECONDS = 0.2
_LINE_END = b"\n"


def write_lines(output: TextIO | None, lines: Buffer, clock: Clock | None = None) -> None:
    """Write whole lines; a signal takes effect at the end of the line that has begun.

    Args:
        output: Standard output; ``None`` if it was closed before Python started.
        lines: UTF-8; each line ends with a line feed.
        clock: Time.

    Raises:
        OSError: The output cannot be written.
    """
    if output is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    output.flush()
    try:
        descriptor = output.fileno()
    except (io.UnsupportedOperation, AttributeError):
        _write_to_object(output, lines)
        return
    with signals_deferred() as signals:
        _write_to_file(descriptor, memoryview(lines).cast("B"), signals, clock or SystemClock())


def _write_to_file(
    descriptor: int, lines: memoryview, signals: Sequence[int], clock: Clock
) -> None:
    written, end, deadline = 0, len(lines), NO_DEADLINE
    while written < end and not deadline.has_passed:
        if signals and deadline is NO_DEADLINE:
            deadline = Deadline.after(clock, STUCK_SECONDS)
            end = _line_end(lines, written)
        elif _is_writable(descriptor):
            # At least one byte is taken at once, so a signal ends a write that waits for the rest.
            with suppress(BlockingIOError):
                written += os.write(descriptor, lines[written : min(end, written + _CHUNK_BYTES)])


def _line_end(lines: memoryview, position: int) -> int:
    """Return the end of the line that has begun at a position; the position if none has."""
    if position == 0 or lines[position - 1 : position] == _LINE_END:
        return position
    return position + bytes(lines[position:]).index(_LINE_END) + 1


def _is_writable(descriptor: int) -> bool:
    if sys.platform == "win32":
        return True  # select works with sockets only
    return bool(select.select([], [descriptor], [], _PIECE_SECONDS)[1])


def _write_to_object(output: TextIO, lines: Buffer) -> None:
    """Write to an object that is no file of the system, such as one that captures the output."""
    if (binary := getattr(output, "buffer", None)) is None:
        output.write(bytes(lines).decode())
    else:
        left = memoryview(lines)
        while left:
            left = left[binary.write(left) or 0 :]
    output.flush()


def output_problem(error: OSError) -> str:
    """Return why an output cannot be written, as a clause."""
    match error.errno:
        case errno.EPIPE:
            return "its reader has ended"
        case errno.EBADF:
            return "it is closed"
        case _:
            return error.strerror or "the operation failed"
