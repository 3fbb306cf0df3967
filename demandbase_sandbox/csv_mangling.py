"""Spoils an exported file in one of the ways that real ones are spoiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WAYS = (
    "missing_column", "extra_column", "duplicate_header", "ragged_row",
    "cut_in_quotes", "drop_last_row", "not_utf8",
)  # fmt: skip


def mangle(path: Path, way: str) -> None:
    """Spoil a small file; no way leaves it alone.

    Raises:
        ValueError: The way is unknown.
    """
    if not way:
        return
    content = path.read_bytes()
    header, _, rest = content.partition(b"\r\n")
    match way:
        case "missing_column":
            content = header.replace(header.split(b",")[-1], b"something_else") + b"\r\n" + rest
        case "extra_column":
            lines = rest.split(b"\r\n")
            content = b"\r\n".join(
                [header + b",extra", *(line + b",1" for line in lines[:-1]), b""]
            )
        case "duplicate_header":
            names = header.split(b",")
            content = b",".join([names[0], names[0], *names[2:]]) + b"\r\n" + rest
        case "ragged_row":
            content += b"only one cell\r\n"
        case "cut_in_quotes":
            content += b'"never closed'
        case "drop_last_row":
            content = content[: content.rstrip(b"\r\n").rfind(b"\r\n") + 2]
        case "not_utf8":
            content = content[:-2] + b"\xff\r\n"
        case _:
            sentence = f"unknown way to mangle a file: {way}; known are {', '.join(WAYS)}"
            raise ValueError(sentence)
    path.write_bytes(content)
