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
            binary.write(lines)
        output.flush()
