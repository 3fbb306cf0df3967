"""Writes a stream of Singer messages to standard output: more than should lie on a disk."""

from __future__ import annotations

import sys

from benchmarks.data import WIDE, Source


def main() -> None:
    """Write; arguments: the stream's name and how many rows."""
    name, rows = sys.argv[1], int(sys.argv[2])
    for piece in Source(name, WIDE, rows).singer_lines(rows):
        sys.stdout.buffer.write(piece)


if __name__ == "__main__":
    main()
