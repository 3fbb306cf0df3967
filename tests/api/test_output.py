from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import pytest
from typing_extensions import override

from demandbase_api.clock import SystemClock
from demandbase_api.output import STUCK_SECONDS, write_lines

LINE = b'{"number":' + b"1" * 50_000 + b"}\n"
LINES = LINE * 40
"""More than any pipe takes at once."""


class SignalError(Exception):
    """What the handler of a signal raises."""


class FastClock(SystemClock):
    """A clock on which every reading takes two seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @override
    def now(self) -> float:
        self.seconds += 2
        return self.seconds


@pytest.fixture(autouse=True)
def interrupting() -> Iterator[None]:
    def handle(*_: object) -> None:
        raise SignalError

    before = signal.signal(signal.SIGTERM, handle)
    yield
    signal.signal(signal.SIGTERM, before)


@contextmanager
def pipe(read: Callable[[int], None]) -> Iterator[TextIO]:
    """The end of a pipe that is written; a thread reads the other."""
    reader, writer = os.pipe()
    thread = threading.Thread(target=read, args=(reader,), daemon=True)
    thread.start()
    output = os.fdopen(writer, "w", encoding="utf-8")
    try:
        yield output
    finally:
        output.close()
        thread.join()
        with suppress(OSError):
            os.close(reader)


class Reader:
    """Reads all of a pipe; sends a signal once it has read some."""

    def __init__(self, *, signal_after: int | None = None) -> None:
        self.taken = b""
        self._signal_after = signal_after

    def __call__(self, descriptor: int) -> None:
        while chunk := os.read(descriptor, 65_536):
            self.taken += chunk
            if self._signal_after is not None and len(self.taken) > self._signal_after:
                self._signal_after = None
                os.kill(os.getpid(), signal.SIGTERM)


def test_all_lines_are_written_behind_what_was_there() -> None:
    read = Reader()
    with pipe(read) as output:
        output.write("before\n")
        write_lines(output, memoryview(LINES))
    assert read.taken == b"before\n" + LINES


def test_a_signal_takes_effect_at_the_end_of_the_line_that_has_begun() -> None:
    read = Reader(signal_after=100_000)
    with pipe(read) as output, pytest.raises(SignalError):
        write_lines(output, LINES)
    assert read.taken in [LINE * count for count in range(2, 40)]


def test_a_reader_that_is_stuck_is_waited_for_no_longer_than_five_seconds() -> None:
    go = threading.Event()
    clock = FastClock()

    def read_nothing(_: int) -> None:
        go.wait()

    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pipe(read_nothing) as output:
        with pytest.raises(SignalError):
            write_lines(output, LINES, clock)
        go.set()
    assert clock.seconds <= STUCK_SECONDS + 3


def test_a_signal_before_the_first_byte_leaves_nothing() -> None:
    go = threading.Event()
    read = Reader()

    def read_late(descriptor: int) -> None:
        go.wait()
        read(descriptor)

    clock = FastClock()
    with pipe(read_late) as output:
        os.set_blocking(output.fileno(), False)
        full = 0
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while True:
                    full += os.write(output.fileno(), b"x" * size)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(SignalError):
            write_lines(output, LINES, clock)
        go.set()
    assert read.taken == b"x" * full


def test_an_output_that_does_not_block_gets_every_line() -> None:
    read = Reader()
    with pipe(read) as output:
        os.set_blocking(output.fileno(), False)
        write_lines(output, LINES)
    assert read.taken == LINES


@pytest.mark.parametrize("output", [io.StringIO(), None])
def test_an_output_without_a_descriptor_is_written_if_there_is_one(output: TextIO | None) -> None:
    if output is None:
        with pytest.raises(OSError, match="Bad file"):
            write_lines(output, LINE)
    else:
        write_lines(output, LINE)
        assert output.getvalue() == LINE.decode()  # type: ignore[attr-defined]
