"""Writes the tap's messages; lines that are ready go out as they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from singer_sdk.io_base import SingerWriter

if TYPE_CHECKING:
    from typing_extensions import Buffer


class LineWriter(SingerWriter):
    """The SDK's writer, and one for many messages at a time."""

    def write_lines(self, lines: Buffer) -> None:
        """Write messages to standard output.

        Args:
            lines: Each with its line feed, in UTF-8.
        """
        output = sys.stdout
        if (binary := getattr(output, "buffer", None)) is None:
            # Whoever collects the messages as text has no bytes below it.
            output.write(bytes(lines).decode())
        else:
            output.flush()
            left = memoryview(lines)
            while left:
                # Unbuffered (PYTHONUNBUFFERED) it may take only a part: a signal came in between.
                left = left[binary.write(left) or 0 :]
        output.flush()
