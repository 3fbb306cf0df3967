"""Helper threads: they leave signals to the main thread and never delay the end of the process.

The system delivers a signal to any thread, but Python runs its handler in the main thread, which
does not wake up if another thread received it. So helper threads start with signals masked, and the
main thread waits in pieces, never by ``Thread.join`` (in CPython 3.11, a join that a signal
interrupts marks a running thread as ended).
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")
U = TypeVar("U")

_PIECE_SECONDS = 0.2
"""Longest delay until the main thread handles a signal that another thread received."""


def _mask_signals() -> None:
    """Mask SIGINT and SIGTERM in the calling thread, if the platform supports it."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


class Task(Generic[T]):
    """One call in a daemon thread.

    Args:
        function: Called at once; its return value or exception is the task's result.
        name: Name of the thread.
    """

    def __init__(self, function: Callable[[], T], name: str | None = None) -> None:
        self._function = function
        self._value: T
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        _mask_signals()
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001 - raised again by the result
            self._error = error
        finally:
            self._ended.set()

    @property
    def done(self) -> bool:
        """Whether the call has returned or raised."""
        return self._ended.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end of the call, forever by default; return whether it has ended."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._ended.is_set():
            left = _PIECE_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                break
            self._ended.wait(min(left, _PIECE_SECONDS))
        return self._ended.is_set()

    def result(self, *, every: float = 10.0, on_wait: Callable[[], None] | None = None) -> T:
        """Wait for the end of the call and return its result.

        Args:
            every: Seconds between two calls of ``on_wait``.
            on_wait: Called while the caller waits, for example to log progress.

        Raises:
            BaseException: Exception of the call.
        """
        while not self.wait(every):
            if on_wait is not None:
                on_wait()
        if self._error is not None:
            raise self._error
        return self._value


class OrderedWorkers:
    """Daemon threads that share a queue of calls. Results are in the order of the calls.

    Args:
        workers: Number of threads. With one, the calls themselves run in order.
        ahead: Number of calls in flight from which ``submit`` and ``map`` wait for the oldest.
            Default: no limit.
        name: Prefix of the threads' names.
    """

    def __init__(self, workers: int, ahead: int | None = None, name: str = "worker") -> None:
        self._ahead = ahead
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._pending: deque[Future[Any]] = deque()
        self._is_closed = False
        self._threads = [Task(self._work, f"{name}-{number}") for number in range(workers)]

    def submit(self, function: Callable[..., T], *args: object) -> Future[T]:
        """Queue a call.

        Raises:
            BaseException: Exception of an earlier call that this one waited for.
        """
        if self._ahead is not None:
            self._wait_for_all_but(self._ahead - 1)
        future = self._put(function, args)
        if self._ahead is not None:
            self._pending.append(future)
        return future

    def map(self, function: Callable[[T], U], items: Iterable[T]) -> Iterator[tuple[T, U]]:
        """Yield each item and its result, while the threads work on later items.

        Args:
            function: Called in the threads.
            items: Iterated in the calling thread, at most ``ahead`` items before the next result
                is consumed.
        """
        running: deque[tuple[T, Future[U]]] = deque()
        for item in items:
            running.append((item, self._put(function, (item,))))
            if self._ahead is not None and len(running) > self._ahead:
                first, future = running.popleft()
                yield first, result_of(future)
        while running:
            first, future = running.popleft()
            yield first, result_of(future)

    def drain(self) -> None:
        """Wait for all submitted calls.

        Raises:
            BaseException: Exception of the first call that failed.
        """
        self._wait_for_all_but(0)

    def close(self, *, wait: bool = False) -> None:
        """Cancel the queued calls and end the threads.

        Args:
            wait: Whether to wait for the running calls.
        """
        self._is_closed = True
        for _ in self._threads:
            self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.wait()
        self._pending.clear()

    def __enter__(self) -> Self:
        """Return the workers, which the end of the block closes."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the workers and wait for the running calls."""
        self.close(wait=True)

    def _wait_for_all_but(self, most: int) -> None:
        while len(self._pending) > most:
            # It stays in the queue on an error or a signal: the next call raises the error again.
            result_of(self._pending[0])
            self._pending.popleft()

    def _put(self, function: Callable[..., T], args: tuple[Any, ...]) -> Future[T]:
        if self._is_closed:
            raise RuntimeError("The workers are closed")
        future: Future[T] = Future()

        def call() -> None:
            if self._is_closed:
                future.cancel()
            if not future.set_running_or_notify_cancel():
                return
            try:
                value = function(*args)
            except BaseException as error:  # noqa: BLE001 - raised again by the result
                future.set_exception(error)
            else:
                future.set_result(value)

        self._calls.put(call)
        return future

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # it would keep its arguments and its result until the next call


def wait_for(future: Future[Any]) -> None:
    """Wait for the end of a future, in pieces, so that signals are handled meanwhile."""
    if future.done():
        return
    ended = threading.Event()
    future.add_done_callback(lambda _: ended.set())
    while not ended.wait(_PIECE_SECONDS):
        pass


def result_of(future: Future[T]) -> T:
    """Wait for the end of a future and return its result.

    Raises:
        BaseException: Whatever the call raised.
    """
    wait_for(future)
    return future.result()


def run_with_timeout(seconds: float, functions: Sequence[Callable[[], object]]) -> list[bool]:
    """Call functions concurrently, each in a thread; return which of them ended in time.

    Args:
        seconds: Time-out for all of them. Threads that take longer are abandoned.
        functions: The functions.
    """
    tasks = [Task(function) for function in functions]
    deadline = time.monotonic() + seconds
    return [task.wait(max(0.0, deadline - time.monotonic())) for task in tasks]


@contextmanager
def log_periodically(seconds: float, log: Callable[[], None]) -> Iterator[None]:
    """Call a function in another thread every few seconds while the block runs."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            log()

    task = Task(repeat)
    try:
        yield
    finally:
        ended.set()
        task.wait()
