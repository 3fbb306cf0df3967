"""Gives the lines of blocks to the slow path, up to where a row and a block end together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_demandbase.blocks.cutter import Block


class LineFeed:
    """The lines of one block, and of the following ones as long as a row is under way.

    Args:
        blocks: The block and those behind it; what is not needed is left.
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._lines: Iterator[str] = iter(())
        self._damage: Exception | None = None
        self._is_between_rows = False

    def row_done(self) -> None:
        """Note that a row has come to its end with the last line."""
        self._is_between_rows = True

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Return the next line with its end.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
        while (line := next(self._lines, None)) is None:
            if self._damage is not None:
                raise self._damage
            data = b"" if self._is_between_rows else self._whole_lines()
            if not data and self._damage is None:
                raise StopIteration
            # Line by line, so that text which is not UTF-8 has its line.
            self._lines = (line.decode() for line in data.splitlines(keepends=True))
        self._is_between_rows = False
        return line

    def _whole_lines(self) -> bytes:
        """Return the bytes of the next block, and of more where a row is longer than that."""
        data = b""
        while not data.endswith(b"\n") and (block := next(self._blocks, None)) is not None:
            data += block.data
            self._damage = block.damage
        return data
