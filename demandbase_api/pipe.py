"""Pipes between plugins."""

from __future__ import annotations

from contextlib import suppress

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
