"""Where downloaded files lie while they are read."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.errors import SpoolError, spool_error
from demandbase_api.threads import Task

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_BYTES = 32 * 1024 * 1024
"""Room that is left for others: a full disk stops more than this run."""


class Spool:
    """The folder for intermediate files.

    Args:
        folder: The folder; the system's temporary one where absent.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._closing: list[Task[None]] = []

    def open(self) -> BinaryIO:
        """Return a new, empty file that is gone once it is closed or the process ends.

        Raises:
            SpoolError: The folder cannot be used.
        """
        try:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._folder, prefix="tap-demandbase-")
        except OSError as error:
            raise spool_error(error) from error

    def close(self, file: BinaryIO) -> None:
        """Close a file while the caller goes on: the system takes a while to let go of a large one.

        Args:
            file: One that was opened here.
        """
        self._closing = [task for task in self._closing if not task.done]

        def close() -> None:
            # It has been read: nothing can be lost any more.
            with suppress(OSError):
                file.close()

        try:
            self._closing.append(Task(close))
        except RuntimeError:  # no more threads can be had
            close()

    def settle(self) -> None:
        """Wait until there is all the room that closed files give back."""
        for task in self._closing:
            task.wait()

    def need(self, size: int) -> None:
        """Make sure of room before it is taken.

        Args:
            size: Bytes that are to come.

        Raises:
            SpoolError: There is not enough.
        """
        if self._free() - size < RESERVE_BYTES:
            self.settle()
        free = self._free()
        if free - size < RESERVE_BYTES:
            raise SpoolError(
                f"The folder for intermediate files has {free / 1e6:,.0f} MB free, and the next "
                f"part of an export needs {size / 1e6:,.0f} MB (32 MB are left for others). "
                "Free some room, or point the setting spool_dir at a larger folder."
            )

    def _free(self) -> int:
        return shutil.disk_usage(self._folder or tempfile.gettempdir()).free
