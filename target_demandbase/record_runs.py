"""Finds what follows each other in the input: records of one stream, and everything else."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def record_runs(lines: Sequence[bytes]) -> Iterator[tuple[str | None, list[bytes]]]:
    """Yield runs of lines, each with the stream that they are records of.

    The stream is ``None`` for lines that are something else, or nothing at all.
    """
    decode = _header_decoder()
    for stream, run in groupby(lines, lambda line: _stream_of(line, decode)):
        yield stream, list(run)


def _stream_of(line: bytes, decode: Callable[[bytes], Any]) -> str | None:
    try:
        header = decode(line)
    except (ValueError, RecursionError):  # of msgspec, and of UTF-8
        return None
    stream: str | None = header.stream if header.type == "RECORD" else None
    return stream


@cache
def _header_decoder() -> Callable[[bytes], Any]:
    import msgspec  # noqa: PLC0415 - whoever reads nothing needs it not

    header = msgspec.defstruct("Header", [("type", str), ("stream", str | None, None)])
    return msgspec.json.Decoder(header).decode
