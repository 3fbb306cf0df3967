"""Ends what must be tried, but must not keep a run from ending."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from demandbase_api.own_thread import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
