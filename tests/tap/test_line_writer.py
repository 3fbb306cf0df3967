from __future__ import annotations

import io
import sys

import pytest
from typing_extensions import Buffer, override

from tap_demandbase.fast_sync import LineWriter

LINES = b"".join(b'{"type":"RECORD","number":%d}\n' % number for number in range(100))


class ShortWrites(io.RawIOBase):
    """Takes a few bytes at a time, as a file without a buffer may."""

    def __init__(self) -> None:
        self.taken = b""

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer, /) -> int:
        piece = bytes(data)[:7]
        self.taken += piece
        return len(piece)


def test_an_output_without_a_buffer_gets_every_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ShortWrites()
    output = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)  # type: ignore[type-var]
    monkeypatch.setattr(sys, "stdout", output)
    LineWriter().write_lines(memoryview(LINES))
    assert raw.taken == LINES
    assert sys.stdout.buffer is raw


def test_lines_follow_the_messages_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_below = io.BytesIO()
    output = io.TextIOWrapper(bytes_below, encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", output)
    output.write("before\n")
    LineWriter().write_lines(LINES)
    output.write("after\n")
    output.flush()
    assert bytes_below.getvalue() == b"before\n" + LINES + b"after\n"
