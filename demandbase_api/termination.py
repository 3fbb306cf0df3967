"""Ends the run on a signal: what is open is cleaned up, and the exit code says why."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

SIGNAL_EXIT = 128


def terminate(number: int, logger: logging.Logger) -> NoReturn:
    """End the run with the exit code of a signal: 130 for SIGINT, 143 for SIGTERM.

    Args:
        number: The signal.
        logger: Where to say so.
    """
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)  # one is enough: let the cleaning up be done
    logger.critical(
        "Stopped by %s: jobs of this run that still wait or run are cancelled where they can be; "
        "the state that went out is where the next run goes on.",
        signal.Signals(number).name,
    )
    raise SystemExit(SIGNAL_EXIT + number)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal break into the cleaning up, which ends by itself within seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
