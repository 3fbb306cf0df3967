"""Starts and ends a command without looking for garbage among what is loaded: that is no garbage.

Python would look through all modules several times while they are loaded, and once more at the end:
a quarter of the time that a command takes which does nothing else.
"""

from __future__ import annotations

import atexit
import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


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
