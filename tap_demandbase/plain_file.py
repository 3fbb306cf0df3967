"""A part as plain bytes, whether it was packed or not; its first bytes tell."""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1024 * 1024

DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a packed file that is cut or damaged raises."""


def is_gzip(file: BinaryIO) -> bool:
    """Return whether a file is packed; it stands at its start afterwards."""
    file.seek(0)
    start = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    return start == _GZIP_MAGIC


@contextmanager
def plain(file: BinaryIO) -> Iterator[BinaryIO]:
    """Open a file from its start as plain bytes; the file itself stays open.

    Reading raises one of ``DAMAGE`` where a packed file is cut or damaged.
    """
    if not is_gzip(file):
        yield file
        return
    # GzipFile reads all members and raises where the last is cut.
    with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
        yield cast("BinaryIO", unpacked)


def lines_before(file: BinaryIO, offset: int) -> int:
    r"""Return how many lines the first bytes of a file hold; they end with \n, \r or both.

    Args:
        file: The file, packed or plain.
        offset: Plain bytes to look at.
    """
    lines = 0
    ended_with_return = False
    # Where it is damaged, it may end before.
    with plain(file) as text, suppress(*DAMAGE):
        while offset and (chunk := text.read(min(offset, _CHUNK_BYTES))):
            offset -= len(chunk)
            lines += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
            lines -= ended_with_return and chunk.startswith(b"\n")
            ended_with_return = chunk.endswith(b"\r")
    return lines
