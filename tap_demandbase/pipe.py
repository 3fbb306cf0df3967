"""The pipe behind standard output."""

from __future__ import annotations

import sys
from contextlib import suppress

PIPE_BYTES = 1024 * 1024
"""What Linux lets anybody have."""


def widen() -> None:
    """Let the pipe behind standard output hold more, where it is one and the system can.

    A pipe of 64 KiB makes tap and target wait for each other by turns.
    """
    try:
        import fcntl  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        # No pipe, or the user's share of pipes is used up: it works as it is.
        with suppress(OSError, ValueError):
            fcntl.fcntl(sys.stdout.fileno(), set_size, PIPE_BYTES)
