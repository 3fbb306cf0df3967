"""Threads of our own begin as a whole and leave signals to the main one."""

from __future__ import annotations

import signal
import threading

from demandbase_api.threads import start_pool


def test_all_threads_of_a_pool_are_there_before_it_is_used() -> None:
    with start_pool(3, "of-this-test"):
        names = [thread.name for thread in threading.enumerate()]
        assert sum(name.startswith("of-this-test") for name in names) == 3


def test_the_threads_of_a_pool_leave_signals_to_the_main_one() -> None:
    with start_pool(1) as pool:
        masked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    assert {signal.SIGINT, signal.SIGTERM} <= masked
