"""Which allocator Arrow's columns come from."""

from __future__ import annotations

import os

import pyarrow as pa

_DECAY_MILLISECONDS = 5000


def use_lean_pool() -> None:
    """Let Arrow use jemalloc, where it has it and nobody says otherwise.

    Blocks come and go by the hundred, in several threads. Under Arrow's usual allocator a run
    needs a fifth more memory, and given back at once, the next block pays for each page anew.
    """
    if (
        os.environ.get("ARROW_DEFAULT_MEMORY_POOL")
        or "jemalloc" not in pa.supported_memory_backends()
    ):
        return
    pa.jemalloc_set_decay_ms(_DECAY_MILLISECONDS)
    pa.set_memory_pool(pa.jemalloc_memory_pool())
