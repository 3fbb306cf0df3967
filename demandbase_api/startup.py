"""Signals while a command starts. It imports almost nothing, so that it runs before all else."""

from __future__ import annotations

import os
import signal

SIGNAL_EXIT = 128
"""Base of the exit codes of signals: 130 for SIGINT, 143 for SIGTERM."""

STANDARD_ERROR = 2


def end_on_signals(when: str = " before the run began") -> None:
    """Let SIGINT and SIGTERM end the process at once, without a traceback.

    A run replaces these handlers before it does anything that needs to be cleaned up.

    Args:
        when: Ends the sentence that names the signal.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: end(number, when))


def end(number: int, when: str) -> None:
    """End the process at once with the exit code of a signal.

    Args:
        number: Number of the signal.
        when: Ends the sentence that names the signal.
    """
    name = signal.Signals(number).name
    try:  # noqa: SIM105 - not yet imported
        os.write(STANDARD_ERROR, f"Stopped by {name}{when}.\n".encode())
    except OSError:
        pass
    # No exception: in the middle of an import, a library could catch it.
    os._exit(SIGNAL_EXIT + number)
