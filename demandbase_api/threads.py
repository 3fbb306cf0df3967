"""Threads that leave signals to the main thread.

The system hands a signal to any thread, but Python acts on it in the main one, which sleeps or
waits on unawares if another thread got it.
"""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


_PIECE_SECONDS = 0.5


def leave_signals() -> None:
    """Let signals go to other threads than this one, where the system can."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


def start_thread(function: Callable[[], None]) -> threading.Thread:
    """Start a thread that keeps no process from ending."""

    def run() -> None:
        leave_signals()
        function()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def start_pool(workers: int, name: str = "") -> ThreadPoolExecutor:
    """Return a pool whose threads have all begun and leave signals to the main one.

    Args:
        workers: How many threads.
        name: What their names begin with.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name, initializer=leave_signals)
    all_begun = threading.Barrier(workers)
    begun = threading.Event()

    def begin() -> None:
        for future in [pool.submit(all_begun.wait) for _ in range(workers)]:
            future.result()
        begun.set()

    # Were it the main thread that begins them, a signal could end it between a thread's begin and
    # the note of it, and nobody would end that thread.
    start_thread(begin)
    while not begun.wait(_PIECE_SECONDS):
        pass
    return pool


def within(seconds: float, functions: Sequence[Callable[[], None]]) -> list[bool]:
    """Call functions side by side; return which of them came to their end in time.

    Args:
        seconds: How long to wait for all of them; those that take longer are left behind.
        functions: What to call.
    """
    threads = [start_thread(function) for function in functions]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [not thread.is_alive() for thread in threads]


@contextmanager
def heartbeat(seconds: float, beat: Callable[[], None]) -> Iterator[None]:
    """Call a function again and again while something else is done.

    Args:
        seconds: How often.
        beat: The function; it is called in another thread.
    """
    ended = threading.Event()

    def beats() -> None:
        while not ended.wait(seconds):
            beat()

    thread = start_thread(beats)
    try:
        yield
    finally:
        ended.set()
        thread.join()
