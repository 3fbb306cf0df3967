"""A bare loop from Singer lines to CSV: read a line, decode it, write a row. It checks nothing."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import msgspec


def main() -> None:
    """Write the records of standard input into the file that is named."""
    decode = msgspec.json.Decoder().decode
    with Path(sys.argv[1]).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for line in sys.stdin.buffer:
            message = decode(line)
            if message["type"] == "RECORD":
                writer.writerow(message["record"].values())
            elif message["type"] == "SCHEMA":
                writer.writerow(message["schema"]["properties"])


if __name__ == "__main__":
    main()
