"""Writes a batch file in a thread of its own, while the next rows are read and encoded."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from typing_extensions import override

from demandbase_api.threads import start_pool
from tap_demandbase.batches.file_format import FileWriter

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pyarrow as pa

_MOST_AHEAD = 4
"""Blocks of rows that wait in memory."""


class AheadWriter(FileWriter):
    """Writes what is given to it later; what goes wrong is raised by a later call.

    Args:
        writer: What writes.
    """

    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer
        self._pool = start_pool(1)
        self._ahead: deque[Future[None]] = deque()

    @override
    def write(self, rows: pa.Array) -> None:
        self._settle(_MOST_AHEAD - 1)
        self._ahead.append(self._pool.submit(self._writer.write, rows))

    @override
    def finish(self) -> None:
        try:
            self._settle(0)
        finally:
            self._pool.shutdown(cancel_futures=True)
            self._writer.finish()

    def _settle(self, most: int) -> None:
        """Wait until no more than some blocks are ahead."""
        while len(self._ahead) > most:
            self._ahead[0].result()
            self._ahead.popleft()
