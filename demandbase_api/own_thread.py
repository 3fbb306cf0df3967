"""Threads that leave signals to the main thread.

The system hands a signal to any thread, but Python acts on it in the main one, which sleeps or
waits on unawares if another thread got it.
"""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

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
