"""Ends a command that failed: one sentence, and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import simplejson  # whose errors the plugins' files end in

from demandbase_api.config import environment_problem
from demandbase_api.errors import EXIT_FAILURE, DemandbaseError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType


_PLACES = 4


def exit_with_error(
    error: Exception,
    logger: logging.Logger,
    schema: Mapping[str, Any],
    prefix: str,
    expressions: str,
) -> NoReturn:
    """Say why a command failed, without a value, and end it.

    Args:
        error: Why.
        logger: Where to say it.
        schema: The JSON schema of the command's settings.
        prefix: What the names of their environment variables begin with.
        expressions: The setting that holds expressions of the user's own, which may fail.
    """
    logger.critical("%s", _sentence(error, schema, prefix, expressions))
    sys.exit(error.exit_code if isinstance(error, DemandbaseError) else EXIT_FAILURE)


def _sentence(error: Exception, schema: Mapping[str, Any], prefix: str, expressions: str) -> str:
    if isinstance(error, (DemandbaseError, FileNotFoundError)):
        return str(error)
    if isinstance(error, ValueError) and (
        problem := environment_problem(schema, prefix, os.environ)
    ):
        return problem
    if isinstance(error, simplejson.JSONDecodeError):
        return f"A file given on the command line is no valid JSON (line {error.lineno})."
    # No traceback: its last line may quote a record.
    places = [
        f"{Path(place.filename).name}:{place.lineno}"
        for place in traceback.extract_tb(error.__traceback__)[-_PLACES:]
    ]
    return (
        f"Unexpected {type(error).__name__} at {' > '.join(places)}; its text is left out since it "
        f"may quote a record. If {expressions} are in use, check their expressions; else report "
        "this as a bug."
    )


PIPE_BYTES = 1024 * 1024
"""What Linux lets anybody have."""


def widen(descriptor: int) -> None:
    """Let a pipe hold more, where it is one and the system can.

    A pipe of 64 KiB makes tap and target wait for each other by turns.

    Args:
        descriptor: Either end.
    """
    try:
        import fcntl  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        # No pipe, or the user's share of pipes is used up: it works as it is.
        with suppress(OSError, ValueError):
            fcntl.fcntl(descriptor, set_size, PIPE_BYTES)


@contextmanager
def loading(module: str) -> Iterator[None]:
    """Load a module that stays until the process ends, with all that it needs.

    Args:
        module: Its name; nothing is done where it is loaded already.
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        # Once: it is called at the end.
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)


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
def signals_ignored() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM during the block: clean-up that ends within seconds."""
    with _handling_signals(signal.SIG_IGN):
        yield


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Handle SIGINT and SIGTERM that arrive during the block at its end.

    It marks sections whose order of statements is their safety. Masking the main thread would not
    do: a library's thread may receive the signal.
    """
    received: list[int] = []
    try:
        with _handling_signals(lambda number, _: received.append(number)):
            yield
    finally:
        if received:
            signal.raise_signal(received[0])


@contextmanager
def _handling_signals(
    handler: Callable[[int, FrameType | None], Any] | signal.Handlers,
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread handles signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
