"""Starts and ends a command without looking for garbage among what is loaded: that is no garbage.

Python would look through all modules several times while they are loaded, and once more at the end:
a quarter of the time that a command takes which does nothing else.
"""

from __future__ import annotations

import atexit
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def loading() -> Iterator[None]:
    """Load modules that stay until the process ends."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.freeze)
