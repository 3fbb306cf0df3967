"""What the reader hands on, and how: each message once and in order, records together if it can."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import SimpleNamespace
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_demandbase import reader as reader_module
from target_demandbase.errors import InputError
from target_demandbase.reader import Consumed, SilentReader

STREAMS = ("a", "b")


class Together:
    """Takes the records of a stream up to an odd one, and no more than some at a time."""

    def __init__(self, stream: str, most: int, taken: list[Any]) -> None:
        self.stream = stream
        self.most = most
        self.taken = taken

    def process_record_lines(self, lines: bytes) -> Consumed:
        records = size = 0
        for line in io.BytesIO(lines):
            assert line.endswith(b"\n")
            message = json.loads(line) if line.strip() else {}
            if message.get("stream") != self.stream or message.get("odd") or records == self.most:
                break
            self.taken.append(message)
            records += 1
            size += len(line)
        return Consumed(records, size)


def read(lines: list[str], most: int, block_bytes: int, end: str) -> tuple[list[Any], list[Any]]:
    """Return all messages in the order in which they came out, and the records that came alone."""
    out: list[Any] = []
    alone: list[Any] = []

    def record(message: dict[str, Any]) -> None:
        out.append(message)
        alone.append(message)

    reader = SilentReader()
    reader.block_bytes = block_bytes
    sinks = {stream: Together(stream, most, out) for stream in STREAMS}
    reader.sink_of = sinks.get
    counts = reader.process_lines(
        io.StringIO("\n".join(lines) + end), {"RECORD": record, "STATE": out.append}
    )
    assert counts["RECORD"] + counts["STATE"] == len(out)
    return out, alone


def lines_of(kinds: list[str]) -> list[str]:
    messages: dict[str, dict[str, Any]] = {
        "state": {"type": "STATE", "value": {}},
        "odd": {"type": "RECORD", "stream": "a", "record": {}, "odd": True},
        **{name: {"type": "RECORD", "stream": name, "record": {}} for name in STREAMS},
    }
    return [
        "" if kind == "blank" else json.dumps({**messages[kind], "n": n})
        for n, kind in enumerate(kinds)
    ]


KINDS = st.lists(
    st.tuples(st.sampled_from(["a", "a", "b", "odd", "state", "blank"]), st.integers(1, 40))
).map(lambda runs: [kind for kind, times in runs for _ in range(times)])


@given(
    kinds=KINDS, most=st.integers(1, 50), block_bytes=st.sampled_from([1, 1000, 1_000_000]),
    end=st.sampled_from(["", "\n", "\n\n"]),
)  # fmt: skip
def test_each_message_comes_out_once_and_in_order(
    kinds: list[str], most: int, block_bytes: int, end: str
) -> None:
    lines = lines_of(kinds)
    out, _ = read(lines, most, block_bytes, end)
    assert out == [json.loads(line) for line in lines if line]


def test_a_line_between_records_does_not_send_those_around_it_alone() -> None:
    lines = lines_of((["a"] * 100 + ["state"]) * 5 + ["a"] * 50 + ["odd"] + ["a"] * 50)
    _, alone = read(["", *lines], most=1000, block_bytes=1_000_000, end="\n")
    # Which stream it is shows at the first record.
    assert len(alone) <= 2
    assert [message for message in alone if message.get("odd")]


def test_records_behind_a_state_go_with_the_next_block() -> None:
    lines = [*lines_of((["a"] * 20 + ["state"]) * 50)]
    taken: list[Any] = []
    sink = Together("a", 1000, taken)
    calls: list[Consumed] = []
    reader = SilentReader()
    reader.block_bytes = sum(map(len, lines)) // 40

    def process(lines: bytes) -> Consumed:
        calls.append(sink.process_record_lines(lines))
        return calls[-1]

    reader.sink_of = lambda _: SimpleNamespace(process_record_lines=process)
    reader.process_lines(
        io.StringIO("\n".join(lines)), {"RECORD": taken.append, "STATE": taken.append}
    )
    assert taken == [json.loads(line) for line in lines]
    # One call for what is in a block in front of a state, and one for what is behind it, are 90.
    assert len([call for call in calls if call.records]) <= 70


def test_records_behind_a_state_do_not_wait_for_a_tap_that_is_silent() -> None:
    # Which stream it is shows at the first record.
    first, *lines = lines_of(["a"] * 100 + ["state"] + ["a"] * 10)
    reader = SilentReader()
    reader.block_bytes = 2 * sum(map(len, lines)) - 100
    out: list[Any] = []
    taken: list[int] = []
    ours, theirs = os.pipe()
    os.write(theirs, f"{first}\n".encode())

    def idle() -> None:
        taken.append(len(out))
        if len(taken) == 1:
            os.write(theirs, ("\n".join(lines) + "\n").encode())
        elif len(taken) == 3:
            os.close(theirs)

    reader.idle = idle
    reader.sink_of = {"a": Together("a", 1000, out)}.get
    with os.fdopen(ours, encoding="utf-8") as source:
        reader.process_lines(source, {"RECORD": out.append, "STATE": out.append})
    assert taken[:3] == [1, len(lines) - 9, len(lines) + 1]


@pytest.mark.parametrize("is_pipe", [True, False], ids=["pipe", "text"])
@pytest.mark.parametrize("end", ["", "\n", '\n{"type": "STATE"}\n'], ids=["endless", "end", "more"])
def test_a_line_that_is_too_long_ends_the_input_after_all_before_it(
    monkeypatch: pytest.MonkeyPatch, end: str, *, is_pipe: bool
) -> None:
    monkeypatch.setattr(reader_module, "MAX_LINE_BYTES", 1 << 20)
    text = '{"type": "STATE", "n": 1}\n\n{"type": "STATE", "n": 2}\n' + "x" * (1 << 20) + "x" + end
    found: list[Any] = []
    content = piped(text.encode(), endless=not end) if is_pipe else nullcontext(io.StringIO(text))
    said = r"^Line 4 of the input is longer than 1 MiB\."
    reader = SilentReader()
    reader.block_bytes = 100
    with content as source, pytest.raises(InputError, match=said):
        reader.process_lines(source, {"STATE": found.append})
    assert [message["n"] for message in found] == [1, 2]


@contextmanager
def piped(content: bytes, *, endless: bool) -> Iterator[IO[str]]:
    """A pipe with some content; if it is endless, the last byte is repeated for ever."""
    reader, writer = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writer, "wb") as file:
            file.write(content)
            while endless:
                file.write(content[-1:] * 65_536)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    with os.fdopen(reader, encoding="utf-8") as source:
        yield source
    thread.join()


def test_input_that_breaks_off_ends_in_one_sentence() -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(b"unread")  # so that closing the other end resets this one
    theirs.close()
    with (
        ours,
        ours.makefile(encoding="utf-8") as source,
        pytest.raises(InputError, match=r"The input cannot be read: Connection reset by peer\."),
    ):
        SilentReader().process_lines(source, {})
