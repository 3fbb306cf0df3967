"""Sends bodies in large blocks."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter
from typing_extensions import override

BLOCK_BYTES = 256 * 1024


class LargeBlocks(HTTPAdapter):
    """The adapter of requests, but for the 16 KiB in which it would read a file to send."""

    @override
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, blocksize=BLOCK_BYTES, **options)
