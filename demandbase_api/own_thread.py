"""Threads that leave signals to the main thread.

The system hands a signal to any thread, but Python acts on it in the main one, which sleeps or
waits on unawares if another thread got it.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


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
