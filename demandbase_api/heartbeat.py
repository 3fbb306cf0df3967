"""Gives a sign of life while a call takes its time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demandbase_api.own_thread import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
