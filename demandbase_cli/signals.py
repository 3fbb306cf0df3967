"""Ctrl-C ends the command at once, also where Python cannot: in the resolution of a host name."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demandbase_api.startup import end
from demandbase_api.threads import Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

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
def forwarding_signals() -> Iterator[list[Popen[bytes]]]:
    """Forward SIGINT and SIGTERM to child processes, which end as they do, until the block ends.

    Yields:
        The child processes, to be added by the block.
    """
    children: list[Popen[bytes]] = []

    def forward(number: int, _frame: object) -> None:
        for child in children:
            child.send_signal(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    wakeup = signal.set_wakeup_fd(-1)
    try:
        for number in before:
            signal.signal(number, forward)
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
