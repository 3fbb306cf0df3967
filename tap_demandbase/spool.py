"""Folder for intermediate files: downloaded parts, and batch files while they are written."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.errors import SpoolError, spool_error
from demandbase_api.files import make_private_folder
from demandbase_api.threads import Task

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_BYTES = 32 * 1024 * 1024
"""Space that is left for other processes: a full disk affects more than this run."""


class Spool:
    """Opens and closes intermediate files.

    Args:
        folder: The folder. Default: the system's temporary folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._closing: list[Task[None]] = []

    def open(self) -> BinaryIO:
        """Return a new, empty file that is deleted once it is closed or the process ends.

        Raises:
            SpoolError: The folder cannot be used.
        """
        try:
            if self._folder is not None:
                make_private_folder(self._folder)
            return tempfile.TemporaryFile(dir=self._folder, prefix="tap-demandbase-")
        except OSError as error:
            raise spool_error(error) from error

    def check(self) -> None:
        """Check that files can be written, before a job is created for them.

        Raises:
            SpoolError: The folder cannot be used, or is full.
        """
        file = self.open()
        try:
            with file:
                file.write(b"\n")
        except OSError as error:
            raise spool_error(error) from error
        free = self._free()
        if free < RESERVE_BYTES:
            raise SpoolError(
                f"The folder for intermediate files has only {free / 1e6:,.0f} MB free (32 MB are "
                "left for other processes). Free some space, or set spool_dir to a larger folder."
            )

    def close(self, file: BinaryIO) -> None:
        """Close a file in the background, since the system takes a while to free a large one."""
        self._closing = [task for task in self._closing if not task.done]

        def close() -> None:
            # The file has been read: an error loses nothing.
            with suppress(OSError):
                file.close()

        try:
            self._closing.append(Task(close))
        except RuntimeError:  # no more threads can be started
            close()

    def wait_for_space(self) -> None:
        """Wait until the space of all closed files is free."""
        for task in self._closing:
            task.wait()

    def check_space(self, size: int) -> None:
        """Check that there is space for further bytes.

        Args:
            size: Number of bytes to write.

        Raises:
            SpoolError: There is not enough space.
        """
        if self._free() - size < RESERVE_BYTES:
            self.wait_for_space()
        free = self._free()
        if free - size < RESERVE_BYTES:
            raise SpoolError(
                f"The folder for intermediate files has {free / 1e6:,.0f} MB free, and the next "
                f"part of an export needs {size / 1e6:,.0f} MB (32 MB are left for other "
                "processes). Free some space, or set spool_dir to a larger folder."
            )

    def _free(self) -> int:
        return shutil.disk_usage(self._folder or tempfile.gettempdir()).free
