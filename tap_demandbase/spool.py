"""Where downloaded files lie while they are read."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.download import spool_error
from demandbase_api.errors import SpoolError

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_BYTES = 32 * 1024 * 1024
"""Room that is left for others: a full disk stops more than this run."""


@dataclass(frozen=True)
class Spool:
    """The folder for intermediate files.

    Args:
        folder: The folder; the system's temporary one where absent.
    """

    folder: Path | None

    def open(self) -> BinaryIO:
        """Return a new, empty file that is gone once it is closed or the process ends.

        Raises:
            SpoolError: The folder cannot be used.
        """
        try:
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self.folder, prefix="tap-demandbase-")
        except OSError as error:
            raise spool_error(error) from error

    def need(self, size: int) -> None:
        """Make sure of room before it is taken.

        Args:
            size: Bytes that are to come.

        Raises:
            SpoolError: There is not enough.
        """
        free = shutil.disk_usage(self.folder or tempfile.gettempdir()).free
        if free - RESERVE_BYTES < size:
            raise SpoolError(
                f"The folder for intermediate files has {free / 1e6:,.0f} MB free, and the next "
                f"part of an export needs {size / 1e6:,.0f} MB (32 MB are left for others). "
                "Free some room, or point the setting spool_dir at a larger folder."
            )
