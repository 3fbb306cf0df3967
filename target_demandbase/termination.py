"""Ends the run on a signal: what is open is cleaned up, and the exit code says why."""

from __future__ import annotations

import logging
import signal
from typing import NoReturn

logger = logging.getLogger("target-demandbase")

SIGNAL_EXIT = 128


def terminate(number: int) -> NoReturn:
    """End the run with the exit code of a signal: 130 for SIGINT, 143 for SIGTERM."""
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)  # one is enough: let the cleaning up be done
    logger.critical(
        "Stopped by %s: what was staged is not sent, and jobs that can be are cancelled; the state "
        "that went out is where the next run goes on.",
        signal.Signals(number).name,
    )
    raise SystemExit(SIGNAL_EXIT + number)
