from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from demandbase_api.process import signals_deferred
from demandbase_api.threads import (
    OrderedWorkers,
    Task,
    log_periodically,
    result_of,
    run_with_timeout,
)


def masked_signals() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def test_a_task_returns_what_its_call_returns() -> None:
    assert Task(lambda: 3).result() == 3


def test_a_task_raises_what_its_call_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        Task(lambda: 1 // 0).result()


def test_a_task_leaves_signals_to_the_main_thread() -> None:
    assert {signal.SIGINT, signal.SIGTERM} <= Task(masked_signals).result()


def test_progress_can_be_logged_during_the_wait_for_a_task() -> None:
    go, calls = threading.Event(), []
    task = Task(go.wait)

    def on_wait() -> None:
        calls.append(task.done)
        if len(calls) == 2:
            go.set()

    assert task.result(every=0.01, on_wait=on_wait)
    assert calls[:2] == [False, False]


def test_a_wait_for_a_task_ends_in_time() -> None:
    go = threading.Event()
    task = Task(go.wait)
    assert not task.wait(0.01)
    go.set()
    assert task.wait()


def test_a_signal_that_a_helper_thread_could_receive_ends_the_wait_for_a_task() -> None:
    go = threading.Event()
    task = Task(go.wait)

    def interrupt() -> None:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    Task(interrupt)
    with pytest.raises(KeyboardInterrupt):
        task.result()
    go.set()


def test_workers_leave_signals_to_the_main_thread_and_have_names() -> None:
    with OrderedWorkers(3, name="of-this-test") as workers:
        names = [thread.name for thread in threading.enumerate()]
        assert sum(name.startswith("of-this-test") for name in names) == 3
        masked = result_of(workers.submit(masked_signals))
    assert {signal.SIGINT, signal.SIGTERM} <= masked


def test_results_of_workers_are_in_order_and_items_are_read_ahead_up_to_a_limit() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for item in range(6):
            read.append(item)
            yield item

    def slow_first(item: int) -> int:
        time.sleep(0.05 if item == 0 else 0)
        return item * 10

    with OrderedWorkers(2, ahead=2) as workers:
        results = workers.map(slow_first, items())
        assert next(results) == (0, 0)
        assert read == [0, 1, 2]
        assert list(results) == [(item, item * 10) for item in range(1, 6)]


def test_the_error_of_a_submitted_call_is_raised_by_each_later_one() -> None:
    with OrderedWorkers(1, ahead=1) as workers:
        workers.submit(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            workers.submit(int)
        with pytest.raises(ZeroDivisionError):
            workers.drain()


def test_closed_workers_end_their_threads_and_cancel_queued_calls() -> None:
    go = threading.Event()
    done: list[int] = []
    workers = OrderedWorkers(1, name="closed-by-this-test")
    workers.submit(go.wait)
    waiting = workers.submit(done.append, 1)
    workers.close()
    go.set()
    with pytest.raises(CancelledError):
        result_of(waiting)
    workers.close(wait=True)
    assert done == []
    assert not [each for each in threading.enumerate() if each.name.startswith("closed-by-this")]


def test_run_with_timeout_abandons_slow_calls() -> None:
    go = threading.Event()
    assert run_with_timeout(0.1, [go.wait, lambda: 1]) == [False, True]
    go.set()


def test_progress_is_logged_while_a_block_runs_and_not_afterwards() -> None:
    calls: list[int] = []
    with log_periodically(0.01, lambda: calls.append(1)):
        while len(calls) < 3:
            time.sleep(0.001)
    count = len(calls)
    time.sleep(0.05)
    assert len(calls) == count


def test_a_signal_in_a_deferred_section_is_handled_at_its_end() -> None:
    steps: list[str] = []

    def section() -> None:
        with signals_deferred():
            signal.raise_signal(signal.SIGINT)
            with signals_deferred():
                signal.raise_signal(signal.SIGINT)
                steps.append("inner")
            steps.append("outer")

    with pytest.raises(KeyboardInterrupt):
        section()
    assert steps == ["inner", "outer"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
