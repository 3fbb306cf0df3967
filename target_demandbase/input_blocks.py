"""Reads the input as blocks of whole lines, and lets other things happen while it is silent."""

from __future__ import annotations

import os
import select
import sys
from io import UnsupportedOperation
from typing import IO, TYPE_CHECKING

from demandbase_api.process import widen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK_BYTES = 768 * 1024
_SILENT_SECONDS = 1.0
_GATHERING_SECONDS = 0.01


def input_blocks(
    source: IO[str], idle: Callable[[], None], block_bytes: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """Yield the input, cut after line ends; only the last block may lack its line end.

    Args:
        source: The input, of which nothing has been read yet; its bytes are taken where it has
            some, and encoded as UTF-8 where it holds text only.
        idle: Called about once a second while nothing comes.
        block_bytes: About how large a block is; one with a longer line is as long as that.
    """
    try:
        descriptor = source.fileno()
    except (UnsupportedOperation, AttributeError):
        yield from _of_text(source, block_bytes)
        return
    widen(descriptor)
    pieces: list[bytes] = []
    while chunk := _read(descriptor, idle, block_bytes):
        end = chunk.rfind(b"\n") + 1
        if not end:
            pieces.append(chunk)
            continue
        yield b"".join([*pieces, memoryview(chunk)[:end]])
        pieces = [chunk[end:]]
    if last := b"".join(pieces):
        yield last


def _read(descriptor: int, idle: Callable[[], None], size: int) -> bytes:
    """Return what comes, gathered as long as there is more at once; nothing at the end."""
    while not _is_ready(descriptor, _SILENT_SECONDS):
        idle()
    chunks = [os.read(descriptor, size)]
    while chunks[-1] and (left := size - sum(map(len, chunks))) > 0:
        if not _is_ready(descriptor, _GATHERING_SECONDS):
            break
        chunks.append(os.read(descriptor, left))
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_ready(descriptor: int, seconds: float) -> bool:
    if sys.platform == "win32":
        return True  # it can tell of sockets only
    return bool(select.select([descriptor], [], [], seconds)[0])


def _of_text(source: IO[str], block_bytes: int) -> Iterator[bytes]:
    lines: list[bytes] = []
    size = 0
    for line in source:
        lines.append(line.encode("utf-8", "surrogatepass"))
        size += len(lines[-1])
        if size >= block_bytes:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)
