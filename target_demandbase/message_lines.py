"""Lines of RECORD messages that are taken many at a time."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Taken(NamedTuple):
    """How much of some lines was taken, from the first on."""

    records: int
    size: int
    """In bytes."""


NOTHING = Taken(0, 0)


class LineSink(Protocol):
    """Takes the records of a stream as lines."""

    def take_lines(self, lines: bytes) -> Taken:
        """Take the first of some lines, each with its line end."""
