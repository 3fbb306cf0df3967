"""Ctrl-C ends the command at once, also where Python cannot: in the resolution of a host name."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demandbase_api.process import signals_deferred
from demandbase_api.startup import end
from demandbase_api.threads import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDS = " before the command was done"


def end_at_once() -> None:
    """Let SIGINT and SIGTERM end the process, whatever the main thread does."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    # Python's own handlers run in the main thread, and only between two of its steps.
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(writable)
    Task(lambda: end(os.read(readable, 1)[0], ENDS), "signals")


@contextmanager
def signals_left_to_child() -> Iterator[None]:
    """Let signals end this process only after the block, in which a child process handles them."""
    before = signal.set_wakeup_fd(-1)
    try:
        with signals_deferred():
            try:
                yield
            finally:
                signal.set_wakeup_fd(before)
    finally:
        signal.set_wakeup_fd(before)
